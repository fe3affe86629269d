"""The simulated people of a release: what they add to the sums is known where their visits are."""

import numpy as np
import pytest
from bench.canary_crowd import Crowd
from bench.canary_people import People, clustering

SHARE = 0.25
WEIGHTS = np.array([1 - SHARE, SHARE])


def people(since: float) -> People:
    """One kind of visit: two slates of ten impressions, so many seconds apart."""
    return People(
        first=np.array([0, 2]),
        since=np.array([0.0, since]),
        shown=np.array([10.0, 10.0]),
        odds=np.ones((2, 10), np.float32),
        looked_at=np.ones(10, np.float32),
        luck=np.tile(np.linspace(0.05, 0.95, 10), (2, 1)),
    )


def crowd(since: float) -> Crowd:
    """Who clicks once on the first slate and twice on the second, of either side."""
    of = people(since)
    slates = of.slates((0.1, 0.1))
    slates["clicks"] = [[1, 1], [2, 2]]
    rng = np.random.default_rng(1)
    return Crowd(of, slates, requests_per_look=2_000, seconds_per_look=10.0, rng=rng)


def test_a_visit_within_one_look_is_one_cluster() -> None:
    seen = crowd(since=0.0).look(SHARE)

    visits = seen.users
    expected = [visits, 20 * visits, 3 * visits, 3 * visits * WEIGHTS, 20 * visits * WEIGHTS]
    squares = [np.array(each) * visits * WEIGHTS**2 for each in (9, 60, 400)]
    assert pytest.approx(np.array([*expected, *squares])) == seen.rates.T
    assert seen.requests.tolist() == (2 * visits).tolist()


def test_a_visit_over_two_looks_is_one_cluster_too() -> None:
    """Squares of a sum, not sums of squares: looked at one by one, a person would pass for two."""
    here = crowd(since=10.0)
    looks = [here.look(SHARE) for _ in range(4)]

    new, back = looks[3].rates[:, 0], looks[2].rates[:, 0]

    assert looks[3].rates[:, 5] == pytest.approx(WEIGHTS**2 * (new + (3**2 - 1**2) * back))
    assert looks[3].rates[:, 7] == pytest.approx(WEIGHTS**2 * (100 * new + (20**2 - 10**2) * back))


def test_who_was_there_before_is_new_in_the_next_step_and_on_the_other_side() -> None:
    here = crowd(since=10.0)
    for _ in range(3):
        seen = here.look(0.0)

    here.step_begins()
    after = here.look(1.0)

    assert (seen.users[0], seen.requests[0]) == (0, 0)
    assert after.users[0] == after.rates[0, 0] == after.requests[0]


def test_what_a_visit_did_on_either_side_is_multiplied() -> None:
    """One click on ten impressions as stable, then two on ten as canary, each weighted by the other side's share."""
    here = crowd(since=10.0)
    before = [here.look(0.2) for _ in range(3)]

    after = here.look(0.6)

    crossed = after.both[3] / (10 * 10 * 0.4 * 0.2)
    assert not any(look.both.any() for look in before)
    assert 0 < crossed < after.requests[0]
    assert after.both == pytest.approx(crossed * 0.4 * 0.2 * np.array([2 * 1, 2 * 10, 10 * 1, 10 * 10]))


def test_traffic_is_as_much_in_the_first_look_as_later() -> None:
    here = crowd(since=300.0)

    requests = [here.look(SHARE).requests.sum() for _ in range(60)]

    assert np.mean(requests[:3]) == pytest.approx(2_000, rel=0.06)
    assert np.mean(requests) == pytest.approx(2_000, rel=0.02)


def test_clicks_come_at_the_rate_that_is_asked_for_and_a_lower_rate_takes_some_away() -> None:
    asked = people(since=0.0).slates((0.1, 0.3))["clicks"]

    assert asked.tolist() == [[1, 3], [1, 3]]


def test_people_who_click_all_or_nothing_hang_together_wholly() -> None:
    clicks, shown, first = np.array([5.0, 0.0, 5.0, 0.0]), np.full(4, 5.0), np.arange(5)

    found = clustering(clicks, shown, first)

    assert (found.design_effect, found.correlation) == pytest.approx((5.0, 1.0))

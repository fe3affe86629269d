from collections import Counter
from math import exp, lgamma, log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rerank_candidates import candidates, ids, policy, slate

from serving.rerank.bandits import thompson, upper_confidence
from serving.rerank.ranked import RerankRefused
from serving.rerank.rewards import Rewards

NEW, OLD = 2.0, 400.0
# Ten items: the first six are old and better, the last four new.
AGES = [OLD] * 6 + [NEW, NEW, NEW, float("nan")]
SCORES = [10.0 - n for n in range(10)]
REWARDS = Rewards({"i6": (20, 4), "i7": (20, 1), "i8": (5, 1)})
DRAWS = 1_000


def first_beats_second(a: int, b: int, c: int, d: int) -> float:
    """P(Beta(a, b) > Beta(c, d)) for whole numbers: the first of a + b - 1 order statistics among uniform draws."""
    # Of a + b - 1 and c + d - 1 uniform draws the a-th and c-th smallest are such variables; count the orders.
    total = log_comb(a + b + c + d - 2, a + b - 1)
    orders = (log_comb(j + a - 1, j) + log_comb(b - 1 + c + d - 1 - j, b - 1) for j in range(c, c + d))
    return sum(exp(order - total) for order in orders)


def log_comb(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


@pytest.mark.parametrize("method", ["epsilon-greedy", "ucb", "thompson"])
def test_items_are_shown_as_often_as_their_logged_propensities_say(method: str) -> None:
    ranked = candidates(SCORES, age_days=AGES)
    rules = policy(exploration={"method": method, "rate": 0.4, "places": [2, 4]})

    shown: Counter[tuple[int, int]] = Counter()
    logged: dict[tuple[int, int], float] = {}
    for seed in range(DRAWS):
        found = slate(ranked, rules, k=5, seed=seed, rewards=REWARDS)
        for place, (row, propensity) in enumerate(zip(found.places, found.propensities, strict=True), start=1):
            shown[place, int(row)] += 1
            assert logged.setdefault((place, int(row)), float(propensity)) == propensity

    for place in range(1, 6):
        assert sum(p for (at, _), p in logged.items() if at == place) == pytest.approx(1, abs=1e-9)
    for key, propensity in logged.items():
        assert abs(shown[key] / DRAWS - propensity) <= 4.5 * sqrt(propensity * (1 - propensity) / DRAWS)
    assert all(logged[place, place - 1] == 1 for place in (1, 3, 5))
    assert {row for place, row in logged if place in (2, 4)} > {1, 3}


@given(
    st.lists(st.tuples(st.sampled_from([NEW, OLD]), st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=20),
    st.sampled_from(["epsilon-greedy", "ucb", "thompson"]),
    st.sampled_from([0.1, 1.0]),
)
@settings(max_examples=60, deadline=None)
def test_the_distribution_of_every_drawn_place_sums_to_1_and_holds_what_is_shown(
    items: list[tuple[float, int, int]], method: str, rate: float
) -> None:
    counts = {f"i{n}": (shown + clicks, clicks) for n, (_, shown, clicks) in enumerate(items)}
    ranked = candidates([-float(n) for n in range(len(items))], age_days=[age for age, _, _ in items])
    rules = policy(exploration={"method": method, "rate": rate, "places": [1, 3, 4], "pool": 3})

    found = slate(ranked, rules, k=4, rewards=Rewards(counts))

    drawn = {choice.place: choice for choice in found.choices}
    for place, (row, propensity) in enumerate(zip(found.places, found.propensities, strict=True), start=1):
        if place in drawn:
            choice = drawn[place]
            assert choice.probabilities.sum() == pytest.approx(1, abs=1e-12)
            assert (choice.probabilities >= 0).all()
            assert choice.probabilities[choice.rows.tolist().index(row)] == propensity > 0
        else:
            assert propensity == 1
    everywhere = [row for choice in found.choices for row in choice.rows.tolist()]
    assert len(everywhere) == len(set(everywhere))


def test_only_new_items_explore_and_those_shown_often_are_new_no_longer() -> None:
    ranked = candidates(SCORES, age_days=AGES)
    rules = policy(
        exploration={"method": "epsilon-greedy", "rate": 1.0, "places": [1], "until_impressions": 20, "pool": 50}
    )

    found = slate(ranked, rules, k=3, rewards=REWARDS)

    # i6 and i7 were shown 20 times; the age of i9 is unknown, since nothing happened to it yet.
    assert found.choices[0].rows.tolist() == [0, 8, 9]
    assert found.choices[0].probabilities.tolist() == [0, 0.5, 0.5]


def test_ucb_is_certain_of_the_item_that_was_never_shown() -> None:
    rules = policy(exploration={"method": "ucb", "rate": 1.0, "places": [3]})

    found = slate(candidates(SCORES, age_days=AGES), rules, k=3, rewards=REWARDS)

    assert ids(found) == ["i0", "i1", "i9"]
    assert found.propensities.tolist() == [1, 1, 1]
    assert (found.notes[0].did, found.notes[0].item_id, found.notes[0].place) == ("explored", "i9", 3)


def test_ucb_weighs_the_mean_against_how_seldom_an_item_was_shown() -> None:
    impressions, clicks = np.array([100.0, 10.0]), np.array([30.0, 2.0])
    few = 0.2 + sqrt(2 * log(110) / 10)
    many = 0.3 + sqrt(2 * log(110) / 100)

    assert few > many
    assert upper_confidence(impressions, clicks, width=1.0).tolist() == [0, 1]
    assert upper_confidence(impressions, clicks, width=0.01).tolist() == [1, 0]


def test_a_pinned_place_a_place_beyond_the_slate_and_a_slate_of_all_new_items_are_not_drawn() -> None:
    explore = {"method": "epsilon-greedy", "rate": 1.0, "places": [1, 9]}
    pinned = policy(exploration=explore, pins=[{"name": "p", "item": "i5", "place": 1}])

    with_pin = slate(candidates(SCORES, age_days=AGES), pinned, k=3)
    all_shown = slate(candidates([2.0, 1.0], age_days=[NEW, NEW]), policy(exploration=explore), k=2)

    assert (ids(with_pin), with_pin.choices) == (["i5", "i0", "i1"], ())
    assert (ids(all_shown), all_shown.choices) == (["i0", "i1"], ())


def test_exploration_gives_up_no_more_places_of_a_group_than_its_share_can_spare() -> None:
    # Three of four places are owed to the group, so one of the two places of exploration may lose its item.
    ranked = candidates([9.0, 8.0, 7.0, 6.0, 5.0, 4.0], age_days=[OLD] * 4 + [NEW] * 2, brand=["a"] * 4 + ["b"] * 2)
    rules = policy(
        exposure=[{"name": "a", "attribute": "brand", "values": ["a"], "at_least": 0.75}],
        exploration={"method": "epsilon-greedy", "places": [1, 3]},
    )

    found = slate(ranked, rules, k=4)

    assert [(choice.place, choice.rows.tolist()) for choice in found.choices] == [(1, [0, 4, 5])]


def test_thompson_is_exact_where_the_integral_has_a_closed_form() -> None:
    powers = np.array([0.5, 1.0, 3.0, 7.0])

    assert thompson(np.full(5, 2.5), np.full(5, 9.0)) == pytest.approx([0.2] * 5, abs=1e-12)
    # F(x) = x^a, so P(i) = a_i / sum of a.
    assert thompson(powers, np.ones(4)) == pytest.approx(powers / powers.sum(), abs=1e-5)
    assert thompson(np.array([2.0]), np.array([3.0])) == pytest.approx([1.0])


@pytest.mark.parametrize(
    ("a", "b", "c", "d", "error"),
    [(3, 8, 2, 9, 1e-4), (50, 950, 40, 960, 1e-3), (300, 9_700, 310, 9_690, 5e-3), (10, 990, 1, 1, 1e-3)],
)
def test_thompson_between_two_items_is_what_counting_orders_gives(a: int, b: int, c: int, d: int, error: float) -> None:
    found = thompson(np.array([a, c], float), np.array([b, d], float))

    assert found[0] == pytest.approx(first_beats_second(a, b, c, d), abs=error)


def test_thompson_is_what_drawing_from_the_posteriors_gives() -> None:
    successes, failures = np.array([0.5, 4.5, 1.5, 30.5]), np.array([0.5, 16.5, 19.5, 170.5])
    draws = np.random.default_rng(5).beta(successes, failures, (200_000, 4)).argmax(axis=1)

    assert thompson(successes, failures) == pytest.approx(np.bincount(draws) / 200_000, abs=0.005)


@pytest.mark.parametrize("counts", [(3, 4), (-1, 0), (3, -1)])
def test_more_clicks_than_impressions_are_refused(counts: tuple[int, int]) -> None:
    ranked = candidates([1.0, 0.5], age_days=[NEW, NEW])
    rules = policy(exploration={"method": "thompson"})

    with pytest.raises(RerankRefused, match=r"clicks must be from 0 to the impressions; got .* for i0"):
        slate(ranked, rules, rewards=Rewards({"i0": counts}))

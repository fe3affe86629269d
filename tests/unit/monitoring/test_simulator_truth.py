"""The click model: what is known in closed form is what many draws come to."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as given_settings
from hypothesis import strategies as st

from feature_repo.core.errors import NotMeasurable
from monitoring.simulator.make import make_world
from monitoring.simulator.settings import SimulatorSettings
from monitoring.simulator.truth import (
    EMPTY,
    click_probabilities,
    draw_clicks,
    examination,
    policy_click_rate,
    true_click_rate,
)
from monitoring.simulator.world import World

SMALL = SimulatorSettings(users=200, items=150, events=2_000, categories=4, brands=6)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(SMALL, seed=5)


def slates_of(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(SMALL.users, size=rows), rng.integers(SMALL.items, size=(rows, SMALL.slate))


def test_the_mean_of_many_draws_is_the_true_click_rate(world: World) -> None:
    users, slates = slates_of(200)
    probabilities = click_probabilities(world, users, slates, day=30.0)
    rng = np.random.default_rng(1)

    drawn = np.mean([draw_clicks(probabilities, rng).mean() for _ in range(400)])

    error = np.sqrt((probabilities * (1 - probabilities)).sum()) / probabilities.size / np.sqrt(400)
    assert abs(drawn - true_click_rate(world, slates, users, 30.0)) < 4 * error


def test_one_place_against_the_formula_worked_out_by_hand(world: World) -> None:
    people, items, s = world.people, world.items, world.settings
    user, item, day = 7, int(np.argmin(items.birth)), 12.5
    logit = world.intercept + s.taste_strength * float(people.taste[user] @ items.traits[item])
    logit -= s.price_strength * people.thrift[user] * items.dearness[item]
    logit += s.quality_spread * items.quality[item]
    logit += s.trend_strength * np.sin(2 * np.pi * day / items.period[item] + items.phase[item])
    logit += s.novelty * np.exp(-(day - items.birth[item]) / s.novelty_days)

    found = click_probabilities(world, np.array([user]), np.array([[EMPTY, item]]), day=day)

    assert found == pytest.approx(np.array([[0.0, 2**-0.5 / (1 + np.exp(-logit))]]))


def test_a_policy_that_draws_its_slates_has_the_rate_of_all_its_slates_together(world: World) -> None:
    users, there = np.array([3, 8]), np.flatnonzero(world.items.birth <= 0)[:2]
    either_order = [np.tile(order, (2, 1)) for order in (there, there[::-1])]
    placing = np.zeros((2, 2, SMALL.items))
    for slates, chance in zip(either_order, (0.3, 0.7), strict=True):
        for place in (0, 1):
            placing[:, place, slates[0, place]] += chance

    found = policy_click_rate(world, users, placing, day=4.0)

    rates = [true_click_rate(world, slates, users, 4.0) for slates in either_order]
    assert found == pytest.approx(0.3 * rates[0] + 0.7 * rates[1])
    with pytest.raises(NotMeasurable, match="at least one item"):
        policy_click_rate(world, users, np.zeros((2, 2, SMALL.items)), day=4.0)


def test_position_bias_is_exactly_the_stated_curve(world: World) -> None:
    one = np.full((1, 10), int(np.argmin(world.items.birth)))

    found = click_probabilities(world, np.array([3]), one, day=9.0)

    assert found[0] / found[0, 0] == pytest.approx(np.arange(1, 11) ** -0.5)
    assert examination(SMALL, 4) == pytest.approx([1, 0.7071068, 0.5773503, 0.5])


def test_random_slates_have_the_base_click_rate() -> None:
    settings = SMALL.model_copy(update={"new_items": 0.0})
    still = make_world(settings, seed=5)
    users, slates = slates_of(20_000)

    assert true_click_rate(still, slates, users, 0.0) == pytest.approx(settings.base_click_rate, rel=0.03)


def test_nobody_clicks_an_item_before_it_is_there_nor_an_empty_place(world: World) -> None:
    youngest = int(np.argmax(world.items.birth))
    born = world.items.birth[youngest]
    slates = np.array([[youngest, EMPTY]] * 2)

    found = click_probabilities(world, np.array([0, 0]), slates, day=np.array([born - 0.01, born]))

    assert found[0].tolist() == [0.0, 0.0]
    assert found[1, 0] > 0
    assert found[1, 1] == 0


def test_a_better_fit_is_clicked_more_whatever_the_rest(world: World) -> None:
    fit = world.people.taste[4] @ world.items.traits.T
    flat = replace(
        world,
        items=replace(world.items, quality=np.zeros(150), dearness=np.zeros(150), birth=np.zeros(150)),
        settings=SMALL.model_copy(update={"trend_strength": 0.0}),
    )
    ordered = np.argsort(-fit)[None, :]

    found = click_probabilities(flat, np.array([4]), ordered, day=1.0)[0] / examination(SMALL, 150)

    assert (np.diff(found) <= 1e-12).all()


@given(seed=st.integers(0, 2**31), day=st.floats(-10, 400))
@given_settings(max_examples=20, deadline=None)
def test_every_probability_is_one_and_repeats_with_its_seed(seed: int, day: float) -> None:
    tiny = SimulatorSettings(users=12, items=9, events=1_000, categories=2, brands=2, slate=3)
    worlds = [make_world(tiny, seed=seed) for _ in range(2)]
    rng = np.random.default_rng(seed)
    users, slates = rng.integers(12, size=5), rng.integers(-1, 9, size=(5, 3))

    first, again = (click_probabilities(world, users, slates, day=day) for world in worlds)

    assert ((first >= 0) & (first <= examination(tiny, 3))).all()
    assert np.array_equal(first, again)


def test_a_click_rate_of_nothing_is_refused(world: World) -> None:
    with pytest.raises(NotMeasurable, match="at least one item"):
        true_click_rate(world, np.full((2, 3), EMPTY), np.array([0, 1]), 1.0)


def test_slates_of_another_number_of_users_are_refused(world: World) -> None:
    with pytest.raises(NotMeasurable, match="users \\[r\\] and slates"):
        click_probabilities(world, np.array([0]), np.zeros((2, 3), int), day=1.0)


def test_a_base_rate_beyond_what_people_look_at_is_refused() -> None:
    with pytest.raises(ValueError, match=r"can be at most 0\.264"):
        SimulatorSettings(base_click_rate=0.4, examination_exponent=1.0)

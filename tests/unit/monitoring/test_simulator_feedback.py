"""A recommender that learns from its own slates: what it does to exposure, and what exploration changes."""

import numpy as np
import pytest

from feature_repo.core.errors import SettingsRefused
from monitoring.simulator.feedback import YOUNG_DAYS, Loop, feedback_loop
from monitoring.simulator.make import make_world
from monitoring.simulator.settings import SimulatorSettings
from monitoring.simulator.world import World


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(SimulatorSettings(users=300, items=250), seed=4)


@pytest.fixture(scope="module")
def alone(world: World) -> Loop:
    return feedback_loop(world, exploration=0.0, seed=1, rounds=20, requests=200)


def test_without_exploration_new_items_are_never_shown_and_few_items_take_all(alone: Loop) -> None:
    assert alone.new_there[8:].min() > 0
    assert alone.ending("new_share") == 0
    assert alone.ending("gini") > 0.9


def test_exploration_shows_new_items_and_evens_exposure(world: World, alone: Loop) -> None:
    explored = feedback_loop(world, exploration=0.2, seed=1, rounds=20, requests=200)

    assert explored.ending("new_share") > 0
    assert explored.ending("gini") < alone.ending("gini")
    assert explored.ending("bubble") < alone.ending("bubble")


def test_thompson_sampling_gives_new_items_a_chance_and_people_better_slates(world: World, alone: Loop) -> None:
    sampled = feedback_loop(world, exploration=0.0, seed=1, thompson=True, rounds=20, requests=200)

    assert sampled.ending("new_share") > 0.02
    assert sampled.ending("click_rate") > alone.ending("click_rate")


def test_random_slates_show_every_item_alike_at_the_base_rate(world: World) -> None:
    random = feedback_loop(world, exploration=1.0, seed=1, rounds=20, requests=400)

    assert random.ending("new_share") == pytest.approx(random.ending("new_there"), rel=0.15)
    assert random.ending("gini") < 0.2
    assert random.ending("click_rate") == pytest.approx(world.settings.base_click_rate, rel=0.25)


def test_a_loop_repeats_with_its_seed(world: World, alone: Loop) -> None:
    again = feedback_loop(world, exploration=0.0, seed=1, rounds=20, requests=200)

    assert all(
        np.array_equal(a, b, equal_nan=True) for a, b in zip(vars(again).values(), vars(alone).values(), strict=True)
    )


def test_what_is_new_is_counted_among_the_items_that_are_there(world: World, alone: Loop) -> None:
    there = world.items.birth <= alone.day[-1]
    young = there & (alone.day[-1] - world.items.birth <= YOUNG_DAYS)

    assert alone.new_there[-1] == pytest.approx(young.sum() / there.sum())


def test_the_first_round_knows_no_one(alone: Loop) -> None:
    assert np.isnan(alone.bubble[0])
    assert (alone.bubble[1:] <= 1).all()


@pytest.mark.parametrize(("exploration", "rounds"), [(-0.1, 5), (1.1, 5), (0.1, 0)])
def test_a_loop_that_cannot_be_is_refused(world: World, exploration: float, rounds: int) -> None:
    with pytest.raises(SettingsRefused, match="an exploration from 0 to 1, a round and a request"):
        feedback_loop(world, exploration=exploration, seed=1, rounds=rounds)

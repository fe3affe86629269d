"""Windows of requests for judging a judge of drift: quiet ones differ as days do, and a shift has its stated size."""

from dataclasses import fields

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from feature_repo.core.errors import SettingsRefused
from monitoring.simulator.make import make_world
from monitoring.simulator.settings import SimulatorSettings
from monitoring.simulator.shift import Kind, Shift
from monitoring.simulator.window_shift import TOUCHED
from monitoring.simulator.windows import CUMULATIVE, spreads, windows
from monitoring.simulator.world import World
from training.reference import IDENTITY, recommended_rows

# What a taste shift moves besides the features that TOUCHED names: what people click.
FOLLOWS = {Kind.TASTE: {"label"}}
DOWN = {Kind.TASTE, Kind.NEW_ITEMS, Kind.BROKEN_COLUMN}


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(SimulatorSettings(users=1_000, items=400), seed=2)


def test_a_window_has_the_form_of_the_champions_reference(world: World) -> None:
    window = windows(world, requests=30, seed=1)
    names = [name for name in window.column_names if name not in (*IDENTITY, "score")]

    same = recommended_rows(
        names,
        features=np.stack([window[name].to_numpy() for name in names], axis=1),
        scores=window["score"].to_numpy(),
        request_ids=window["request_id"].to_pylist(),
        user_ids=window["user_id"].to_pylist(),
        moments_us=window["moment"].cast(pa.int64()).to_pylist(),
        item_ids=window["item_id"].to_pylist(),
        labels=window["label"].to_numpy(),
    )

    assert window.schema.equals(same.schema)
    assert window.num_rows == 30 * 10
    assert len(window["request_id"].unique()) == 30


def test_rows_of_a_request_share_their_user_and_a_user_comes_again(world: World) -> None:
    window = windows(world, requests=300, seed=1)

    ages = window.group_by("request_id").aggregate([("user:age", "count_distinct"), ("user_id", "count_distinct")])

    assert set(ages["user:age_count_distinct"].to_pylist()) == {1}
    assert set(ages["user_id_count_distinct"].to_pylist()) == {1}
    assert len(window["user_id"].unique()) < 300


def test_a_window_repeats_with_its_seed_and_stays_within_its_days(world: World) -> None:
    first, again = (windows(world, requests=50, seed=4, start_day=14.0, days=3.0) for _ in range(2))
    day = (first["moment"].to_numpy() - np.datetime64("2024-01-01")) / np.timedelta64(1, "D")

    assert first.equals(again)
    assert not first.equals(windows(world, requests=50, seed=5, start_day=14.0, days=3.0))
    assert day.min() >= 14
    assert day.max() < 17


@pytest.mark.parametrize("kind", list(Kind))
def test_a_shift_moves_its_first_column_by_its_size_and_no_other_than_its_own(kind: Kind, world: World) -> None:
    quiet = windows(world, requests=2_000, seed=3)
    moved = windows(world, requests=2_000, seed=3, shift=Shift(kind=kind, size=0.3))
    unlike = {name for name in quiet.column_names if not quiet[name].equals(moved[name])}
    lead = TOUCHED[kind][0]

    change = (moved[lead].to_numpy().mean() - quiet[lead].to_numpy().mean()) / spreads(world)[lead][1]

    assert unlike == set(TOUCHED[kind]) | FOLLOWS.get(kind, set())
    assert change == pytest.approx(-0.3 if kind in DOWN else 0.3, abs=0.06)


def test_a_shift_leaves_what_came_before_its_day(world: World) -> None:
    quiet = windows(world, requests=400, seed=3)
    moved = windows(world, requests=400, seed=3, shift=Shift(kind=Kind.COVARIATE, size=1.0, from_day=4.0))
    day = (quiet["moment"].to_numpy() - np.datetime64("2024-01-01")) / np.timedelta64(1, "D")
    changed = quiet["user:age"].to_numpy() != moved["user:age"].to_numpy()

    assert np.array_equal(changed, day >= 4.0)


def test_what_accumulates_grows_from_week_to_week_and_nothing_else_does(world: World) -> None:
    first, later = (
        [windows(world, requests=800, seed=seed, start_day=start) for seed in range(6)] for start in (0.0, 49.0)
    )
    grown = {
        name
        for name in spreads(world)
        if np.mean([pc.mean(w[name]).as_py() for w in later]) - np.mean([pc.mean(w[name]).as_py() for w in first])
        > 0.15 * spreads(world)[name][1]
    }

    assert grown == set(CUMULATIVE)


def test_days_have_effects_of_their_own_beyond_the_noise_of_rows(world: World) -> None:
    window = windows(world, requests=3_000, seed=8)
    day = window["moment"].to_numpy().astype("datetime64[D]")
    score = window["score"].to_numpy()
    of_days = [score[day == one] for one in np.unique(day)]

    between = np.var([rows.mean() for rows in of_days], ddof=1)

    assert between > 4 * np.mean([rows.var() / len(rows) for rows in of_days])


def test_a_size_that_no_share_of_rows_can_bring_about_is_refused(world: World) -> None:
    with pytest.raises(SettingsRefused, match="broken-column: expected a size that some of the rows"):
        windows(world, requests=10, seed=1, shift=Shift(kind=Kind.BROKEN_COLUMN, size=50.0))


def test_an_empty_window_is_refused(world: World) -> None:
    with pytest.raises(SettingsRefused, match="at least 1 request and more than 0 days; got 0 and 7"):
        windows(world, requests=0, seed=1)


def test_a_worlds_parts_have_one_row_for_each_user_and_item(world: World) -> None:
    for part, rows in ((world.people, 1_000), (world.items, 400)):
        assert {len(getattr(part, field.name)) for field in fields(part)} == {rows}

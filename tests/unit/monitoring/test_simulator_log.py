"""The event log of a simulated world: valid, repeatable, and changed by a shift only where it says so."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from feature_repo.core.errors import SettingsRefused
from feature_repo.dataset.clean import clean
from feature_repo.dataset.declaration import load_dataset
from feature_repo.dataset.event_schema import check_events
from feature_repo.dataset.read import connect, read_entities, read_raw_events
from monitoring.simulator.dataset import write_dataset
from monitoring.simulator.log import Log, simulate
from monitoring.simulator.make import make_world
from monitoring.simulator.offers import distinct
from monitoring.simulator.settings import SimulatorSettings
from monitoring.simulator.shift import Kind, Shift
from monitoring.simulator.truth import EMPTY
from monitoring.simulator.visits import who
from monitoring.simulator.world import World

SETTINGS = SimulatorSettings(events=6_000, users=300, items=200, days=30.0)
DAY = 10.0
MOMENT = SETTINGS.start + timedelta(days=DAY)
SIZES = {
    Kind.COVARIATE: 0.8,
    Kind.TASTE: 1.0,
    Kind.POPULARITY: 2.0,
    Kind.NEW_ITEMS: 0.5,
    Kind.BROKEN_COLUMN: 0.5,
    Kind.LATE: 0.5,
    Kind.BOTS: 0.2,
}
BEHAVIOUR = ("user_id", "item_id", "timestamp", "event_type")


def lived(*shifts: Shift, seed: int = 1) -> tuple[World, Log]:
    world = make_world(SETTINGS.model_copy(update={"shifts": shifts}), seed=seed)
    return world, simulate(world, seed=seed)


@pytest.fixture(scope="module")
def quiet() -> tuple[World, Log]:
    return lived()


def before(events: pa.Table) -> pa.Table:
    return events.filter(pc.less(events["timestamp"], pa.scalar(MOMENT, pa.timestamp("us", "UTC"))))


def after(events: pa.Table) -> pa.Table:
    return events.filter(pc.greater_equal(events["timestamp"], pa.scalar(MOMENT, pa.timestamp("us", "UTC"))))


def test_the_log_is_valid_and_passes_the_door_without_a_refusal(tmp_path: Path, quiet: tuple[World, Log]) -> None:
    world, log = quiet
    dataset = load_dataset(str(write_dataset(world, log, tmp_path)))

    with connect() as connection:
        cleaned = clean(connection, read_raw_events(connection, dataset), dataset, now=datetime.now(UTC))
        items = read_entities(connection, dataset, dataset.items, "item_id").to_arrow_table()
        users = read_entities(connection, dataset, dataset.users, "user_id").to_arrow_table()

    check_events(log.events, dataset)
    assert cleaned.refused == {}
    assert cleaned.events.num_rows == SETTINGS.events
    assert set(log.events["item_id"].to_pylist()) <= set(items["item_id"].to_pylist())
    assert set(log.events["user_id"].to_pylist()) <= set(users["user_id"].to_pylist())


def test_the_same_seed_gives_the_same_log_and_another_one_does_not(quiet: tuple[World, Log]) -> None:
    _, again = lived()
    _, other = lived(seed=2)

    assert again.events.equals(quiet[1].events)
    assert again.arrived.equals(quiet[1].arrived)
    assert not other.events.equals(quiet[1].events)


def test_clicks_come_as_often_as_the_truth_says(quiet: tuple[World, Log]) -> None:
    log = quiet[1]
    last = np.datetime64(log.events["timestamp"][-1].as_py().replace(tzinfo=None))
    seen = log.slates.day < (last - np.datetime64("2024-01-01")) / np.timedelta64(1, "D")
    expected = log.slates.probabilities[seen].sum()
    spread = np.sqrt((log.slates.probabilities * (1 - log.slates.probabilities))[seen].sum())

    views = log.events.filter(pc.equal(log.events["event_type"], "view"))
    clicks = len(views) - views["request_id"].null_count

    assert abs(clicks - expected) < 4 * spread


def test_a_click_names_the_slate_and_the_place_where_its_item_stood(quiet: tuple[World, Log]) -> None:
    log = quiet[1]

    answered = log.events.filter(pc.is_valid(log.events["request_id"])).to_pylist()

    for event in answered[:500]:
        request = int(event["request_id"][1:])
        assert event["item_id"] == f"i{log.slates.items[request, event['position']]}"
        assert event["user_id"] == f"u{log.slates.user[request]}"


def test_nothing_happens_before_a_user_or_an_item_is_there(quiet: tuple[World, Log]) -> None:
    world, log = quiet
    day = (log.events["timestamp"].to_numpy() - np.datetime64("2024-01-01")) / np.timedelta64(1, "D")
    users = np.array([int(name[1:]) for name in log.events["user_id"].to_pylist()])
    items = np.array([int(name[1:]) for name in log.events["item_id"].to_pylist()])

    assert (world.people.birth[users] <= day + 1e-9).all()
    assert (world.items.birth[items] <= day).all()
    assert day.max() <= SETTINGS.days


def test_slates_hold_each_item_once() -> None:
    drawn = np.array([[4, 4, 2, EMPTY, 2, 9], [1, 1, 1, 1, 1, 1]])

    assert distinct(drawn, 3).tolist() == [[4, 2, 9], [1, EMPTY, EMPTY]]


@pytest.mark.parametrize("kind", list(Kind))
def test_a_shift_changes_nothing_before_its_day(kind: Kind, quiet: tuple[World, Log]) -> None:
    world, log = lived(Shift(kind=kind, size=SIZES[kind], from_day=DAY))

    assert before(log.events).equals(before(quiet[1].events))
    earlier = log.slates.day < DAY
    assert np.array_equal(log.slates.probabilities[earlier], quiet[1].slates.probabilities[earlier])
    assert world.intercept == quiet[0].intercept


@pytest.mark.parametrize("kind", [Kind.BROKEN_COLUMN, Kind.LATE])
def test_a_broken_pipe_changes_nothing_in_what_people_do(kind: Kind, quiet: tuple[World, Log]) -> None:
    _, log = lived(Shift(kind=kind, size=SIZES[kind], from_day=DAY))

    assert log.events.select(BEHAVIOUR).equals(quiet[1].events.select(BEHAVIOUR))


@pytest.mark.parametrize("kind", [Kind.TASTE, Kind.POPULARITY])
def test_a_change_of_what_is_liked_leaves_visits_and_slates_as_they_were(kind: Kind, quiet: tuple[World, Log]) -> None:
    _, log = lived(Shift(kind=kind, size=SIZES[kind], from_day=DAY))
    later = log.slates.day >= DAY

    assert np.array_equal(log.slates.day, quiet[1].slates.day)
    assert np.array_equal(log.slates.user, quiet[1].slates.user)
    assert np.array_equal(log.slates.items, quiet[1].slates.items)
    assert not np.isclose(log.slates.probabilities[later], quiet[1].slates.probabilities[later]).all()


def test_a_covariate_shift_moves_the_mean_age_of_visits_by_its_size() -> None:
    world = make_world(SimulatorSettings(users=20_000, items=50), seed=3)
    rng = np.random.default_rng(3)
    chance, start = rng.random(20_000), np.full(20_000, 59.0)

    usual, tilted = who(world, start, chance), who(world, start, chance, tilt=0.5)

    age = world.people.age
    assert age[tilted].mean() - age[usual].mean() == pytest.approx(0.5, abs=0.06)
    assert age[tilted].std() == pytest.approx(age[usual].std(), abs=0.06)


def test_a_broken_column_loses_its_share_of_the_values(quiet: tuple[World, Log]) -> None:
    _, log = lived(Shift(kind=Kind.BROKEN_COLUMN, size=0.5, from_day=DAY))

    bought = [
        after(events).filter(pc.equal(after(events)["event_type"], "purchase"))
        for events in (quiet[1].events, log.events)
    ]

    assert bought[0]["value"].null_count == 0
    assert bought[1]["value"].null_count / len(bought[1]) == pytest.approx(0.5, abs=0.1)


def test_late_events_are_left_out_of_an_early_reading_and_there_in_a_later_one(tmp_path: Path) -> None:
    world, log = lived(Shift(kind=Kind.LATE, size=0.5, from_day=DAY))
    noon = SETTINGS.start + timedelta(days=20)

    write_dataset(world, log, tmp_path / "early", as_of=noon)
    write_dataset(world, log, tmp_path / "late")

    early, late = (pq.read_table(tmp_path / name / "events.parquet") for name in ("early", "late"))
    behind = pc.subtract(late["arrived_at"], late["timestamp"]).cast(pa.int64()).to_numpy() / 86_400e6
    happened = late.filter(pc.less(late["timestamp"], pa.scalar(noon, pa.timestamp("us", "UTC"))))
    assert len(early) < len(happened)
    assert set(early["event_id"].to_pylist()) <= set(happened["event_id"].to_pylist())
    assert (behind[behind > 0.01] >= 1).all()
    assert behind.max() <= 3


def test_a_flood_brings_its_share_of_new_items_on_its_day(quiet: tuple[World, Log]) -> None:
    world, log = lived(Shift(kind=Kind.NEW_ITEMS, size=0.5, from_day=DAY))

    assert len(world.items) - len(quiet[0].items) == 100
    assert (world.items.birth[200:] == DAY).all()
    assert any(int(name[1:]) >= 200 for name in log.events["item_id"].to_pylist())


def test_bots_add_their_share_of_events_and_take_nothing_away(quiet: tuple[World, Log]) -> None:
    _, log = lived(Shift(kind=Kind.BOTS, size=0.2, from_day=DAY))
    bots = pc.greater_equal(pc.cast(pc.utf8_slice_codeunits(log.events["user_id"], 1), pa.int64()), SETTINGS.users)

    people = log.events.filter(pc.invert(bots))

    assert people.select(BEHAVIOUR).equals(quiet[1].events.select(BEHAVIOUR))
    assert len(log.events) - len(people) == round(0.2 * len(after(quiet[1].events)))


def test_a_world_where_nothing_is_there_in_time_is_refused() -> None:
    barren = SimulatorSettings(events=100, users=5, items=2, days=0.01, new_items=1.0)

    with pytest.raises(SettingsRefused, match=r"nobody met an item in 0\.01 days of 5 users and 2 items"):
        simulate(make_world(barren, seed=1), seed=1)

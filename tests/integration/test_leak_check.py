"""Leaks, planted one by one: with its guard each passes, and without it the check fails."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow.parquet as pq
import pytest
from serving_world import write_bundle

from feature_repo.core.console import run
from feature_repo.core.errors import LeakFound
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.prepare import active_dataset, entity_rows
from feature_repo.dataset.split import load_split
from feature_repo.store import historical
from feature_repo.store.item_table import attributes, open_item_table
from feature_repo.store.materialize import items_at, materialize
from feature_repo.store.online import open_online_reader
from feature_repo.store.open import open_store, quiet_feast
from feature_repo.transforms import activity, build, sequences
from training import registry
from training.__main__ import app
from training.bundle import load_bundle
from training.encoder import AttributeEncoder, Scale
from training.leaks.check import LeakCheck, check_leaks
from training.ranker_features import feature_names
from training.ranking.candidates import ranker_rows
from training.recommender import build_recommender
from training.replay import Moment, moments, open_timeline

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]
START, HOUR, EVENTS = 1_760_000_000, 3_600, 400
CORRECTED = START + HOUR * EVENTS // 2  # when half of the items and of the people were corrected, back to the start
DECLARED = """
name: corrected
events:
  path: events.csv
  columns: {user_id: user, item_id: item, timestamp: at, value: paid}
  event_type: view
users: {path: users.csv, key: user, categorical: [city], valid_from: since, recorded: written}
items: {path: items.csv, key: item, categorical: [maker], numeric: [price], valid_from: since, recorded: written}
weights: {view: 1}
repeat_consumption: false
"""


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A log whose users and items tables were corrected late, prepared by the commands."""
    folder = tmp_path_factory.mktemp("corrected")
    rng = np.random.default_rng(4)
    events = (f"u{rng.integers(9)},i{rng.integers(12)},{START + HOUR * n},{n % 7}" for n in range(EVENTS))
    (folder / "events.csv").write_text("user,item,at,paid\n" + "\n".join(events) + "\n")
    users = [f"u{n},Rome,{START},{START}" for n in range(9)] + [f"u{n},Oslo,{START},{CORRECTED}" for n in range(4)]
    (folder / "users.csv").write_text("user,city,since,written\n" + "\n".join(users) + "\n")
    items = [f"i{n},m{n % 3},{n},{START},{START}" for n in range(12)]
    items += [f"i{n},new,99,{START},{CORRECTED}" for n in range(6)]
    (folder / "items.csv").write_text("item,maker,price,since,written\n" + "\n".join(items) + "\n")
    (folder / "dataset.yaml").write_text(DECLARED)
    workspace = Workspace(root=folder / "build", store=folder / "build" / "store")
    env = {**os.environ, "BUILD": str(workspace.root), "STORE_URL": str(workspace.store)}
    for words in (["data", "--dataset", str(folder / "dataset.yaml")], ["apply"]):
        command = [sys.executable, "-m", "feature_repo", *words]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    quiet_feast()
    return workspace


@pytest.fixture
def workspace(clean: Workspace, tmp_path: Path) -> Iterator[Workspace]:
    """The same, for tables to be built anew in it."""
    kept = tmp_path / "tables"
    shutil.copytree(clean.tables, kept)
    yield clean
    shutil.rmtree(clean.tables)
    shutil.copytree(kept, clean.tables)


def rebuild(workspace: Workspace) -> None:
    rows = {key: pq.read_table(entity_rows(workspace, key)) for key in ("user_id", "item_id")}
    build.build_tables(
        active_dataset(workspace),
        pq.read_table(workspace.events),
        users=rows["user_id"],
        items=rows["item_id"],
        folder=workspace.tables,
    )


def asked(workspace: Workspace) -> list[Moment]:
    split = load_split(workspace)
    return moments(workspace, split.start, split.champion_end)


def check(workspace: Workspace, requests: int = 15) -> LeakCheck:
    return check_leaks(
        open_store(workspace), workspace, asked(workspace), requests=requests, rng=np.random.default_rng(1)
    )


def counting_the_future(events: Any, *, key: str, prefix: str, **options: Any) -> Any:
    """Activity whose count is taken over the whole of the key's events, those to come included."""
    state = activity.activity_state(events, key=key, prefix=prefix, **options)
    name = f"{prefix}_event_count"
    return state.mutate(**{name: state[name].max().over(ibis.window(group_by=key))})


def forgetting_when_recorded(transform: Callable[..., Any]) -> Callable[..., Any]:
    """Tastes by the newest attributes of an item, whenever they were recorded."""

    def leaky(liked: Any, metadata: Any, *rest: Any, **options: Any) -> Any:
        newest = ibis.window(group_by="item_id", order_by=ibis.desc("created_timestamp"))
        latest = metadata.mutate(age=ibis.row_number().over(newest)).filter(lambda t: t.age == 0)
        return transform(liked, latest.drop("age", "created_timestamp"), *rest, **options)

    return leaky


def test_with_every_guard_on_the_training_set_is_what_was_known(workspace: Workspace) -> None:
    rebuild(workspace)

    found = check(workspace)

    assert found.unseen == ()
    assert {"user_event_count", "history_items", "seen_items", "city", "maker", "item_days"} <= set(found.values)
    assert found.metrics()["leak_check_rows"] == found.rows > 15
    assert found.sentence().startswith(f"PASS: {len(found.values)} features in {found.rows} rows")


def test_a_feature_counted_over_the_future_is_caught(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "activity_state", counting_the_future)
    rebuild(workspace)

    with pytest.raises(
        LeakFound,
        match=r"the training set gives user_event_count = \d+ for user u\d at 2025-10-\S+; "
        r"the log before that moment gives (\d+|nothing): a feature sees the future",
    ):
        check(workspace)


@pytest.mark.parametrize(("module", "feature"), [(sequences, "history_items"), (activity, "user_event_count")])
def test_a_state_that_includes_its_own_event_is_caught(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, module: Any, feature: str
) -> None:
    """The guard is the microsecond after an event; without it the join shows a label its own event."""
    monkeypatch.setattr(module, "after", lambda timestamp: timestamp)
    rebuild(workspace)

    with pytest.raises(LeakFound, match=f"the training set gives {feature} = "):
        check(workspace)


def test_a_correction_that_arrived_late_is_caught(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(historical, "any_recorded", lambda *_: False)

    with pytest.raises(LeakFound, match=r"gives city = 'Oslo' for user u\d at .* gives 'Rome': a feature sees"):
        check(workspace)


def test_a_single_late_row_among_many_requests_is_found_by_looking_for_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(historical, "any_recorded", lambda *_: False)

    with pytest.raises(LeakFound, match=r"gives (city|maker|price) = "):
        check(workspace, requests=1)


def test_a_correction_that_reaches_a_taste_too_early_is_caught(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "tastes", forgetting_when_recorded(build.tastes))
    rebuild(workspace)

    with pytest.raises(LeakFound, match=r"gives taste_maker = .*'new'"):
        check(workspace)


def test_a_sample_without_a_value_is_no_success(workspace: Workspace) -> None:
    before_everything = [Moment("u1", (START - HOUR) * 1_000_000, ("i1",))]

    with pytest.raises(LeakFound, match=r"a leak check needs values to compare; got none in \d rows of \d+ features"):
        check_leaks(open_store(workspace), workspace, before_everything, requests=9, rng=np.random.default_rng(1))


def test_a_leak_stops_training_with_one_sentence_and_no_version(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as planted:
        planted.setattr(build, "activity_state", counting_the_future)
        rebuild(workspace)

    monkeypatch.setenv("BUILD", str(workspace.root))
    monkeypatch.setenv("STORE_URL", str(workspace.store))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(sys, "argv", ["training", "train", "--window", "champion"])
    with pytest.raises(SystemExit, match="2"):
        run(app)

    said = capsys.readouterr().err
    assert said.startswith("error: the training set gives user_event_count = ")
    assert said.count("\n") == 1
    assert registry.aliases(workspace) == {}


def test_an_item_that_was_recorded_late_is_not_known_before(workspace: Workspace) -> None:
    """An item without events, whose row holds from the start and was written later."""
    path = workspace.tables / "item_metadata.parquet"
    rows = pq.read_table(path).to_pylist()
    late = next(row for row in rows if row["maker"] == "new")
    pq.write_table(pq.read_table(path).from_pylist([*rows, {**late, "item_id": "unmet"}]), path)
    store = open_store(workspace)

    known = {at: set(items_at(store, workspace, at * 1_000_000)["item_id"].to_pylist()) for at in (START, CORRECTED)}

    assert "unmet" not in known[START]
    assert "unmet" in known[CORRECTED]


def test_an_online_store_of_a_past_moment_holds_no_later_correction(workspace: Workspace) -> None:
    for moment, city in ((CORRECTED - HOUR, "Rome"), (CORRECTED + HOUR, "Oslo")):
        materialize(workspace, until=datetime.fromtimestamp(moment, UTC))

        assert open_online_reader(workspace).user_row("u1")["city"] == city
        assert attributes(open_item_table(workspace), "i0")["maker"] == {"Rome": "m0", "Oslo": "new"}[city]


def test_the_ranker_learns_from_attributes_as_they_were_known_at_each_request(clean: Workspace, tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle")
    store, drafted = open_store(clean), load_bundle(tmp_path / "bundle")
    priced = AttributeEncoder(categorical={}, multi={}, numeric={"price": Scale(0.0, 1.0)})
    bundle = replace(drafted, encoder=replace(drafted.encoder, items=priced))
    start, end = (datetime.fromtimestamp(CORRECTED + HOUR * hours, UTC) for hours in (-40, 40))
    timeline = open_timeline(store, clean, start=start, end=end)
    still = open_timeline(store, clean, start=start - timedelta(hours=40), end=start)
    recommender = build_recommender(bundle, timeline.table)

    rows = ranker_rows(store, recommender, timeline, moments(clean, start, end), lambda: None, event_types=("view",))

    column = feature_names(bundle.encoder, bundle.manifest.retrievers).index("item:price")
    numbers = np.array([int(item[1:]) for item in rows.item_ids])
    asked_us = np.array([moment.moment_us for moment in rows.asked])[rows.request]
    corrected = (numbers < 6) & (asked_us >= CORRECTED * 1_000_000)
    assert 0 < corrected.sum() < (numbers < 6).sum()
    np.testing.assert_array_equal(rows.matrix[:, column], np.where(corrected, 99, numbers))
    assert (timeline.attributes_move, still.attributes_move) == (True, False)

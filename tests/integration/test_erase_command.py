"""`make erase` on a trained shop: the real command, killed at its work, run again, and the proof that it is done."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from erasable_workspace import event, logged, silent
from generated_shop import write_shop

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.declaration import load_dataset
from feature_repo.dataset.prepare import prepare
from feature_repo.dataset.pseudonym import open_pseudonyms
from feature_repo.dataset.split import load_split, to_microseconds
from feature_repo.store.apply import apply_definitions
from feature_repo.store.historical import features_at
from feature_repo.store.item_table import open_item_table
from feature_repo.store.materialize import materialize
from feature_repo.store.open import open_store, quiet_feast
from serving.inbox import Inbox
from serving.request_log import to_table
from training import registry
from training.bundle import load_bundle
from training.erase.online_key import online_key, online_prefix
from training.erase.person import Person
from training.erase.search import places_below
from training.erase.versions import known_versions
from training.runs import train_and_register
from training.settings import RankerSettings, TrainingSettings, TwoTowerSettings

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore:On demand feature view is an experimental feature:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning"),
]
PERSON = "ann.lee@example.org"
SECRET = "a thing that only she bought"
# Settings of a version are part of what is trained again: small ones make the test quick, and show that they are kept.
SMALL = TrainingSettings(
    seed=4,
    leak_requests=5,
    reference_requests=60,
    tower=TwoTowerSettings(epochs=1, dimension=8, hidden=8),
    ranker=RankerSettings(rounds=4, requests=80),
)


def start(workspace: Workspace, *words: str) -> "subprocess.Popen[str]":
    env = {**os.environ, "BUILD": str(workspace.root), "STORE_URL": str(workspace.store)}
    for name in ("MLFLOW_TRACKING_URI", "BUS_URL", "ONLINE_STORE", "ERASURE_KEY"):
        env.pop(name, None)
    command = [sys.executable, "-m", *words]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def command(workspace: Workspace, *words: str) -> str:
    process = start(workspace, *words)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    return said


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A shop with a person in every store, a champion that knows her, and a version without an alias that does."""
    folder = tmp_path_factory.mktemp("shop")
    workspace = Workspace(root=folder / "build", store=folder / "build" / "store")
    declared = write_shop(folder)
    give_a_person_a_name(folder)
    quiet_feast()
    prepare(load_dataset(str(declared)), workspace, now=datetime.now(UTC))
    apply_definitions(workspace)
    materialize(workspace, until=load_split(workspace).challenger_end)
    make_two_versions(workspace)
    users = (PERSON, "p3", "p1")
    workspace.request_log.mkdir()
    pq.write_table(
        to_table([logged(user) for user in users], open_pseudonyms(workspace)), workspace.request_log / "one.parquet"
    )
    Inbox(workspace.received, remembered=10).receive([event(user) for user in users])
    return workspace


def give_a_person_a_name(folder: Path) -> None:
    """p7 becomes a person with an address, who bought a thing that nobody else ever saw."""
    for file in sorted(folder.glob("events-*.parquet")):
        table = pq.read_table(file)
        hers = pc.equal(table["person"], "p7")
        things = pc.if_else(pc.and_(hers, pc.equal(table["what"], "buy")), SECRET, table["thing"])
        table = table.set_column(0, "person", pc.if_else(hers, PERSON, table["person"]))
        pq.write_table(table.set_column(1, "thing", things), file)
    people = (folder / "people.csv").read_text().replace("p7,", f"{PERSON},")
    (folder / "people.csv").write_text(people)


def make_two_versions(workspace: Workspace) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("MLFLOW_TRACKING_URI", raising=False)
        end = load_split(workspace).champion_end
        train_and_register(workspace, SMALL, end=end, progress=silent(), history={})
        bundle = registry.download_bundle(workspace, "1")
        parameters = registry.connect(workspace).get_run(run_of(workspace, "1")).data.params
        registry.register(workspace, bundle, key="the same again", parameters=parameters, history={})
        registry.connect(workspace).delete_registered_model_alias(registry.MODEL, registry.CHALLENGER)


def run_of(workspace: Workspace, version: str) -> str:
    return str(registry.connect(workspace).get_model_version(registry.MODEL, version).run_id)


@pytest.fixture(scope="module")
def erased(shop: Workspace) -> Iterator[dict[str, Any]]:
    """What was before, what the command said, and its report; the first run was killed while it trained."""
    before = {"tables": user_rows(shop), "online": online_rows(shop), "settings": settings_of_champion(shop)}
    shutil.copytree(shop.root.parent / "build", shop.root.parent / "before")
    kill_when(shop, lambda: (shop.root / ".bundle.partial").exists())
    assert PERSON not in pq.read_table(shop.events)["user_id"].to_pylist()
    assert registry.aliases(shop) == {"champion": "1"}
    said = command(shop, "training", "erase", "--user", PERSON)
    report = json.loads((shop.reports / "erase.json").read_text())
    yield {**before, "said": said, "report": report}
    shutil.rmtree(shop.root.parent / "before")


def kill_when(workspace: Workspace, reached: Any) -> None:
    process = start(workspace, "training", "erase", "--user", PERSON)
    deadline = time.monotonic() + 120
    while not reached():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "the step never came"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def user_rows(workspace: Workspace) -> dict[str, pa.Table]:
    files = [*workspace.tables.glob("user_*.parquet"), workspace.events, *workspace.request_log.glob("*.parquet")]
    return {file.name: pq.read_table(file) for file in files}


def online_rows(workspace: Workspace) -> set[tuple[object, ...]]:
    """Every cell of every other user, as SQLite holds it."""
    with closing(sqlite3.connect(workspace.feast_online)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {(table, *row) for table in tables for row in database.execute(f'SELECT * FROM "{table}"')}
    return {row for row in rows if bytes(row[1]).startswith(online_prefix("user_id")) and row[1] != online_key(PERSON)}  # type: ignore[arg-type]


def settings_of_champion(workspace: Workspace) -> dict[str, str]:
    parameters = registry.connect(workspace).get_run(run_of(workspace, "1")).data.params
    return {name: value for name, value in parameters.items() if name != "data_fingerprint"}


def test_the_report_shows_that_a_search_of_everything_finds_nothing(shop: Workspace, erased: dict[str, Any]) -> None:
    report = erased["report"]

    assert report["complete"]
    assert [row["left"] for row in report["stores"]] == [0] * 14
    assert report["bytes_searched"]
    assert PERSON not in json.dumps(report)
    assert "found afterwards" in erased["said"]
    assert places_below([shop.root], Person(PERSON, "", distinctive=True)) == {}
    assert places_below([shop.root.parent / "before"], Person(PERSON, "", distinctive=True)) != {}
    assert PERSON.encode() not in (shop.mlflow / "audit.jsonl").read_bytes()


def test_versions_that_knew_her_are_trained_again_and_retired(shop: Workspace, erased: dict[str, Any]) -> None:
    now = registry.aliases(shop)

    assert erased["report"]["replaced"] == {"1": now["champion"], "2": None}
    assert known_versions(shop) == set(now.values())
    parameters = registry.connect(shop).get_run(run_of(shop, now["champion"])).data.params
    assert {name: value for name, value in parameters.items() if name != "data_fingerprint"} == erased["settings"]
    bundle = load_bundle(registry.download_bundle(shop, now["champion"]))
    assert "p3" in bundle.encoder.user_ids.values
    assert PERSON not in bundle.encoder.user_ids.values
    assert SECRET not in bundle.encoder.item_ids.values
    assert "restart the services that serve version 1 or 2" in " ".join(erased["report"]["to_do"])


def test_every_other_persons_row_is_the_same_offline_and_online(shop: Workspace, erased: dict[str, Any]) -> None:
    after, names = user_rows(shop), pa.array([PERSON, open_pseudonyms(shop).of(PERSON)])

    assert after.keys() == erased["tables"].keys()
    for name, table in erased["tables"].items():
        assert after[name].equals(table.filter(pc.invert(pc.is_in(table["user_id"], names)))), name
    assert online_rows(shop) == erased["online"]
    assert len(erased["online"]) > 500


def test_items_are_served_as_if_she_had_never_come(shop: Workspace, erased: dict[str, Any]) -> None:
    assert erased["report"]["complete"]
    quiet_feast()
    moment = load_split(shop).challenger_end
    table = open_item_table(shop)
    served = open_store(shop).get_online_features(
        features=["item_popularity:item_event_count"], entity_rows=[{"item_id": SECRET}, {"item_id": "t1"}]
    )

    keys, moments = np.array(["t1"], object), np.array([to_microseconds(moment)])
    offline = features_at(open_store(shop), "item_id", keys, moments)["item_event_count"].to_pylist()
    assert SECRET not in table.rows
    assert served.to_dict()["item_event_count"] == [None, *offline]
    assert [int(table.columns["item_event_count"][table.rows["t1"]])] == offline
    assert len(list(shop.snapshots.glob("items-*"))) == 1


def test_reading_the_teams_files_again_does_not_bring_her_back(shop: Workspace, erased: dict[str, Any]) -> None:
    assert erased["report"]["own_files"]["rows"] > 50

    report = prepare(load_dataset(str(shop.root.parent / "dataset.yaml")), shop, now=datetime.now(UTC))

    refused = report["refused"]
    assert isinstance(refused, dict)
    assert refused["user was erased"] > 50
    assert places_below([shop.store], Person(PERSON, "", distinctive=True)) == {}

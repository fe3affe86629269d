"""Erasing from the stores that need no server and no model, by the function behind the command."""

import json
import os
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import erasable_workspace as shop
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from feature_repo.core.errors import DatasetError, RecommenderError
from feature_repo.core.workspace import Workspace, write_json
from feature_repo.dataset.declaration import load_dataset
from feature_repo.dataset.prepare import prepare
from feature_repo.dataset.pseudonym import Pseudonyms, open_pseudonyms
from feature_repo.dataset.tombstone import read_tombstones
from feature_repo.stream.bus import CannotErase
from feature_repo.stream.connect import stream_folder
from feature_repo.stream.journal import open_journal
from training.erase import everything as listing
from training.erase import unfinished
from training.erase.erase import NotErased, erase
from training.erase.everything import Everything
from training.erase.person import Person
from training.erase.reports import Reports
from training.erase.retrain import Retrain
from training.erase.search import places_below

PERSON = shop.PERSON
STORES = 13
LATER = datetime.now(UTC) + timedelta(hours=1)  # of the files that a test writes


@pytest.fixture(autouse=True)
def _plain_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ERASURE_KEY", "RECOMMENDER_PSEUDONYM_KEY", "BUS_URL", "ONLINE_STORE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    shop.build(folder)
    return folder


@pytest.fixture
def workspace(built: Path, tmp_path: Path) -> Workspace:
    return shop.copied(built, tmp_path)


def run(workspace: Workspace, user: str = PERSON) -> dict[str, Any]:
    return erase(workspace, user, retrain=Retrain(workspace, shop.silent(), {}), now=LATER)


def tables(workspace: Workspace) -> dict[str, pa.Table]:
    """Every parquet file of the store by folder and name; the received batch gets a new name when it is rewritten."""
    return {
        f"{file.parent.name}/{'batch' if file.parent == workspace.received else file.name}": pq.read_table(file)
        for file in workspace.store.rglob("*.parquet")
    }


def test_a_person_is_gone_from_every_store_and_the_report_says_so_without_the_name(workspace: Workspace) -> None:
    report = run(workspace)

    counts = {row["store"]: row for row in report["stores"]}
    logs = ("event log and quarantine", "received events", "request log")
    for store in (*logs, "batch slates", "declared preferences", "feature tables", "reports"):
        assert counts[store]["found"] > 0, store
        assert counts[store]["removed"] > 0, store
    assert [row["left"] for row in report["stores"]] == [0] * (STORES + 1)  # and every other file
    assert counts["event log and quarantine"]["removed"] == 20 + 1 + 1 + 1  # events, `secret`, refused row, profile
    assert report["complete"]
    assert report["bytes_searched"]
    assert report["user"] == next(iter(read_tombstones(workspace).hashes))
    files = [file for file in workspace.root.rglob("*") if file.is_file()]
    assert not [file for file in files if PERSON.encode() in file.read_bytes()]
    assert json.loads((workspace.reports / "erase.json").read_text()) == report


def test_every_row_of_other_people_is_the_same_cell_by_cell(workspace: Workspace) -> None:
    before = tables(workspace)

    run(workspace)

    after = tables(workspace)
    assert before.keys() == after.keys()
    compared = 0
    for place, table in before.items():
        if "user_id" in table.column_names and "quarantine" not in place:
            names = pa.array([PERSON, open_pseudonyms(workspace).of(PERSON)])
            assert after[place].equals(table.filter(pc.invert(pc.is_in(table["user_id"], names)))), place
            compared += 1
    assert compared >= 7
    others = before["events/quarantine.parquet"].filter(pc.equal(before["events/quarantine.parquet"]["user_id"], "bob"))
    left = after["events/quarantine.parquet"]
    assert left.filter(pc.equal(left["user_id"], "bob")).equals(others)
    assert journal_users(workspace) == ["bob", "p7"]


def journal_users(workspace: Workspace) -> list[str]:
    with closing(open_journal(stream_folder(workspace) / "journal.db")) as journal:
        assert journal.bases(["bob", "p7", PERSON]).keys() == {"bob", "p7"}
        return journal.users()


def test_a_persons_rows_of_the_request_log_are_found_under_their_pseudonym(workspace: Workspace) -> None:
    hers, bobs = (open_pseudonyms(workspace).of(user) for user in (PERSON, "bob"))
    logged = [workspace.request_log / "one.parquet", workspace.served_features / "one.parquet"]
    assert all(pq.read_table(file)["user_id"].to_pylist().count(hers) == 1 for file in logged)

    run(workspace)

    assert all(hers not in pq.read_table(file)["user_id"].to_pylist() for file in logged)
    assert all(bobs in pq.read_table(file)["user_id"].to_pylist() for file in logged)


def test_nobody_is_erased_from_a_log_whose_pseudonyms_have_another_key(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, key = open_pseudonyms(workspace).check, "another key of a deployment"
    monkeypatch.setenv("RECOMMENDER_PSEUDONYM_KEY", key)
    other = Pseudonyms(key.encode(), in_store=False).check

    with pytest.raises(DatasetError, match=f"one.parquet of the request log .* key {now}, the key now is {other}: set"):
        run(workspace)

    monkeypatch.delenv("RECOMMENDER_PSEUDONYM_KEY")
    (workspace.store / "pseudonym.key").unlink()
    with pytest.raises(DatasetError, match=f"one.parquet of the request log .* key {now}, the key now is not set"):
        run(workspace)
    assert read_tombstones(workspace).hashes == frozenset()


def test_items_are_counted_as_if_the_person_had_never_come(workspace: Workspace, tmp_path: Path) -> None:
    without = tmp_path / "without"
    without.mkdir()
    shop.declared(without)
    log = (without / "events.csv").read_text().splitlines()
    (without / "events.csv").write_text("\n".join(line for line in log if PERSON not in line) + "\n")
    other = Workspace(root=without / "build", store=without / "build" / "store")
    prepare(load_dataset(str(without / "dataset.yaml")), other, now=shop.NOW)
    assert "secret" in pq.read_table(workspace.tables / "item_popularity.parquet")["item_id"].to_pylist()

    run(workspace)

    views = {file.name for file in other.tables.glob("item_*.parquet")} - {"item_metadata.parquet"}
    assert {"item_popularity.parquet", "item_reach.parquet"} <= views
    for view in sorted(views):
        assert pq.read_table(workspace.tables / view).equals(pq.read_table(other.tables / view)), view


def test_what_was_read_is_still_kept_or_quarantined_and_a_new_run_agrees(workspace: Workspace, tmp_path: Path) -> None:
    before = json.loads((workspace.reports / "data.json").read_text())

    run(workspace)

    after = json.loads((workspace.reports / "data.json").read_text())
    assert after["read"] == before["read"] == after["events"] + after["quarantined"]
    assert after["refused"]["user was erased"] == 22
    assert after["fingerprint"] != before["fingerprint"]
    events = pq.read_table(workspace.events)
    again = prepare(load_dataset(str(tmp_path / "dataset.yaml")), workspace, now=LATER)
    assert not again["reused"]
    assert pq.read_table(workspace.events).filter(pc.field("event_type") != "view").num_rows > 0
    received = pc.match_substring(pq.read_table(workspace.events)["event_id"], "e-")
    assert pq.read_table(workspace.events).filter(pc.invert(received)).equals(events)
    assert not places_below([workspace.store], Person(PERSON, "", distinctive=True))


@pytest.mark.parametrize(
    ("report", "stays"),
    [
        ({"champion": "2", "example_user": "bob"}, True),
        ({"champion": "2", "note": f"asked by {PERSON}"}, False),
        ({"champion": "2", "challenger": "1"}, False),
        ({"p50_ms": 5.0}, True),
    ],
)
def test_a_report_goes_that_names_the_person_or_a_version_that_is_gone(
    tmp_path: Path, report: dict[str, Any], stays: bool
) -> None:
    workspace = Workspace(root=tmp_path, store=tmp_path / "store")
    write_json(workspace.reports / "canary.json", report)
    (workspace.reports / "canary.html").write_text("<p>as in canary.json</p>")
    pq.write_table(shop.current((PERSON, "bob")), workspace.reports / "current-1.parquet")
    pq.write_table(shop.current((PERSON, "bob")), workspace.reports / "current-2.parquet")

    Reports(workspace, Person(PERSON, "", distinctive=True), lambda: {"2"}).erase()

    left = {file.name for file in workspace.reports.iterdir()}
    assert left == {"current-2.parquet", *(["canary.json", "canary.html"] if stays else [])}
    assert pq.read_table(workspace.reports / "current-2.parquet")["user_id"].to_pylist() == ["bob"]


def test_what_releases_and_experiments_left_of_a_person_is_gone(workspace: Workspace) -> None:
    """Clicks stand under requests alone and experiments are averages: both go, though neither names the person."""
    folder = workspace.root / "rollout"
    clicks = folder / "clicks" / "1-2-20260101000000" / "000.parquet"
    clicks.parent.mkdir(parents=True)
    pq.write_table(pa.table({"request_id": ["r1"], "item_id": ["i1"]}), clicks)
    write_json(folder / "records.json", {"said": f"asked by {PERSON}"})
    write_json(folder / "state.json", {"state": "PROMOTED"})
    for name in ("experiment-page.json", "offpolicy-page.json"):
        write_json(workspace.reports / name, {"rate": 0.05})

    report = run(workspace)

    (rollouts,) = (row for row in report["stores"] if row["store"] == "rollouts")
    assert (rollouts["found"], rollouts["removed"], rollouts["left"]) == (1, 2, 0)
    assert {file.name for file in folder.rglob("*") if file.is_file()} == {"state.json"}
    assert not [*workspace.reports.glob("experiment-*"), *workspace.reports.glob("offpolicy-*")]


def test_an_id_that_is_also_an_item_leaves_everybody_else_alone(workspace: Workspace) -> None:
    report = run(workspace, "7")

    assert not report["bytes_searched"]
    assert any("not byte by byte" in line for line in report["to_do"])
    users = set(pq.read_table(workspace.events)["user_id"].to_pylist())
    assert users == {PERSON, "bob", "cy", "p7"}


def test_the_own_files_of_the_team_are_counted_and_not_changed(workspace: Workspace, tmp_path: Path) -> None:
    before = {file: file.read_bytes() for file in tmp_path.glob("*.csv")}

    report = run(workspace)

    assert report["own_files"] == {"rows": 20 + 2 + 1, "why": ""}
    assert "your own files still hold 23 rows of the person" in " ".join(report["to_do"])
    assert {file: file.read_bytes() for file in tmp_path.glob("*.csv")} == before


def test_own_files_that_are_not_there_are_said_to_be_unsearched(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "events.csv").unlink()

    report = run(workspace)

    assert report["own_files"]["rows"] is None
    assert "your own files could not be searched" in " ".join(report["to_do"])


def test_a_user_whom_nothing_knows_gets_a_tombstone_and_nothing_is_rebuilt(workspace: Workspace) -> None:
    run(workspace)
    before = {file: file.stat().st_mtime_ns for file in workspace.tables.iterdir()}

    report = run(workspace, "nobody@example.org")

    assert [row["found"] for row in report["stores"]] == [0] * len(report["stores"])
    assert report["to_do"][0] == "nothing of this person was found; the tombstone keeps them out from now on"
    assert read_tombstones(workspace).among(["nobody@example.org"]) == ["nobody@example.org"]
    assert {file: file.stat().st_mtime_ns for file in workspace.tables.iterdir()} == before


@pytest.mark.parametrize("step", range(STORES))
def test_killed_at_any_step_the_same_command_again_completes(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    with monkeypatch.context() as patched:
        die_after(patched, step)
        with pytest.raises(KeyboardInterrupt):
            run(workspace)
    assert not (workspace.reports / "erase.json").exists()

    report = run(workspace)

    assert report["complete"]
    assert unfinished.begun(workspace) == []
    assert not places_below([workspace.root], Person(PERSON, "", distinctive=True))
    data = json.loads((workspace.reports / "data.json").read_text())
    assert data["read"] == data["events"] + data["quarantined"]
    assert "secret" not in pq.read_table(workspace.tables / "item_popularity.parquet")["item_id"].to_pylist()


def test_an_erasure_that_was_cut_short_is_named_in_every_report_until_it_is_completed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        die_after(patched, 3)
        with pytest.raises(KeyboardInterrupt):
            run(workspace)
    (cut_short,) = unfinished.begun(workspace)

    report = run(workspace, "nobody@example.org")

    assert report["to_do"][-1] == f"the erasure of {cut_short[:12]} was cut short: run it again with that person's id"


def die_after(patched: pytest.MonkeyPatch, step: int) -> None:
    """Let `step` stores be erased, and the next one half: its work done, and nobody told."""
    left = [step]
    for part in ("data", "models"):
        whole = getattr(Everything, part)

        def dying(self: Everything, *given: Any, _whole: Any = whole, **named: Any) -> list[Any]:
            return [Dying(store, left) for store in _whole(self, *given, **named)]

        patched.setattr(Everything, part, dying)


class Dying:
    """A store whose process is killed when it is its turn."""

    def __init__(self, store: Any, left: list[int]) -> None:
        self._store, self._left = store, left
        self.name, self.roots, self.find = store.name, store.roots, store.find

    def erase(self) -> int:
        removed: int = self._store.erase()
        if self._left[0] == 0:
            raise KeyboardInterrupt
        self._left[0] -= 1
        return removed


@pytest.mark.parametrize(
    ("lock", "said"),
    [
        ("data.lock", "data are being prepared in"),
        ("train.lock", "a version is being trained in"),
        ("store/stream/consumer.lock", "a stream consumer is running in"),
    ],
)
def test_nobody_is_erased_while_another_command_could_write_them_back(
    workspace: Workspace, lock: str, said: str
) -> None:
    with FileLock(workspace.root / lock), pytest.raises(RecommenderError, match=said):
        run(workspace)


def test_a_search_that_still_finds_the_person_is_an_error_that_names_the_store(workspace: Workspace) -> None:
    note = workspace.root / "a note of the team.txt"
    note.write_text(f"ask {PERSON} about it")

    with pytest.raises(NotErased, match="a search still finds the person in: any other file"):
        run(workspace)

    assert not json.loads((workspace.reports / "erase.json").read_text())["complete"]
    assert unfinished.begun(workspace) != []
    note.unlink()
    assert run(workspace)["complete"]


def test_what_a_killed_writer_left_is_removed_and_what_is_being_written_now_is_not(workspace: Workspace) -> None:
    old, young = workspace.request_log / ".a.parquet.partial", workspace.request_log / ".b.parquet.partial"
    for partial in (old, young):
        partial.write_bytes(b"PAR1 cut off")
    os.utime(young, (LATER.timestamp(), LATER.timestamp()))

    with pytest.raises(NotErased, match="a search still finds the person in: request log"):
        run(workspace)

    assert (old.exists(), young.exists()) == (False, True)
    young.unlink()
    assert run(workspace)["complete"]


def test_a_bus_that_removes_nothing_is_never_taken_for_an_empty_one(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Keeping:
        def erase(self, user_id: str) -> int:
            raise CannotErase(f"this topic keeps the records of {len(user_id)} characters for a week")

        def close(self) -> None:
            pass

    monkeypatch.setenv("BUS_URL", "kafka://broker/topic")
    monkeypatch.setattr(listing, "open_bus", lambda _: Keeping())

    with pytest.raises(NotErased, match="in: event bus; this topic keeps the records of 19 characters for a week"):
        run(workspace)

    assert not places_below([workspace.root], Person(PERSON, "", distinctive=True))


def test_a_person_can_be_kept_out_before_there_are_data(tmp_path: Path) -> None:
    workspace = Workspace(root=tmp_path / "build", store=tmp_path / "build" / "store")
    assert run(workspace)["complete"]

    report = prepare(shop.declared(tmp_path), workspace, now=shop.NOW)

    assert PERSON not in pq.read_table(workspace.events)["user_id"].to_pylist()
    assert report["read"] == 104


def test_the_only_user_cannot_be_erased_and_still_leave_a_workspace(workspace: Workspace) -> None:
    events = pq.read_table(workspace.events)
    pq.write_table(events.filter(pc.equal(events["user_id"], PERSON)), workspace.events)

    with pytest.raises(DatasetError, match="nothing would be left to build from"):
        run(workspace)


def test_an_empty_id_is_refused(workspace: Workspace) -> None:
    with pytest.raises(NotErased, match="expected the id of a user; got ' '"):
        run(workspace, " ")

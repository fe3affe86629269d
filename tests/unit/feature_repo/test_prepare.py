from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from feature_repo.core.errors import DatasetError
from feature_repo.core.workspace import Workspace
from feature_repo.dataset import prepare as stage
from feature_repo.dataset.declaration import Dataset, parse_dataset
from feature_repo.dataset.prepare import active_dataset, prepare
from feature_repo.dataset.split import load_split

NOW = datetime(2026, 2, 1, tzinfo=UTC)
DECLARED = """
name: {name}
events:
  path: events.csv
  columns: {{user_id: user, item_id: item, timestamp: at}}
  event_type: view
items: {{path: items.csv, key: item, multi: [tags], text: [title]}}
weights: {{view: 1}}
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(root=tmp_path / "build", store=tmp_path / "build" / "store")


def shop(folder: Path, name: str = "shop") -> Dataset:
    events = "".join(f"u{n % 3},i{n % 5},2026-01-{n + 1:02d}\n" for n in range(20))
    (folder / "events.csv").write_text("user,item,at\n" + events)
    (folder / "items.csv").write_text("item,tags,title\n" + "".join(f"i{n},a|b,Item {n}\n" for n in range(5)))
    return parse_dataset(DECLARED.format(name=name), folder / "dataset.yaml")


def contents(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_data_set_becomes_events_tables_split_and_report(tmp_path: Path, workspace: Workspace) -> None:
    report = prepare(shop(tmp_path), workspace, now=NOW)

    assert (report["events"], report["users"], report["items"], report["refused"]) == (20, 3, 5, {})
    assert active_dataset(workspace).name == "shop"
    assert load_split(workspace).champion_end == datetime(2026, 1, 15, tzinfo=UTC)
    views = {path.stem for path in workspace.tables.iterdir()}
    assert views == {
        "user_activity",
        "user_history",
        "user_tastes",
        "item_popularity",
        "item_reach",
        "item_metadata",
    }
    metadata = pq.read_table(workspace.tables / "item_metadata.parquet").to_pylist()
    assert metadata[0]["tags"] in (["a", "b"], ["b", "a"])
    assert metadata[0]["event_timestamp"] == datetime(2026, 1, 1, tzinfo=UTC)


def test_nothing_is_done_twice_for_the_same_files_and_declaration(tmp_path: Path, workspace: Workspace) -> None:
    prepare(shop(tmp_path), workspace, now=NOW)
    written = workspace.events.stat().st_mtime_ns

    again = prepare(shop(tmp_path), workspace, now=NOW)

    assert again["reused"]
    assert workspace.events.stat().st_mtime_ns == written


def test_changed_files_are_read_again(tmp_path: Path, workspace: Workspace) -> None:
    dataset = shop(tmp_path)
    prepare(dataset, workspace, now=NOW)
    with (tmp_path / "events.csv").open("a") as log:
        log.write("u9,i1,2026-01-30\n")

    assert prepare(dataset, workspace, now=NOW)["events"] == 21


def test_bad_input_leaves_what_was_there_and_nothing_half_written(tmp_path: Path, workspace: Workspace) -> None:
    dataset = shop(tmp_path)
    prepare(dataset, workspace, now=NOW)
    before = contents(workspace.root)
    with (tmp_path / "events.csv").open("a") as log:
        log.write("u9,i1,2026-01-30,")
    (tmp_path / "items.csv").write_text("thing\n")

    with pytest.raises(DatasetError, match=r"items\.csv: column 'item' is declared and not there"):
        prepare(dataset, workspace, now=NOW)

    assert contents(workspace.root) == before
    assert active_dataset(workspace).name == "shop"


def test_a_kill_between_old_and_new_tables_is_mended_by_the_next_run(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = shop(tmp_path)
    prepare(dataset, workspace, now=NOW)
    with (tmp_path / "events.csv").open("a") as log:
        log.write("u9,i1,2026-01-30\n")
    with monkeypatch.context() as patched:
        patched.setattr(stage, "write_json", _die)
        with pytest.raises(KeyboardInterrupt):
            prepare(dataset, workspace, now=NOW)

    report = prepare(dataset, workspace, now=NOW)

    assert (report["reused"], report["events"]) == (False, 21)
    assert pq.read_table(workspace.events).num_rows == 21


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def test_another_data_set_is_not_poured_over_the_models_of_the_first(tmp_path: Path, workspace: Workspace) -> None:
    prepare(shop(tmp_path), workspace, now=NOW)

    with pytest.raises(DatasetError, match=r"holds the data set 'shop'.*BUILD=build/other"):
        prepare(shop(tmp_path, name="other"), workspace, now=NOW)


def test_a_log_of_one_moment_cannot_be_split(tmp_path: Path, workspace: Workspace) -> None:
    dataset = shop(tmp_path)
    (tmp_path / "events.csv").write_text("user,item,at\nu1,i1,2026-01-01\nu2,i2,2026-01-01\n")

    with pytest.raises(DatasetError, match="a time split needs events at several moments; got 1 moments"):
        prepare(dataset, workspace, now=NOW)


def test_two_runs_do_not_write_into_each_other(tmp_path: Path, workspace: Workspace) -> None:
    dataset = shop(tmp_path)
    workspace.root.mkdir()
    with (
        FileLock(workspace.root / "data.lock"),
        pytest.raises(DatasetError, match=r"another run is preparing data in .*: wait for it to end"),
    ):
        prepare(dataset, workspace, now=NOW)

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from feature_repo.core.errors import MissingArtifact, StoreUnavailable
from feature_repo.core.workspace import Workspace
from feature_repo.store.item_table import attributes, open_item_table, publish

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
ITEMS = pa.table(
    {
        "item_id": ["a", "b"],
        "title": ["Alpha", None],
        "genres": pa.array([["x", "y"], None], pa.list_(pa.string())),
        "item_event_count": pa.array([3, None], pa.int64()),
    }
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(root=tmp_path, store=tmp_path / "store")


def test_a_published_snapshot_is_what_a_process_maps(workspace: Workspace) -> None:
    publish(ITEMS, workspace, as_of=AS_OF)

    table = open_item_table(workspace)

    assert table.item_ids.tolist() == ["a", "b"]
    assert table.as_of == AS_OF
    assert table.columns["genres"].tolist() == [["x", "y"], [None, None]]
    assert attributes(table, "a")["genres"] == ["x", "y"]


def test_an_unknown_item_is_a_miss_and_never_another_items_row(workspace: Workspace) -> None:
    publish(ITEMS, workspace, as_of=AS_OF)

    assert attributes(open_item_table(workspace), "zzz") == {}


def test_an_altered_snapshot_is_refused(workspace: Workspace) -> None:
    path = publish(ITEMS, workspace, as_of=AS_OF)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))

    with pytest.raises(StoreUnavailable, match="expected SHA-256"):
        open_item_table(workspace)


def test_before_the_first_snapshot_the_sentence_names_the_command(workspace: Workspace) -> None:
    with pytest.raises(MissingArtifact, match="run `make materialize` first"):
        open_item_table(workspace)

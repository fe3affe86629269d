from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.core.errors import MissingArtifact, StoreUnavailable
from feature_repo.core.workspace import Workspace
from feature_repo.store.item_table import attributes, narrowed, open_item_table, publish

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


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_narrowed_numbers_are_the_same_numbers(numbers: list[int]) -> None:
    assert narrowed(np.array([numbers], np.int64)).tolist() == [numbers]


def test_days_and_counts_take_two_bytes_and_their_sums_do_not_overflow() -> None:
    counts = narrowed(np.full((1, 90), 32_000, np.int64))

    assert counts.dtype == np.int16
    assert counts.sum(axis=1).tolist() == [90 * 32_000]
    assert narrowed(np.array([0.5])).dtype == np.float64


@pytest.mark.parametrize("pointer", ["", "[]", '{"file": "x"}'])
def test_a_pointer_that_is_none_is_refused(workspace: Workspace, pointer: str) -> None:
    publish(ITEMS, workspace, as_of=AS_OF)
    (workspace.snapshots / "items.json").write_text(pointer)

    with pytest.raises(StoreUnavailable, match=r"items\.json must be a JSON object with file, sha256 and as_of; got"):
        open_item_table(workspace)

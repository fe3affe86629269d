from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.request_log_schema import REQUEST_LOG_SCHEMA
from serving.request_log import LoggedRequest, RequestLog, read_request_log, to_table

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def row(number: int = 0, candidates: int = 2, **changes: Any) -> LoggedRequest:
    fields = {
        "request_id": f"r{number}",
        "received_at": NOON + timedelta(seconds=number),
        "moment": NOON,
        "user_id": "u",
        "variant": "stable",
        "model_version": "3",
        "degraded": (),
        "user_row": {"days": np.array([1, 2]), "name": None},
        "k": 10,
        "slate": ["a"],
        "candidates": np.array(["a", "b", "c"][:candidates], object),
        "sources": np.array(["x", "y", "z"][:candidates], object),
        "scores": np.array([0.5, 0.25, 0.125][:candidates], np.float32),
        "features": np.arange(2 * candidates, dtype=np.float32).reshape(candidates, 2),
        "feature_names": ("f", "g"),
    }
    return LoggedRequest(**{**fields, **changes})


def request_log(folder: Path, *, dropped: list[int], **limits: Any) -> RequestLog:
    defaults = {"queue_rows": 100, "flush_rows": 10, "flush_seconds": 60.0}
    return RequestLog(folder, name="test", on_dropped=dropped.append, **{**defaults, **limits})


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(root=tmp_path, store=tmp_path / "store")


def test_rows_of_unequal_length_keep_their_own_candidates_and_features() -> None:
    table = to_table([row(0, candidates=3), row(1, candidates=0), row(2, candidates=1)])

    assert table.schema == REQUEST_LOG_SCHEMA
    assert table["candidates"].to_pylist() == [["a", "b", "c"], [], ["a"]]
    assert table["scores"].to_pylist() == [[0.5, 0.25, 0.125], [], [0.5]]
    assert table["features"].to_pylist() == [[[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], [], [[0.0, 1.0]]]


def test_the_users_row_is_kept_as_json_and_an_unread_one_as_null() -> None:
    table = to_table([row(), row(user_row=None)])

    assert table["user_features"].to_pylist() == ['{"days":[1,2],"name":null}', None]


def test_what_is_queued_at_the_end_is_written(workspace: Workspace) -> None:
    log = request_log(workspace.request_log, dropped=[])
    log.start()
    for number in range(25):
        log.offer(row(number))

    log.close()

    assert read_request_log(workspace)["request_id"].to_pylist() == [f"r{n}" for n in range(25)]
    assert len(list(workspace.request_log.glob("*.parquet"))) >= 3


def test_a_full_queue_drops_rows_and_counts_them(workspace: Workspace) -> None:
    dropped: list[int] = []
    log = request_log(workspace.request_log, dropped=dropped, queue_rows=2)

    for number in range(5):
        log.offer(row(number))

    assert sum(dropped) == 3


def test_rows_that_the_disk_refuses_are_counted_and_the_next_ones_are_written(workspace: Workspace) -> None:
    dropped: list[int] = []
    workspace.store.mkdir()
    workspace.request_log.write_text("a file stands where the folder belongs")
    log = request_log(workspace.request_log, dropped=dropped, flush_rows=1)
    log.start()
    log.offer(row(0))
    while not dropped:
        pass
    workspace.request_log.unlink()

    log.offer(row(1))
    log.close()

    assert dropped == [1]
    assert read_request_log(workspace)["request_id"].to_pylist() == ["r1"]


def test_a_row_that_cannot_be_written_does_not_end_the_log(workspace: Workspace) -> None:
    dropped: list[int] = []
    log = request_log(workspace.request_log, dropped=dropped, flush_rows=1)
    log.start()

    log.offer(row(0, scores=np.zeros(7, np.float32)))
    log.offer(row(1))
    log.close()

    assert dropped == [1]
    assert read_request_log(workspace)["request_id"].to_pylist() == ["r1"]


def test_a_file_that_is_being_written_is_not_read(workspace: Workspace) -> None:
    workspace.request_log.mkdir(parents=True)
    (workspace.request_log / ".half.parquet.partial").write_bytes(b"PAR1")

    assert read_request_log(workspace).num_rows == 0

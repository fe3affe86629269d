from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.pseudonym import Pseudonyms, open_pseudonyms
from feature_repo.dataset.request_log import require_key
from feature_repo.dataset.request_log_schema import REQUEST_LOG_SCHEMA
from serving.request_log import LoggedRequest, RequestLog, read_request_log, to_table

PSEUDONYMS = Pseudonyms(b"the key of this deployment", in_store=False)
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
        "propensities": [1.0],
        "candidates": np.array(["a", "b", "c"][:candidates], object),
        "sources": np.array(["x", "y", "z"][:candidates], object),
        "scores": np.array([0.5, 0.25, 0.125][:candidates], np.float32),
        "features": np.arange(2 * candidates, dtype=np.float32).reshape(candidates, 2),
        "feature_names": ("f", "g"),
    }
    return LoggedRequest(**{**fields, **changes})


def request_log(folder: Path, *, dropped: list[int], **limits: Any) -> RequestLog:
    defaults: dict[str, Any] = {"queue_rows": 100, "flush_rows": 10, "flush_seconds": 60.0}
    defaults["pseudonyms"] = lambda: PSEUDONYMS
    return RequestLog(folder, name="test", on_dropped=dropped.append, **{**defaults, **limits})


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(root=tmp_path, store=tmp_path / "store")


def test_rows_of_unequal_length_keep_their_own_candidates_and_features() -> None:
    table = to_table([row(0, candidates=3), row(1, candidates=0), row(2, candidates=1)], PSEUDONYMS)

    assert table.schema == REQUEST_LOG_SCHEMA
    assert table["candidates"].to_pylist() == [["a", "b", "c"], [], ["a"]]
    assert table["scores"].to_pylist() == [[0.5, 0.25, 0.125], [], [0.5]]
    assert table["features"].to_pylist() == [[[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], [], [[0.0, 1.0]]]


def test_the_users_row_is_kept_as_json_and_an_unread_one_as_null() -> None:
    table = to_table([row(), row(user_row=None)], PSEUDONYMS)

    assert table["user_features"].to_pylist() == ['{"days":[1,2],"name":null}', None]


def test_the_rollout_and_the_users_bucket_are_kept_and_may_be_absent() -> None:
    table = to_table([row(rollout="2-over-1", bucket=0), row()], PSEUDONYMS)

    assert table.select(["rollout", "bucket"]).to_pylist() == [
        {"rollout": "2-over-1", "bucket": 0},
        {"rollout": None, "bucket": None},
    ]


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


def test_a_user_is_in_the_log_under_a_pseudonym_alone(workspace: Workspace) -> None:
    log = request_log(workspace.request_log, dropped=[])
    log.start()
    log.offer(row(0, user_id="ann.lee@example.org"))
    log.close()

    (file,) = workspace.request_log.glob("*.parquet")
    assert read_request_log(workspace)["user_id"].to_pylist() == [PSEUDONYMS.of("ann.lee@example.org")]
    assert b"ann.lee" not in file.read_bytes()
    require_key(workspace, PSEUDONYMS)


def test_rows_that_no_key_hides_are_dropped_and_counted_until_there_is_one(workspace: Workspace) -> None:
    dropped: list[int] = []
    workspace.store.write_text("a file stands where the folder of the key belongs")
    log = request_log(
        workspace.root / "log", dropped=dropped, flush_rows=1, pseudonyms=lambda: open_pseudonyms(workspace)
    )
    log.start()
    log.offer(row(0))
    while not dropped:
        pass
    workspace.store.unlink()

    log.offer(row(1))
    log.close()

    assert dropped == [1]
    (file,) = (workspace.root / "log").glob("*.parquet")
    assert pq.read_table(file)["user_id"].to_pylist() == [open_pseudonyms(workspace).of("u")]


def test_a_row_that_the_second_log_refuses_is_in_neither_and_counted(workspace: Workspace) -> None:
    class Full:
        def write(self, rows: Any, pseudonyms: Any) -> None:
            raise OSError(28, f"no space for {len(rows)} rows of {pseudonyms.check}")

    dropped: list[int] = []
    log = request_log(workspace.request_log, dropped=dropped, features=Full())
    log.start()
    log.offer(row(0))
    log.offer(row(1))
    log.close()

    assert dropped == [2]
    assert list(workspace.request_log.iterdir()) == []


def test_a_slate_has_a_propensity_for_each_item() -> None:
    with pytest.raises(ValueError, match="one propensity for each item of its slate; got 1 for 2 items"):
        to_table([row(0, slate=["a", "b"])], PSEUDONYMS)


def test_rows_from_before_propensities_were_logged_are_read_with_the_others(workspace: Workspace) -> None:
    workspace.request_log.mkdir(parents=True)
    old = to_table([row(0)], PSEUDONYMS).drop_columns("propensities")
    pq.write_table(old, workspace.request_log / "old.parquet")
    pq.write_table(to_table([row(1, propensities=[0.25])], PSEUDONYMS), workspace.request_log / "new.parquet")

    assert read_request_log(workspace)["propensities"].to_pylist() == [None, [0.25]]


def test_only_the_columns_that_are_asked_for_are_read(workspace: Workspace) -> None:
    workspace.request_log.mkdir(parents=True)
    pq.write_table(to_table([row(1), row(0)], PSEUDONYMS), workspace.request_log / "one.parquet")

    table = read_request_log(workspace, ["request_id", "candidates"])

    assert table.column_names == ["request_id", "candidates"]
    assert table["request_id"].to_pylist() == ["r0", "r1"], "by the time, which was not asked for"

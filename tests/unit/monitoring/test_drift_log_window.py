"""The request log as a window, from rows as the service writes them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.request_log_schema import REQUEST_LOG_SCHEMA
from monitoring.drift.log_window import log_windows, logged_window
from monitoring.drift.policy import DriftPolicy

POLICY = DriftPolicy()
START = datetime(2026, 1, 5, tzinfo=UTC)


def answer(number: int, **changed: Any) -> dict[str, Any]:
    """An answer with three candidates, of which the slate shows the third and the first."""
    moment = START + timedelta(minutes=number)
    row = {
        "request_id": f"r{number}",
        "received_at": moment,
        "moment": moment,
        "user_id": f"pseudonym{number % 5}",
        "variant": "stable",
        "model_version": "7",
        "degraded": [],
        "user_features": "{}",
        "k": 2,
        "slate": ["c", "a"],
        "propensities": [1.0, 1.0],
        "candidates": ["a", "b", "c"],
        "sources": ["ease"] * 3,
        "scores": [0.1, 0.2, 0.3],
        "features": [[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]],
        "feature_names": ["age", "price"],
    }
    return row | changed


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=REQUEST_LOG_SCHEMA)


def test_each_place_of_a_slate_is_a_row_with_its_own_score_and_features() -> None:
    window = logged_window(table(answer(0)), POLICY)

    held = window.sample.drop_columns(["moment"]).to_pylist()
    assert [row["item_id"] for row in held] == ["c", "a"]
    assert [row["age"] for row in held] == [3.0, 1.0]
    assert [row["price"] for row in held] == [30.0, 10.0]
    assert [round(row["score"], 3) for row in held] == [0.3, 0.1]
    assert {row["user_id"] for row in held} == {"pseudonym0"}
    assert (window.size.rows, window.size.requests, window.source, window.flaws) == (2, 1, "log", ())


def test_an_item_that_no_ranker_scored_has_no_row() -> None:
    window = logged_window(table(answer(0, slate=["z", "b"]), answer(1, slate=[], propensities=[])), POLICY)

    assert window.sample["item_id"].to_pylist() == ["b"]


@pytest.mark.parametrize(
    ("rows", "flaw"),
    [
        ([answer(0, propensities=None), answer(1)], "1 of 2 answers have no propensities"),
        ([answer(0, user_features=None), answer(1)], "1 of 2 answers were made without the user's features"),
        (
            [answer(0, moment=START - timedelta(days=2)), answer(1)],
            "1 of 2 answers were made with features of more than a day before",
        ),
        ([answer(0), answer(0)], "1 of 2 answers are logged twice"),
        ([answer(0), answer(1, feature_names=["age", "cost"])], "answers hold 2 different lists of features"),
    ],
)
def test_what_is_wrong_with_a_log_is_among_the_flaws_of_its_window(rows: list[dict[str, Any]], flaw: str) -> None:
    assert flaw in logged_window(table(*rows), POLICY).flaws


def test_the_newest_days_of_the_version_are_one_window_and_as_many_before_another(tmp_path: Path) -> None:
    workspace = Workspace(root=tmp_path, store=tmp_path / "store")
    workspace.request_log.mkdir(parents=True)
    newest = START + timedelta(days=10)
    rows = table(
        answer(0, received_at=START - timedelta(days=5)),
        answer(1),
        answer(2, received_at=newest, moment=newest),
        answer(3, received_at=newest, model_version="8"),
    )
    pq.write_table(rows, workspace.request_log / "a.parquet")

    found = log_windows(workspace, "7", POLICY)

    assert [set(window.sample["request_id"].to_pylist()) for window in found if window] == [{"r2"}, {"r1"}]
    assert [window is None for window in log_windows(workspace, "8", POLICY)] == [False, True]
    assert log_windows(workspace, "9", POLICY) == (None, None)


def test_a_large_log_is_sampled_by_whole_answers_and_the_same_ones_each_time() -> None:
    log = table(*(answer(number) for number in range(60)))
    policy = DriftPolicy(sample_rows=100)

    first, second = logged_window(log, policy), logged_window(log, policy)

    assert first.size.requests == 10
    assert first.sample["request_id"].to_pylist() == second.sample["request_id"].to_pylist()

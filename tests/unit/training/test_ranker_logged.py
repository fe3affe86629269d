"""Training rows from the request log: which event answers which request, and which rows count at all."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.core.errors import DatasetError, SettingsRefused
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.pseudonym import open_pseudonyms
from feature_repo.dataset.request_log_schema import REQUEST_LOG_SCHEMA
from training.__main__ import _log_source
from training.ranking.attribution import NONE, Asked, Happened, answered_requests
from training.ranking.logged import LogSource, log_fingerprint, logged_rows

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
NAMES = ("f", "g")
TYPES = ("view", "buy", "hide")
SOURCE = LogSource("3", window=2 * HOUR, least=1)


def asked(*requests: tuple[str, str, int]) -> Asked:
    ids, users, moments = zip(*requests, strict=True)
    return Asked(np.array(ids, object), np.array(users, object), np.array(moments, np.int64))


def happened(*events: tuple[str, int, str | None]) -> Happened:
    users, moments, requests = zip(*events, strict=True)
    return Happened(np.array(users, object), np.array(moments, np.int64), np.array(requests, object))


def test_an_event_answers_the_request_that_it_names_and_else_the_last_one_of_its_user() -> None:
    requests = asked(("r0", "ann", 0), ("r1", "bob", 5), ("r2", "ann", 10))
    events = happened(("ann", 12, None), ("ann", 12, "r0"), ("ann", 10, None), ("ann", 9, None), ("cy", 12, None))

    found = answered_requests(requests, events, window_us=100)

    assert found.tolist() == [2, 0, 2, 0, NONE]


def test_an_event_before_its_request_or_after_the_window_or_of_somebody_else_answers_nothing() -> None:
    requests = asked(("r0", "ann", 10))
    events = happened(("ann", 9, "r0"), ("ann", 9, None), ("ann", 20, None), ("ann", 20, "r0"), ("bob", 11, "r0"))

    assert answered_requests(requests, events, window_us=10).tolist() == [NONE] * 5
    assert answered_requests(requests, happened(("ann", 19, "gone")), window_us=10).tolist() == [NONE]
    assert answered_requests(requests, happened(("ann", 19, "r0")), window_us=10).tolist() == [0]


moments = st.integers(0, 50)


@given(
    requests=st.lists(st.tuples(st.sampled_from("abc"), moments), min_size=1, max_size=20),
    events=st.lists(st.tuples(st.sampled_from("abc"), moments), min_size=1, max_size=20),
    window=st.integers(1, 60),
)
def test_every_attribution_is_to_the_newest_request_of_the_user_within_the_window(
    requests: list[tuple[str, int]], events: list[tuple[str, int]], window: int
) -> None:
    ordered = sorted(requests, key=lambda request: request[1])
    found = answered_requests(
        asked(*[(f"r{n}", user, at) for n, (user, at) in enumerate(ordered)]),
        happened(*[(user, at, None) for user, at in events]),
        window_us=window,
    )

    for (user, at), place in zip(events, found.tolist(), strict=True):
        before = [n for n, (other, then) in enumerate(ordered) if other == user and then <= at]
        expected = before[-1] if before and at - ordered[before[-1]][1] < window else NONE
        assert place == expected


@pytest.fixture(autouse=True)
def _no_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RECOMMENDER_PSEUDONYM_KEY", raising=False)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(root=tmp_path, store=tmp_path / "store")
    workspace.events.parent.mkdir(parents=True)
    workspace.request_log.mkdir()
    return workspace


def write_log(workspace: Workspace, *rows: dict[str, Any]) -> None:
    """A request of ann's for each of `rows`, an hour apart, candidates a, b and c, changed as each row says."""
    name = open_pseudonyms(workspace).of
    whole = [
        {
            "request_id": f"r{n}",
            "received_at": NOON + n * HOUR,
            "moment": NOON + n * HOUR,
            "variant": "stable",
            "model_version": "3",
            "degraded": [],
            "user_features": "{}",
            "k": 2,
            "slate": ["a", "b"],
            "propensities": [1.0, 1.0],
            "candidates": ["a", "b", "c"],
            "sources": ["x", "x", "y"],
            "scores": [0.5, 0.25, 0.125],
            "features": [[n, 0.0], [n, 1.0], [n, float("nan")]],
            "feature_names": list(NAMES),
            **row,
            "user_id": name(row.get("user_id", "ann")),
        }
        for n, row in enumerate(rows)
    ]
    pq.write_table(pa.Table.from_pylist(whole, REQUEST_LOG_SCHEMA), workspace.request_log / "one.parquet")


def write_events(workspace: Workspace, *events: tuple[str, str, timedelta, str, str | None]) -> None:
    names = ("user_id", "item_id", "timestamp", "event_type", "request_id")
    rows = [dict(zip(names, (u, i, NOON + after, kind, request), strict=True)) for u, i, after, kind, request in events]
    kinds = {name: pa.string() for name in names} | {"timestamp": pa.timestamp("us", "UTC")}
    pq.write_table(pa.Table.from_pylist(rows, pa.schema(list(kinds.items()))), workspace.events)


def rows_of(workspace: Workspace, source: LogSource = SOURCE, **changes: Any) -> Any:
    limits = {"since": NOON, "until": NOON + 24 * HOUR, "feature_names": NAMES, "event_types": TYPES, **changes}
    return logged_rows(workspace, source, **limits)


def test_the_matrix_is_the_one_that_was_served_and_the_answers_are_what_followed(workspace: Workspace) -> None:
    write_log(workspace, {}, {"user_id": "bob", "candidates": ["c"], "scores": [9.0], "features": [[7.0, 8.0]]})
    write_events(
        workspace,
        ("ann", "b", 0.1 * HOUR, "view", None),
        ("ann", "b", 0.2 * HOUR, "buy", "r0"),
        ("ann", "an item that was no candidate", 0.3 * HOUR, "buy", None),
        ("bob", "c", 1.5 * HOUR, "hide", None),
        ("bob", "c", 9 * HOUR, "buy", None),
    )

    found = rows_of(workspace)

    np.testing.assert_array_equal(found.matrix, np.array([[0, 0], [0, 1], [0, np.nan], [7, 8]], np.float32))
    assert found.matrix.dtype == np.float32
    assert found.request.tolist() == [0, 0, 0, 1]
    assert found.item_ids.tolist() == ["a", "b", "c", "c"]
    assert found.answered.tolist() == [[False] * 3, [True, True, False], [False] * 3, [False, False, True]]
    assert found.champion.tolist() == [0.5, 0.25, 0.125, 9.0]
    assert [moment.user_id for moment in found.asked] == ["ann", "bob"]


def test_only_whole_answers_of_the_version_whose_window_is_over_are_learnt_from(workspace: Workspace) -> None:
    write_log(
        workspace,
        {},
        {"model_version": "4"},
        {"degraded": ["features"]},
        {"feature_names": ["f", "another"]},
        {"moment": NOON - HOUR},
        {},
        {"moment": NOON + 23 * HOUR},
    )
    write_events(workspace, *[("ann", "a", (n + 0.1) * HOUR, "view", f"r{n}") for n in range(7)])

    found = rows_of(workspace)

    assert [moment.moment_us for moment in found.asked] == [
        int((NOON + after).timestamp() * 1e6) for after in (0 * HOUR, 5 * HOUR)
    ]
    with pytest.raises(DatasetError) as refused:
        rows_of(workspace, LogSource("3", window=2 * HOUR, least=3))
    assert str(refused.value) == (
        "training from the request log needs 3 requests of version 3 with an event on one of their candidates within "
        "2:00:00; got 2 of 7 logged (1 of other versions, 1 degraded, 1 with other features, 1 before "
        "2026-05-01T12:00:00+00:00, 1 whose attribution window is not over): serve it for longer, bring the events in "
        "with `make data`, or train without SOURCE=log"
    )


def test_an_empty_log_is_refused(workspace: Workspace) -> None:
    write_events(workspace, ("ann", "a", HOUR, "view", None))

    with pytest.raises(DatasetError, match=r"needs 1 requests of version 3 .* got 0 of 0 logged: serve it for longer"):
        rows_of(workspace)


def test_what_is_served_later_makes_another_run(workspace: Workspace) -> None:
    nothing = log_fingerprint(workspace, SOURCE)
    write_log(workspace, {}, {"model_version": "4"})
    one = log_fingerprint(workspace, SOURCE)
    write_log(workspace, {}, {})

    assert len({nothing, one, log_fingerprint(workspace, SOURCE)}) == 3
    assert log_fingerprint(workspace, LogSource("3")) != log_fingerprint(workspace, SOURCE)


@pytest.mark.parametrize(
    ("source", "start", "hours", "least", "said"),
    [
        ("logs", "3", 24, 100, "SOURCE is stores or log; got 'logs'"),
        ("log", "champion", 24, 100, "goes on from a version that was served, and none is champion yet"),
        ("log", "3", 0, 100, "needs a window and requests above 0; got 0:00:00 and 100"),
        ("log", "3", 24, 0, "needs a window and requests above 0; got 1 day, 0:00:00 and 0"),
    ],
)
def test_what_to_learn_from_is_refused_with_the_rule_that_it_breaks(
    source: str, start: str, hours: float, least: int, said: str
) -> None:
    with pytest.raises(SettingsRefused, match=said):
        _log_source(source, start, timedelta(hours=hours), least)


def test_without_a_source_the_stores_are_learnt_from() -> None:
    assert _log_source("stores", None, timedelta(hours=24), 100) is None
    assert _log_source("log", "3", timedelta(hours=24), 100) == LogSource("3")

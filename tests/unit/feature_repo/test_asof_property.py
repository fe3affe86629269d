"""Any small history, any question: the join answers what ten lines of Python answer."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from asof_world import STAMP, applied, frame, hours, view
from feast import FeatureStore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TTLS = [timedelta(0), timedelta(hours=2)]
USERS, HOURS = ["a", "b", None], [None, 0, 1, 2, 3, 4, 5]
# Few users and hours, so that rows meet: at one time, written at one time, overtaken by another, just too old.
HISTORY = st.lists(st.tuples(*map(st.sampled_from, (USERS, HOURS, HOURS))), max_size=16, unique=True)
# Every question, in any order, some of them twice.
QUESTIONS = [(user, hour) for user in (*USERS, "nobody") for hour in (*HOURS, 6, 7, 8)]
ASKED = st.permutations(QUESTIONS).flatmap(lambda all_: st.integers(0, 9).map(lambda n: all_ + all_[:n]))


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> tuple[FeatureStore, Path]:
    """Views over one table, by time to live, with its created timestamps and over its first rows without them."""
    folder = tmp_path_factory.mktemp("property")
    views = []
    for ttl in TTLS:
        age = f"{ttl // timedelta(hours=1)}h"
        dated = {"created_timestamp_column": "made"}
        views.append(view(f"created_{age}", str(folder / "created.parquet"), ttl=ttl, **dated))
        views.append(view(f"plain_{age}", str(folder / "plain.parquet"), ttl=ttl))
    write(folder, [])
    return applied(folder, views), folder


def write(folder: Path, history: list[tuple[Any, Any, Any]]) -> None:
    """Value n is row n; plain.parquet has the first row of each user and time, since nothing there breaks a tie."""
    columns = [
        [None if h is None else hours(h) for h in column]
        for column in ([r[1] for r in history], [r[2] for r in history])
    ]
    table = pa.table(
        {
            "user_id": pa.array([row[0] for row in history], pa.string()),
            "at": pa.array(columns[0], STAMP),
            "made": pa.array(columns[1], STAMP),
            "value": pa.array(range(len(history)), pa.int64()),
        }
    )
    pq.write_table(table, folder / "created.parquet")
    pq.write_table(table.take(first_of_each(history)), folder / "plain.parquet")


def first_of_each(history: list[tuple[Any, Any, Any]]) -> pa.Array:
    return pa.array({row[:2]: n for n, row in reversed(list(enumerate(history)))}.values(), pa.int64())


def expected(
    history: list[tuple[Any, Any, Any]], among: list[int], user: Any, t: Any, ttl: timedelta, *, known: bool
) -> int | None:
    seen = [
        (at, -1 if made is None else made, n)
        for n, (owner, at, made) in enumerate(history)
        if n in among and owner == user is not None and at is not None and t is not None and at <= t
        if not known or (made is not None and made <= t)
    ]
    at, _, n = max(seen, default=(0, 0, None))
    return None if n is None or (ttl and timedelta(hours=t - at) > ttl) else n


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=HISTORY, asked=ASKED)
def test_the_join_answers_what_brute_force_answers(
    opened: tuple[FeatureStore, Path], history: list[Any], asked: list[Any]
) -> None:
    store, folder = opened
    write(folder, history)
    questions = frame([user for user, _ in asked], [None if t is None else hours(t) for _, t in asked])
    questions["event_timestamp"] = questions["event_timestamp"].astype("datetime64[us, UTC]")

    for kind, known in (("plain", False), ("created", False), ("created", True)):
        names = [f"{kind}_{ttl // timedelta(hours=1)}h" for ttl in TTLS]
        among = list(range(len(history))) if kind == "created" else first_of_each(history).to_pylist()
        answer = store.get_historical_features(
            questions,
            features=[f"{name}:value" for name in names],
            full_feature_names=True,
            filter_by_created_timestamp=known,
        ).to_arrow()

        for name, ttl in zip(names, TTLS, strict=True):
            right = [expected(history, among, user, t, ttl, known=known) for user, t in asked]
            assert answer[f"{name}__value"].to_pylist() == right

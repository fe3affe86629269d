import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

from feature_repo.core.workspace import Workspace
from feature_repo.store.coverage import write_coverage
from serving.operations.freshness import freshness
from serving.operations.warm_up import warm_up_queries

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def test_a_process_asks_itself_for_new_and_known_users_in_every_way() -> None:
    queries = warm_up_queries(["u1"], ["a", "b", "c", "d"])

    assert {query.user_id for query in queries} == {"warm-up", "u1"}
    ways = [(len(query.exclude), query.session) for query in queries if query.user_id == "u1"]
    assert ways == [(0, ()), (3, ()), (0, ("a", "b", "c"))]


def test_without_items_and_known_users_there_is_still_something_to_ask() -> None:
    assert len(warm_up_queries([], [])) == 3


def test_freshness_counts_from_the_last_event_in_the_batch_state_as_it_is_now(tmp_path: Path) -> None:
    workspace = Workspace(root=tmp_path, store=tmp_path / "store")
    seconds = freshness(workspace, lambda: NOW)

    before = seconds()
    write_coverage(workspace, until=NOW - timedelta(days=1))
    first = seconds()
    write_coverage(workspace, until=NOW - timedelta(hours=1))

    assert math.isnan(before)
    assert (first, seconds()) == (86_400, 3_600)

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace, write_json
from serving.probe import held_out_requests, recommend_body

START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Ten events, a day apart; the last four are held out."""
    workspace = Workspace(root=tmp_path, store=tmp_path / "store")
    days = [START + timedelta(days=n) for n in range(10)]
    workspace.events.parent.mkdir(parents=True)
    table = pa.table({"user_id": [f"u{n}" for n in range(10)], "timestamp": pa.array(days, pa.timestamp("us", "UTC"))})
    pq.write_table(table, workspace.events)
    ends = {"start": days[0], "champion_end": days[3], "challenger_end": days[6], "test_end": days[9]}
    write_json(workspace.events.with_name("split.json"), {name: day.isoformat() for name, day in ends.items()})
    return workspace


def test_requests_come_from_the_held_out_window_spread_evenly_and_in_order(workspace: Workspace) -> None:
    assert [user for user, _ in held_out_requests(workspace, 4)] == ["u6", "u7", "u8", "u9"]
    assert held_out_requests(workspace, 2) == [("u6", START + timedelta(days=6)), ("u9", START + timedelta(days=9))]


def test_asking_for_more_events_than_are_held_out_is_refused(workspace: Workspace) -> None:
    with pytest.raises(MissingArtifact, match="a probe of 5 requests needs as many held-out events; got 4"):
        held_out_requests(workspace, 5)


def test_a_request_asks_about_the_moment_of_its_event() -> None:
    body = json.loads(recommend_body("u1", START))

    assert body == {"user_id": "u1", "k": 10, "context": {"timestamp": "2024-01-01T00:00:00+00:00"}}

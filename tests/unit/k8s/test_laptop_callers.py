"""Who asks on a laptop: what is sent, what is clicked, what is counted."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.core.assignment import bucket_of
from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace, write_json
from feature_repo.dataset.declaration import Dataset, Events
from k8s.dataplane.traefik_routes import HEADER
from k8s.laptop.callers import KEY, STRIDE, Callers, Tally, bucket_header
from k8s.laptop.click_file import ClickFiles
from k8s.laptop.visits import Visit, held_out_visits, simulated_visits
from monitoring.audience.audience import Audience

START = datetime(2026, 1, 1, tzinfo=UTC)
REAL = [Visit("7", START + timedelta(minutes=item), chosen=str(item)) for item in range(STRIDE + 10)]


class World:
    """A gateway that gives every tenth request to the canary."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []
        self.status = 200

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        variant = "canary" if len(self.asked) % 10 == 0 else "stable"
        items = [{"item_id": "3"}, {"item_id": "9"}]
        answer = {"items": items, "variant": variant, "request_id": str(len(self.asked))}
        return httpx.Response(self.status, json=answer)


@contextmanager
def calling(
    world: World, visits: Iterator[Visit], folder: Path, *, worse: bool = False
) -> Iterator[tuple[Callers, ClickFiles]]:
    clicks = ClickFiles(folder)
    with httpx.Client(transport=httpx.MockTransport(world)) as client, ThreadPoolExecutor(1) as pool:
        yield Callers(visits, client=client, pool=pool, clicks=clicks, worse_canary=worse), clicks


def told(clicks: ClickFiles) -> pa.Table:
    return pa.concat_tables([pq.read_table(file) for file in clicks.files()])


def test_visits_are_asked_for_in_order_each_at_its_own_moment(tmp_path: Path) -> None:
    world = World()

    with calling(world, iter(REAL), tmp_path) as (callers, _):
        callers.send("http://gateway", seconds=10)

    bodies = [json.loads(request.content) for request in world.asked]
    assert bodies[1] == {"user_id": "7", "k": 10, "context": {"timestamp": "2026-01-01T00:01:00+00:00"}}
    assert len(bodies) == len(REAL)


def test_a_hit_is_a_slate_with_the_item_of_its_event(tmp_path: Path) -> None:
    with calling(World(), iter(REAL), tmp_path) as (callers, _):
        tally = callers.send("http://gateway", seconds=10)

    assert (tally.requests, tally.failed, callers.exhausted) == (len(REAL), 0, True)
    assert tally.hit_rate("stable") == pytest.approx(1 / 27)
    assert tally.hit_rate("canary") == pytest.approx(1 / 3)
    assert tally.hit_rate("shadow") is None


def test_a_request_without_an_answer_has_failed(tmp_path: Path) -> None:
    world = World()
    world.status = 500

    with calling(world, iter(REAL), tmp_path) as (callers, _):
        tally = callers.send("http://gateway", seconds=10)

    assert (tally.requests, tally.failed, tally.hit_rate("stable")) == (len(REAL), len(REAL), None)


def test_a_gateway_that_is_gone_is_a_failed_request(tmp_path: Path) -> None:
    def gone(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with httpx.Client(transport=httpx.MockTransport(gone)) as client, ThreadPoolExecutor(1) as pool:
        callers = Callers(iter(REAL[:1]), client=client, pool=pool, clicks=ClickFiles(tmp_path))
        assert callers.send("http://gateway", seconds=10) == Tally(requests=1, failed=1)


def test_mirrored_requests_leave_each_copy_as_long_as_its_answer_took(tmp_path: Path) -> None:
    spans: list[tuple[float, float]] = []

    def slow(_: httpx.Request) -> httpx.Response:
        began = time.monotonic()
        time.sleep(0.01)
        spans.append((began, time.monotonic()))
        return httpx.Response(200, json={"items": [], "variant": "stable", "request_id": "-"})

    with httpx.Client(transport=httpx.MockTransport(slow)) as client, ThreadPoolExecutor(2) as pool:
        callers = Callers(iter(REAL), client=client, pool=pool, clicks=ClickFiles(tmp_path))
        tally = callers.send("http://gateway", seconds=10, mirrored=True)

    assert tally.requests == len(REAL)
    assert all(later - ended >= ended - began for (began, ended), (later, _) in pairwise(spans))


def test_clicks_answer_the_request_that_showed_the_item_and_no_hit_is_counted(tmp_path: Path) -> None:
    visit = Visit("7", START, clicks=lambda _slate: [1])

    with calling(World(), iter([visit] * 2), tmp_path) as (callers, clicks):
        tally = callers.send("http://gateway", seconds=10)

    assert told(clicks).select(["request_id", "item_id"]).to_pylist() == [
        {"request_id": "1", "item_id": "9"},
        {"request_id": "2", "item_id": "9"},
    ]
    assert tally.hit_rate("stable") is None


def test_half_of_the_people_send_the_bucket_that_the_hash_gives_them() -> None:
    headers = {str(user): bucket_header(str(user)) for user in range(400)}

    sent = {user: header[HEADER] for user, header in headers.items() if header}
    assert 150 < len(sent) < 250
    assert all(bucket == str(bucket_of(user, layer="rollout", key=KEY)) for user, bucket in sent.items())


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Forty events, a second apart, of five users on seven items; the last twenty are held out."""
    workspace = Workspace(root=tmp_path, store=tmp_path)
    workspace.events.parent.mkdir(parents=True)
    columns = {
        "user_id": [str(second % 5) for second in range(40)],
        "item_id": [str(second % 4 if second % 3 else 6) for second in range(40)],
        "timestamp": pa.array([START + timedelta(seconds=second) for second in range(40)], pa.timestamp("us", "UTC")),
        "store": ["north" if second % 2 else None for second in range(40)],
        "score": [1.0] * 40,
    }
    pq.write_table(pa.table(columns), workspace.events)
    mapped = {"user_id": "u", "item_id": "i", "timestamp": "t"}
    events = Events(path="-", columns=mapped, event_type="view", context=["store"])
    declared = Dataset(name="tiny", events=events, weights={"view": 1.0})
    workspace.events.with_name("dataset.json").write_text(declared.model_dump_json())
    cuts = {"start": 0, "champion_end": 10, "challenger_end": 20, "test_end": 40}
    moments = {name: (START + timedelta(seconds=second)).isoformat() for name, second in cuts.items()}
    write_json(workspace.events.with_name("split.json"), moments)
    return workspace


def test_only_the_held_out_window_is_replayed_with_its_context(workspace: Workspace) -> None:
    visits = held_out_visits(workspace)

    assert len(visits) == 20
    assert visits[0] == Visit("0", START + timedelta(seconds=20), {}, chosen="0")
    assert visits[1].context == {"store": "north"}


def test_without_data_the_missing_step_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingArtifact, match="run `make data` first"):
        held_out_visits(Workspace(root=tmp_path, store=tmp_path))


def test_simulated_people_never_end_and_do_the_same_again_with_the_same_seed(workspace: Workspace) -> None:
    audience, moments = Audience.of(workspace, 7), [visit.moment for visit in held_out_visits(workspace)]

    def acts() -> list[tuple[str, list[int]]]:
        visits = simulated_visits(audience, moments, seed=7)
        slate = [str(item) for item in range(4)] * 10
        return [
            (visit.user_id, list(visit.clicks(slate)))
            for visit, _ in zip(visits, range(50), strict=False)
            if visit.clicks
        ]

    first = acts()

    assert len(first) == 50
    assert first == acts()
    assert sum(len(clicked) for _, clicked in first) > 0


def test_a_worse_canary_keeps_every_third_click_and_the_stable_all(tmp_path: Path) -> None:
    visit = Visit("7", START, clicks=lambda _slate: [0, 1])

    with calling(World(), iter([visit] * 40), tmp_path, worse=True) as (callers, clicks):
        callers.send("http://gateway", seconds=10)

    of = [int(request) % 10 == 0 for request in told(clicks)["request_id"].to_pylist()]
    assert (of.count(True), of.count(False)) == (3, 72)

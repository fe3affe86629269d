"""Replayed events: what is asked, what is counted, and what two scrapes make of it."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace, write_json
from feature_repo.dataset.declaration import Dataset, Events
from k8s.evidence import Missing, OperationsEvidence, Window
from k8s.observe import Observation, Observer, Pods
from k8s.policy import Policy
from k8s.replay import PastEvent, Replay, held_out_events
from k8s.rollout import Rollout, State

START = datetime(2026, 1, 1, tzinfo=UTC)
EVENTS = [PastEvent("7", str(item), START + timedelta(minutes=item)) for item in range(30)]
PODS = Pods(stable="http://stable", canary="http://canary", gateway="http://gateway")


class World:
    """A gateway that gives every tenth request to the canary, and two pods that count what they got."""

    def __init__(self) -> None:
        self.asked: list[dict[str, object]] = []
        self.answers = {"stable": 0, "canary": 0}
        self.refuse: Callable[[httpx.Request], bool] = lambda _: False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.refuse(request):
            return httpx.Response(500)
        if request.url.path == "/metrics":
            return httpx.Response(200, text=self.metrics(request.url.host))
        self.asked.append(json.loads(request.content))
        variant = "canary" if len(self.asked) % 10 == 0 else "stable"
        self.answers[variant] += 1
        items = [{"item_id": "3"}, {"item_id": "9"}]
        return httpx.Response(200, json={"items": items, "variant": variant})

    def metrics(self, variant: str) -> str:
        count = self.answers[variant]
        return (
            f'# TYPE recommend_requests_total counter\nrecommend_requests_total{{code="200"}} {count}\n'
            "# TYPE recommend_degraded_total counter\n# TYPE recommend_duration_seconds histogram\n"
            f'recommend_duration_seconds_bucket{{le="0.01"}} {count}\n'
            f'recommend_duration_seconds_bucket{{le="+Inf"}} {count}\n'
        )


@contextmanager
def replaying(world: World, events: list[PastEvent] = EVENTS) -> Iterator[tuple[Replay, httpx.Client]]:
    with httpx.Client(transport=httpx.MockTransport(world)) as client, ThreadPoolExecutor(1) as pool:
        yield Replay(events, client=client, pool=pool), client


def looks_at(world: World, rollouts: list[tuple[Rollout, int]], policy: Policy) -> list[Observation]:
    with replaying(world) as (replay, client):
        observer = Observer(PODS, replay=replay, client=client, policy=policy)
        return [observer.observe(rollout, weight) for rollout, weight in rollouts]


def canary(index: int, *, requests: int = 0) -> Rollout:
    return Rollout(state=State.CANARY, index=index, requests=requests)


def test_events_are_asked_for_in_order_each_at_its_own_moment() -> None:
    world = World()

    with replaying(world) as (replay, _):
        replay.send("http://gateway", 2, seconds=10)

    moments = ["2026-01-01T00:00:00+00:00", "2026-01-01T00:01:00+00:00"]
    assert world.asked == [{"user_id": "7", "k": 10, "context": {"timestamp": moment}} for moment in moments]


def test_a_hit_is_a_slate_with_the_item_of_its_event() -> None:
    with replaying(World()) as (replay, _):
        tally = replay.send("http://gateway", 10, seconds=10)

    assert (tally.requests, tally.failed) == (10, 0)
    assert tally.hit_rate("stable") == pytest.approx(1 / 9)
    assert tally.hit_rate("canary") == 1.0
    assert tally.hit_rate("shadow") is None


def test_a_request_without_an_answer_has_failed() -> None:
    world = World()
    world.refuse = lambda request: request.url.path == "/recommend"

    with replaying(world) as (replay, _):
        tally = replay.send("http://gateway", 5, seconds=10)

    assert (tally.requests, tally.failed, tally.hit_rate("stable")) == (5, 5, None)


def test_sending_stops_when_the_events_end_and_when_the_time_is_used_up() -> None:
    with replaying(World()) as (replay, _):
        assert replay.send("http://gateway", 5, seconds=0).requests == 0
        assert replay.send("http://gateway", 99, seconds=10).requests == 30


def test_a_look_sends_what_the_canary_needs_and_reads_both_pods() -> None:
    [seen] = looks_at(World(), [(canary(0), 50)], Policy(min_canary_requests=5))

    assert seen.tally.requests == 20
    assert isinstance(seen.evidence.canary, Window)
    assert isinstance(seen.evidence.stable, Window)
    assert (seen.evidence.canary.requests, seen.evidence.stable.requests) == (2, 18)
    assert not seen.exhausted


def test_a_second_look_at_a_step_sees_the_whole_step() -> None:
    looks = [(canary(0), 50), (canary(0, requests=12), 50)]

    _, seen = looks_at(World(), looks, Policy(min_canary_requests=1))

    assert isinstance(seen.evidence.stable, Window)
    assert isinstance(seen.evidence.canary, Window)
    assert seen.evidence.stable.requests + seen.evidence.canary.requests == 24


def test_at_weight_100_the_stables_windows_of_the_earlier_steps_stand_in() -> None:
    looks = [(canary(0), 50), (canary(1), 75), (canary(2), 100)]

    first, second, last = (seen.evidence for seen in looks_at(World(), looks, Policy(min_canary_requests=1)))

    assert isinstance(first.stable, Window)
    assert isinstance(second.stable, Window)
    assert last.stable == first.stable + second.stable
    assert last.stable_age_seconds > 0


def test_a_first_step_at_weight_100_has_nothing_to_be_judged_against() -> None:
    [seen] = looks_at(World(), [(canary(0), 100)], Policy(steps=(100,), min_canary_requests=1))

    assert seen.evidence.stable == Missing("no earlier step")


def test_events_that_end_early_are_said_to_be_exhausted() -> None:
    [seen] = looks_at(World(), [(canary(0), 10)], Policy(min_canary_requests=100))

    assert seen.exhausted


def test_a_scrape_that_failed_at_the_start_of_a_step_is_tried_again() -> None:
    """A pod that missed one scrape would else have had no evidence for the rest of the step."""
    world = World()
    world.refuse = lambda request: request.url.path == "/metrics"
    evidence: list[OperationsEvidence] = []
    with replaying(world) as (replay, client):
        observer = Observer(PODS, replay=replay, client=client, policy=Policy(min_canary_requests=1))
        evidence.append(observer.observe(canary(0), 50).evidence)
        world.refuse = lambda _: False
        evidence.append(observer.observe(canary(0, requests=12), 50).evidence)

    assert evidence[0].canary == Missing("/metrics answered 500")
    assert isinstance(evidence[1].canary, Window)


def test_held_out_are_the_events_that_no_version_was_trained_on(tmp_path: Path) -> None:
    workspace = Workspace(root=tmp_path, store=tmp_path / "store")
    moments = [START + timedelta(days=day) for day in range(10)]
    table = pa.table(
        {
            "user_id": [str(day) for day in range(10)],
            "item_id": [str(day) for day in range(10)],
            "timestamp": pa.array(moments, pa.timestamp("us", "UTC")),
            "device": ["phone"] * 7 + [None] * 3,
        }
    )
    workspace.events.parent.mkdir(parents=True)
    pq.write_table(table, workspace.events)
    columns = {"user_id": "u", "item_id": "i", "timestamp": "t"}
    declared = Events(path="-", columns=columns, event_type="view", context=("device",))
    dataset = Dataset(name="tiny", events=declared, weights={"view": 1.0})
    workspace.events.with_name("dataset.json").write_text(dataset.model_dump_json())
    cuts = dict(zip(("start", "champion_end", "challenger_end", "test_end"), (0, 3, 6, 9), strict=True))
    write_json(
        workspace.events.with_name("split.json"),
        {name: moments[day].isoformat() for name, day in cuts.items()},
    )

    events = held_out_events(workspace)

    assert [event.user_id for event in events] == ["6", "7", "8"]
    assert events[0].moment == moments[6]
    assert [event.context for event in events] == [{"device": "phone"}, {}, {}]


def test_a_workspace_without_events_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(MissingArtifact, match=r"events.parquet is not there: run `make data` first"):
        held_out_events(Workspace(root=tmp_path, store=tmp_path))

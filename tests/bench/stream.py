"""Events of `completejourney` through a Redis stream into a Redis online store, Feast push included."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from servers import redis_server

from bench.contender import Measured, run_contender
from bench.journey import journey_in, prepare
from bench.rows import Row, not_measured, within
from feature_repo.core.console import console
from feature_repo.core.workspace import Workspace

EVENTS_A_TURN, TURNS = 10_000, 3
EVENTS_A_SECOND = 2_000  # the bound
METARANK = (1_000, 3_000)  # events a second, as its authors publish them
RATE, PROBED = 200, 4_000  # events a second, and events, of the lag
LAG = 1.0  # seconds
CORE = min(os.sched_getaffinity(0))


def rows(workspace: Workspace) -> list[Row]:
    """Events a second on one core in two orders, beside a bare pipeline; the lag at a steady rate."""
    if shutil.which("redis-server") is None:
        return [not_measured("stream", "Redis", "redis-server is not installed")]
    journey = journey_in(workspace)
    failed = prepare(journey)
    if failed:
        return [not_measured("stream", "completejourney", failed)]
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as url, _environment(url):
        for step in (["feature_repo", "apply"], ["bench.stream_world", "fill", str(journey.root)]):
            failed = _run(journey, *step)
            if failed:
                return [not_measured("stream", step[0], failed)]
        shutil.rmtree(journey.store / "stream", ignore_errors=True)
        in_order = [_turn(journey, place, "log") for place in range(TURNS)]
        shuffled = [_turn(journey, TURNS + place, "shuffled") for place in range(TURNS)]
        bare = _measure("bare", journey)
        lag = _lag(journey, first=2 * TURNS * EVENTS_A_TURN)
    return [
        *_throughput("held-out events in the order of the log", in_order, bare),
        *_throughput("held-out events shuffled, few of a user in a batch", shuffled, bare),
        lag,
    ]


def _turn(journey: Workspace, place: int, order: str) -> Measured | str:
    first = str(place * EVENTS_A_TURN)
    failed = _run(journey, "bench.stream_world", "publish", str(journey.root), first, str(EVENTS_A_TURN), order)
    return failed or _measure("ours", journey)


def _measure(kind: str, journey: Workspace) -> Measured | str:
    with console.status(f"stream: {kind}"):
        return run_contender("bench.stream_contender", kind, str(journey.root), str(CORE))


def _throughput(what: str, turns: list[Measured | str], bare: Measured | str) -> list[Row]:
    """The best turn, since other work on the machine only ever takes time."""
    name = f"{what}, one core"
    for result in (*turns, bare):
        if isinstance(result, str):
            return [not_measured("stream", name, result)]
    best = max(_rate(turn) for turn in turns)
    lost = [turn.rows for turn in turns if isinstance(turn, Measured) and turn.rows != EVENTS_A_TURN]
    if lost:
        return [not_measured("stream", name, f"{lost[0]:,} events counted of {EVENTS_A_TURN:,}")]
    bound = f">= {EVENTS_A_SECOND:,} events/s"
    holds = best >= EVENTS_A_SECOND
    published = f"Metarank publishes {METARANK[0]:,} to {METARANK[1]:,}"
    beside = "a bare pipeline of rows as large"
    return [
        Row("stream", name, best, "events/s", published, float(METARANK[1]), bound, holds),
        Row("stream", name, best, "events/s", beside, _rate(bare), bound, holds),
    ]


def _rate(measured: Measured | str) -> float:
    assert isinstance(measured, Measured)
    return measured.rows / measured.seconds


def _lag(journey: Workspace, first: int) -> Row:
    name = f"event published to row readable, {RATE} events a second, p99"
    words = [sys.executable, "-m", "bench.stream_contender", "serve", str(journey.root), str(CORE)]
    with console.status("stream: lag"), subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as consumer:
        try:
            assert consumer.stdout is not None
            consumer.stdout.readline()
            arguments = [str(journey.root), str(first), str(PROBED), str(RATE)]
            done = subprocess.run(
                [sys.executable, "-m", "bench.stream_probe", *arguments], capture_output=True, text=True, check=False
            )
        finally:
            consumer.kill()
    if done.returncode != 0:
        return not_measured("stream", name, (done.stderr.strip().splitlines() or ["no message"])[-1][:200])
    found = json.loads(done.stdout.splitlines()[-1])
    return within("stream", name, found["p99"], unit="s", yardstick=("p50 of the same events", found["p50"]), limit=LAG)


def _run(journey: Workspace, module: str, *arguments: str) -> str | None:
    """What went wrong, if anything."""
    with console.status(f"stream: {module} {arguments[0]}"):
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            env={**os.environ, "BUILD": str(journey.root), "STORE_URL": str(journey.store)},
            capture_output=True,
            text=True,
            check=False,
        )
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no message"])[-1][:200]


@contextmanager
def _environment(url: str) -> Iterator[None]:
    """Redis for online store and bus, for the processes that are started."""
    chosen = {"ONLINE_STORE": "redis", "REDIS_URL": url, "BUS_URL": f"{url}?stream=bench"}
    before = dict(os.environ)
    os.environ.update(chosen)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)

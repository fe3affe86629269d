"""Serving while things break, for longer than a test may take: minutes of load through deaths of Redis, and 10,000
requests that nobody should send.
"""

import http.client
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from killable_redis import KillableRedis
from steady_load import Answered, steady_load

from bench import faults_hostile
from bench.rows import Row, not_measured, within
from bench.serving_endpoints import OURS, Cores, endpoints, load_process, report_from, two_cores
from bench.serving_graph import ITEMS
from bench.serving_load import LoadReport
from bench.serving_store import Served, served_world
from feature_repo.core.console import console
from feature_repo.core.errors import RecommenderError
from feature_repo.core.workspace import Workspace
from serving.process import free_port

RATE = 100.0
DEADLINE_MS, SLACK_MS = 100.0, 50.0  # SERVE_DEADLINE_MS, and what a round trip may take besides
RECOVERY_SECONDS = 5.0
WATCHED = 0.02  # seconds between the requests of the one who watches


@dataclass(frozen=True)
class Plan:
    """Seconds of load; of them Redis is away `away` seconds in every `every`. Requests of strangers at the end."""

    seconds: float = 300.0
    every: float = 60.0
    away: float = 5.0
    hostile: int = 10_000


@dataclass(frozen=True)
class Death:
    """One life of Redis ends and the next begins; moments of `time.monotonic`."""

    killed: float
    returning: float
    returned: float


@dataclass
class Seen:
    """The load's report, what was watched besides, and when Redis was away."""

    load: LoadReport
    watched: list[Answered]
    deaths: list[Death] = field(default_factory=list)


def rows(workspace: Workspace, plan: Plan | None = None, items: int = ITEMS) -> list[Row]:
    """One row for each bound."""
    cores = two_cores()
    if cores is None or shutil.which("redis-server") is None:
        return [not_measured("faults", "Redis", "it takes redis-server, and a core each for server and load")]
    plan = plan or Plan()
    try:
        with _server(workspace, items, cores) as (served, redis, port):
            with console.status(f"faults: {plan.seconds:.0f} s of load"):
                seen = watch(served, redis, port, cores, plan)
            with console.status(f"faults: {plan.hostile:,} hostile requests"):
                codes = faults_hostile.statuses(port, plan.hostile)
    except subprocess.CalledProcessError as error:
        return [not_measured("faults", "Redis", (error.stderr.strip().splitlines() or ["no message"])[-1][:200])]
    except (RecommenderError, OSError, http.client.HTTPException) as error:
        return [not_measured("faults", "Redis", str(error))]
    return [*rows_of(seen, plan), *hostile_rows(codes, plan.hostile)]


@contextmanager
def _server(workspace: Workspace, items: int, cores: Cores) -> Iterator[tuple[Served, KillableRedis, int]]:
    with tempfile.TemporaryDirectory() as folder:
        redis = KillableRedis(Path(folder), free_port())
        redis.start()
        try:
            served = served_world(workspace, items, ONLINE_STORE="redis", REDIS_URL=redis.url)
            redis.save()
            with endpoints((OURS,), served, cores.server) as ports:
                yield served, redis, ports[OURS]
        finally:
            redis.kill()


def watch(served: Served, redis: KillableRedis, port: int, cores: Cores, plan: Plan) -> Seen:
    """Load in an open loop, somebody who asks for one slate after another, and Redis killed again and again."""
    users, deaths = [f"u{n}" for n in range(50)], []
    with steady_load(port, users, clients=1, context={}, pause=WATCHED) as watched:
        time.sleep(len(users) * 2 * WATCHED + 1)  # until this process has served each of them once
        load = load_process(port, served.bodies, cores.load, "open", RATE, plan.seconds)
        ends = time.monotonic() + plan.seconds
        while time.monotonic() + plan.every <= ends:
            time.sleep(plan.every - plan.away)
            deaths.append(_die(redis, plan.away))
        report = report_from(load)
    return Seen(report, list(watched), deaths)


def _die(redis: KillableRedis, away: float) -> Death:
    redis.kill()
    killed = time.monotonic()
    time.sleep(away)
    returning = time.monotonic()
    redis.start()
    return Death(killed, returning, time.monotonic())


def rows_of(seen: Seen, plan: Plan) -> list[Row]:
    load, of = seen.load, f"{plan.seconds:.0f} s at {RATE:.0f} requests/s, Redis killed {len(seen.deaths)} times"
    silent = [a for death in seen.deaths for a in _during(seen.watched, death) if not a.degraded]
    away = sum(len(_during(seen.watched, death)) for death in seen.deaths)
    lost = sum(answer.status != http.client.OK for answer in seen.watched)
    back = max((_seconds_to_whole(seen.watched, death) for death in seen.deaths), default=float("inf"))
    return [
        _none(f"answers that were not 200, {of}", load.errors + lost, ("of answers", load.requests)),
        _none("answers without Redis that did not say so", len(silent), ("of answers", away)),
        within(
            "faults",
            f"latency p99, {of}",
            load.p99_ms,
            unit="ms",
            yardstick=("p50", load.p50_ms),
            limit=DEADLINE_MS + SLACK_MS,
        ),
        Row("faults", f"latency of the slowest, {of}", load.max_ms, "ms", "p50", load.p50_ms, "", holds=True),
        within(
            "faults",
            "seconds from the return of Redis to a whole answer, the most",
            back,
            unit="s",
            yardstick=("seconds without it", plan.away),
            limit=RECOVERY_SECONDS,
        ),
    ]


def hostile_rows(codes: Counter[int], wanted: int) -> list[Row]:
    total = sum(codes.values())
    failed = sum(count for code, count in codes.items() if not 100 <= code < 500)
    enough = Row("faults", "hostile requests", total, "", "refused", codes[400], f">= {wanted}", holds=total >= wanted)
    return [enough, _none("hostile requests answered with 5xx", failed, ("of requests", total))]


def _during(watched: list[Answered], death: Death) -> list[Answered]:
    return [answer for answer in watched if death.killed < answer.sent and answer.at < death.returning]


def _seconds_to_whole(watched: list[Answered], death: Death) -> float:
    whole = (a.at for a in watched if a.sent > death.returned and a.status == http.client.OK and not a.degraded)
    return next(whole, float("inf")) - death.returned


def _none(name: str, count: int, of: tuple[str, int]) -> Row:
    label, total = of
    return Row("faults", name, count, "", label, total, "0", holds=total > 0 and count == 0)

"""The service over HTTP beside endpoints that do nothing, all up at once and asked in turns.

Other work on the machine only ever takes time, and takes it from all in turn: so each figure is its best round's.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from bench.rows import Row, at_most, within
from bench.serving_endpoints import BARE, MOUNTED, NATIVE, OURS, Cores, closed_load, endpoints, open_load
from bench.serving_load import LoadReport
from bench.serving_store import Served
from feature_repo.dataset.request_log import read_request_log
from serving.process import call

BENCH = "serving"
RATE = 100
P50_RATIO, P99_RATIO = 2.0, 2.5
FLOOR, GOAL = 0.35, 0.8  # of the native endpoint's highest throughput
GENERATOR = 3.0  # times what the fastest endpoint answers: then the generator is not what limits it
CANDIDATES, FEATURES, MEMORY_MB = 200, 30, 700.0
COMPARED = (NATIVE, MOUNTED, OURS)
LABELS = {NATIVE: "an empty native BentoML endpoint", MOUNTED: "an empty endpoint mounted as ours is"}


@dataclass(frozen=True)
class Plan:
    """Rounds of each endpoint, and seconds of one round in an open and in a closed loop."""

    rounds: int = 12  # many and short: the machine's speed swings within half a minute
    open_seconds: float = 5.0
    closed_seconds: float = 1.5
    connections: tuple[int, ...] = (4, 16)


@dataclass(frozen=True)
class Found:
    """Reports by endpoint, megabytes resident, and what was ranked for a request in the middle."""

    steady: dict[str, list[LoadReport]]
    fastest: dict[str, float]
    resident_mb: float
    candidates: int
    features: int


def measure(served: Served, cores: Cores, plan: Plan) -> Found:
    """Ask all endpoints in turns.

    Raises:
        ServerFailed: one did not come up.
        subprocess.CalledProcessError: the load generator failed.
    """
    steady: dict[str, list[LoadReport]] = {kind: [] for kind in COMPARED}
    fastest: dict[str, float] = dict.fromkeys((*COMPARED, BARE), 0.0)
    with endpoints((*COMPARED, BARE), served, cores.server) as ports:
        for _ in range(plan.rounds):
            for kind in COMPARED:
                seconds = plan.open_seconds
                steady[kind].append(open_load(ports[kind], served.bodies, cores.load, rate=RATE, seconds=seconds))
            for kind in fastest:
                fastest[kind] = max(fastest[kind], _throughput(ports[kind], served, cores, plan))
        resident = resident_mb(ports[OURS])
    log = read_request_log(served.workspace)
    candidates = np.median(pc.list_value_length(log["candidates"]).to_numpy())
    return Found(steady, fastest, resident, int(candidates), len(log["feature_names"][0]))


def _throughput(port: int, served: Served, cores: Cores, plan: Plan) -> float:
    """Answers a second, with as many connections as give the most."""
    reports = (
        closed_load(port, served.bodies, cores.load, connections=count, seconds=plan.closed_seconds)
        for count in plan.connections
    )
    return max((report.per_second for report in reports if not report.errors), default=0.0)


def resident_mb(port: int) -> float:
    lines = call(port, "GET", "/metrics").body.decode().splitlines()
    return float(next(line for line in lines if line.startswith("process_resident_memory_bytes ")).split()[1]) / 1e6


def rows_of(found: Found, items: int) -> list[Row]:
    """One row for each bound."""
    size = f"{items:,} items, {found.candidates} candidates, {found.features} features"
    every = [report for reports in found.steady.values() for report in reports]
    ours = found.steady[OURS]
    return [
        ranked(found),
        *(_latency(found, share, beside, size) for share in ("p50_ms", "p99_ms") for beside in (NATIVE, MOUNTED)),
        *_throughputs(found),
        _exactly_none("answers that were not 200", sum(report.errors for report in ours), ours),
        _exactly_none("answers that lacked a part", sum(report.degraded for report in ours), ours),
        at_least(
            "answers a second that the generator can take, of a fixed one",
            found.fastest[BARE],
            beside=("the fastest endpoint that has a bound", max(found.fastest[kind] for kind in (OURS, NATIVE))),
            ratio=GENERATOR,
        ),
        within(
            BENCH,
            "requests sent after they were due, p99",
            min(report.late_p99_ms for report in every),
            unit="ms",
            yardstick=("ours, p50", _best(ours, "p50_ms")),
            limit=1.0,
        ),
        within(
            BENCH,
            f"resident memory of the process, {items:,} items",
            found.resident_mb,
            unit="MB",
            yardstick=("its bound", MEMORY_MB),
            limit=MEMORY_MB,
        ),
    ]


def ranked(found: Found) -> Row:
    """Says whether a request was as large as it should be."""
    holds = found.candidates >= CANDIDATES and found.features >= FEATURES
    beside = "features of each"
    bound = f">= {CANDIDATES} candidates, {FEATURES} features"
    return Row(BENCH, "candidates ranked", found.candidates, "", beside, found.features, bound, holds)


def _latency(found: Found, share: str, beside: str, size: str) -> Row:
    name = f"HTTP, {RATE} requests/s, {share[:3]}, {size}"
    value, base = (_best(found.steady[kind], share) for kind in (OURS, beside))
    if beside == MOUNTED:  # which has no bound of its own
        return Row(BENCH, name, value, "ms", LABELS[beside], base, "", holds=True)
    ratio = P50_RATIO if share == "p50_ms" else P99_RATIO
    return at_most(BENCH, name, value, unit="ms", yardstick=(LABELS[beside], base), ratio=ratio)


def _throughputs(found: Found) -> list[Row]:
    ours, native = found.fastest[OURS], (LABELS[NATIVE], found.fastest[NATIVE])
    mounted = found.fastest[MOUNTED]
    return [
        at_least("highest throughput", ours, beside=native, ratio=FLOOR),
        at_least("highest throughput (goal)", ours, beside=native, ratio=GOAL),
        Row(BENCH, "highest throughput", ours, "answers/s", LABELS[MOUNTED], mounted, "", holds=True),
    ]


def at_least(name: str, value: float, *, beside: tuple[str, float], ratio: float) -> Row:
    """A rate that must be at least `ratio` times another, which was measured too."""
    label, base = beside
    return Row(BENCH, name, value, "answers/s", label, base, f"ratio >= {ratio:g}", 0 < ratio * base <= value)


def _exactly_none(name: str, count: int, of: Iterable[LoadReport]) -> Row:
    total = sum(report.requests for report in of)
    return Row(BENCH, name, count, "", "of answers", total, "0", holds=total > 0 and count == 0)


def _best(reports: list[LoadReport], share: str) -> float:
    return min(float(getattr(report, share)) for report in reports)

"""Load on one HTTP endpoint from a process of its own, and what came of it, as JSON.

Theory of operation: in an open loop request i is due at start + i / rate, whatever became of those before it, and its
latency is counted from that moment. A client that waits for an answer before it sends the next request leaves out just
those requests that a slow server would have kept waiting (coordinated omission; Tene, "How NOT to measure latency").
Requests take turns on a pool of connections, which grows while the server is behind. A timer of the event loop is up
to a millisecond late, so the last two milliseconds before a request is due are spun. In a closed loop each of a few
connections sends its next request upon the answer to the one before: that finds the highest throughput.

`python -m bench.serving_load PORT CORE BODIES open RATE SECONDS` and `... closed CONNECTIONS SECONDS`; BODIES is a file
with one JSON body for each line, which are sent in turn. The status of a request that got no answer is 0.
"""

import asyncio
import json
import os
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from bench.serving_client import Connection, connect, request_of

WARM_UP_REQUESTS = 200
SPIN_SECONDS = 0.002
DRAIN_SECONDS = 5.0
OK = 200


@dataclass
class Seen:
    """What one run saw: seconds from when a request was due, seconds that it was sent late, statuses, bad answers."""

    seconds: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    degraded: int = 0

    def answered(self, seconds: float, status: int, body: bytes) -> None:
        self.seconds.append(seconds)
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.degraded += b'"degraded":[' in body and b'"degraded":[]' not in body


@dataclass(frozen=True)
class LoadReport:
    """Milliseconds from the due moment, answers a second; errors are requests that were not answered with 200."""

    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    late_p99_ms: float
    errors: int
    degraded: int


async def open_loop(port: int, requests: list[bytes], *, rate: float, seconds: float) -> tuple[Seen, float]:
    """What `rate` requests a second for so many seconds saw, and the seconds that it took."""
    seen, idle, tasks = Seen(), deque([await connect(port) for _ in range(8)]), set()
    count, start = round(rate * seconds), time.perf_counter() + 0.1
    for number in range(count):
        due = start + number / rate
        if (left := due - time.perf_counter() - SPIN_SECONDS) > 0:
            await asyncio.sleep(left)
        while time.perf_counter() < due:
            await asyncio.sleep(0)
        request = requests[number % len(requests)]
        seen.late.append(time.perf_counter() - due)
        task = asyncio.create_task(_one(port, idle, request, due, seen))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    if tasks:
        await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
    took = time.perf_counter() - start
    for _ in range(count - len(seen.seconds)):
        seen.answered(DRAIN_SECONDS, 0, b"")
    return seen, took


async def _one(port: int, idle: deque[Connection], request: bytes, due: float, seen: Seen) -> None:
    answered: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()

    def take(status: int, body: bytes) -> None:
        seen.answered(time.perf_counter() - due, status, body)
        answered.set_result((status, body))

    connection = idle.popleft() if idle else None
    try:
        if connection is None or not connection.open:
            connection = await connect(port)
        connection.ask(request, take)
        await answered
    except OSError:
        seen.answered(time.perf_counter() - due, 0, b"")
        return
    idle.append(connection)


async def closed_loop(port: int, requests: list[bytes], *, connections: int, seconds: float) -> tuple[Seen, float]:
    """What so many connections saw that are never idle, and the seconds that it took."""
    seen, clients = Seen(), [await connect(port) for _ in range(connections)]
    start = time.perf_counter()
    until = start + seconds
    await asyncio.gather(*(_keep_asking(client, requests, place, until, seen) for place, client in enumerate(clients)))
    return seen, time.perf_counter() - start


async def _keep_asking(connection: Connection, requests: list[bytes], place: int, until: float, seen: Seen) -> None:
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    sent = 0.0

    def send() -> None:
        nonlocal place, sent
        place, sent = place + 1, time.perf_counter()
        connection.ask(requests[place % len(requests)], take)

    def take(status: int, body: bytes) -> None:
        now = time.perf_counter()
        seen.answered(now - sent, status, body)
        if status and now < until:
            send()
        else:
            ended.set_result(None)

    send()
    await ended


def report_of(seen: Seen, took: float) -> LoadReport:
    p50, p99, most = (1e3 * float(np.quantile(seen.seconds, share)) for share in (0.5, 0.99, 1.0))
    answered = len(seen.seconds) - seen.statuses.get(0, 0)
    errors = len(seen.seconds) - seen.statuses.get(OK, 0)
    late = 1e3 * float(np.quantile(seen.late or [0.0], 0.99))
    return LoadReport(len(seen.seconds), answered / took, p50, p99, most, late, errors, seen.degraded)


def main(port: int, core: int, bodies: Path, kind: str, amount: float, seconds: float) -> LoadReport:
    os.sched_setaffinity(0, {core})
    requests = [request_of(line) for line in bodies.read_bytes().splitlines()]

    async def run() -> tuple[Seen, float]:
        await open_loop(port, requests, rate=100, seconds=WARM_UP_REQUESTS / 100)
        if kind == "open":
            return await open_loop(port, requests, rate=amount, seconds=seconds)
        return await closed_loop(port, requests, connections=int(amount), seconds=seconds)

    return report_of(*asyncio.run(run()))


if __name__ == "__main__":
    _, port, core, bodies, kind, amount, seconds = sys.argv
    found = main(int(port), int(core), Path(bodies), kind, float(amount), float(seconds))
    sys.stdout.write(json.dumps(asdict(found)) + "\n")

"""One way to write a stream of events into Redis: `python -m bench.stream_contender ours|bare|serve ROOT CORE`.

`ours` drains the bus, `serve` goes on until it is stopped. `bare` reads the same entries in batches as large and writes
the rows that `ours` left, one for each user of a batch, with nothing in between. Each is bound to one core.
"""

import os
import sys
from collections.abc import Callable

import redis

from bench.contender import report
from bench.stream_world import workspace_at
from feature_repo.core.workspace import Workspace
from feature_repo.store.open import quiet_feast
from feature_repo.stream.run import open_consumer

BATCH = 2_000


def ours(workspace: Workspace) -> None:
    with open_consumer(workspace) as (consumer, bus):
        consumer.start()

        def drain() -> int:
            applied = 0
            while bus.lag():
                applied += consumer.step(BATCH, timeout=0.1).applied
            return applied

        report(drain, lambda applied: applied)


def serve(workspace: Workspace) -> None:
    with open_consumer(workspace) as (consumer, _):
        consumer.start()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            consumer.step(BATCH, timeout=0.5)


def bare(_: Workspace) -> None:
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    stream = os.environ["BUS_URL"].split("stream=")[1]
    rows = [client.hgetall(key) for key in client.scan_iter(b"*user_id*", count=10_000)]
    client.xgroup_create(stream, "bare", id="0")

    def copy() -> int:
        read = 0
        while answer := client.xreadgroup("bare", "bare", {stream: ">"}, count=BATCH):
            entries = answer[0][1]
            users = {fields[b"user_id"] for _, fields in entries}
            with client.pipeline(transaction=False) as pipeline:
                for place, user in enumerate(users):
                    pipeline.hset(b"bare:" + user, mapping=rows[place % len(rows)])
                pipeline.xack(stream, "bare", *(entry for entry, _ in entries))
                pipeline.execute()
            read += len(entries)
        return read

    report(copy, lambda read: read)


def main(kind: str, root: str, core: str) -> None:
    os.sched_setaffinity(0, {int(core)})
    quiet_feast()
    contenders: dict[str, Callable[[Workspace], None]] = {"ours": ours, "bare": bare, "serve": serve}
    contenders[kind](workspace_at(root))


if __name__ == "__main__":
    main(*sys.argv[1:])

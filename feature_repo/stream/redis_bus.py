"""The event bus in a Redis stream: one stream, one consumer group, entries acknowledged after the write."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from feature_repo.stream.bus import BusUnavailable, Message, Record
from feature_repo.stream.payload import user_of

GROUP = "recommender"
# One name for whoever consumes: what a killed process did not acknowledge is pending under it, and is read first.
CONSUMER = "consumer"
KEPT_MS = 24 * 3_600_000  # how long an entry stays after it was committed
SCAN = 5_000  # entries a call


class RedisBus:
    """`url` is redis://host:port/database?stream=name&group=name, by default `events` and `recommender`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        given = parse_qs(parts.query)
        self._stream = given.get("stream", ["events"])[0]
        self._group = given.get("group", [GROUP])[0]
        self._address = f"{parts.hostname}:{parts.port or 6379}, stream {self._stream!r}"
        # A retried read would skip the entries of the lost answer until the next start.
        self._client = redis.Redis.from_url(
            urlunsplit(parts._replace(query="")), retry=Retry(NoBackoff(), 0), socket_timeout=10
        )
        self._grouped = False
        self._pending_after: str | None = "0-0"
        self._read: list[str] = []

    def publish(self, messages: Sequence[Message]) -> None:
        with self._answering(), self._client.pipeline(transaction=False) as pipeline:
            for message in messages:
                pipeline.xadd(self._stream, {"user_id": message.user_id, "event": message.payload})
            pipeline.execute()

    def read(self, limit: int, *, timeout: float) -> list[Record]:
        with self._answering():
            self._make_group()
            while self._pending_after is not None:
                entries = self._next(self._pending_after, limit, None)
                self._pending_after = entries[-1][0].decode() if entries else None
                # An entry that was erased while it was pending has no fields; it is acknowledged with the others.
                self._read.extend(entry.decode() for entry, _ in entries)
                if records := [_record(self._stream, *entry) for entry in entries if entry[1]]:
                    return records
            entries = self._next(">", limit, max(1, int(timeout * 1_000)))
            self._read.extend(entry.decode() for entry, _ in entries)
            return [_record(self._stream, *entry) for entry in entries]

    def commit(self) -> None:
        if not self._read:
            return
        with self._answering(), self._client.pipeline(transaction=False) as pipeline:
            for start in range(0, len(self._read), SCAN):
                pipeline.xack(self._stream, self._group, *self._read[start : start + SCAN])
            # One consumer reads in order, so what is older than a committed entry is committed.
            oldest = max(0, int(self._read[-1].split("-")[0]) - KEPT_MS)
            pipeline.xtrim(self._stream, minid=oldest, approximate=True)
            pipeline.execute()
            self._read.clear()

    def lag(self) -> int:
        with self._answering():
            self._make_group()
            groups: Any = self._client.xinfo_groups(self._stream)
            group = next(group for group in groups if group["name"].decode() == self._group)
            unread = group["lag"]
            if unread is None:  # the server cannot tell once entries were deleted
                unread = sum(1 for _ in self._scan(after=group["last-delivered-id"].decode()))
            return int(group["pending"]) + int(unread)

    def erase(self, user_id: str) -> int:
        with self._answering():
            key = user_id.encode()
            mine = [e for e, f in self._scan() if f.get(b"user_id") == key or user_of(f.get(b"event", b"")) == user_id]
            for start in range(0, len(mine), SCAN):
                self._client.xdel(self._stream, *mine[start : start + SCAN])
            return len(mine)

    def close(self) -> None:
        self._client.close()

    def _make_group(self) -> None:
        if self._grouped:
            return
        try:
            self._client.xgroup_create(self._stream, self._group, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
        self._grouped = True

    def _next(self, after: str, limit: int, block_ms: int | None) -> list[tuple[bytes, dict[bytes, bytes]]]:
        answer: Any = self._client.xreadgroup(self._group, CONSUMER, {self._stream: after}, count=limit, block=block_ms)
        return answer[0][1] if answer else []

    def _scan(self, after: str = "-") -> Iterator[tuple[str, dict[bytes, bytes]]]:
        first = after if after == "-" else f"({after}"
        while True:
            entries: Any = self._client.xrange(self._stream, min=first, count=SCAN)
            if not entries:
                return
            yield from ((entry.decode(), fields) for entry, fields in entries)
            first = f"({entries[-1][0].decode()}"

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except redis.RedisError as error:
            raise BusUnavailable(f"the event bus at {self._address} did not answer: {error}") from error


def _record(stream: str, entry: bytes, fields: dict[bytes, bytes]) -> Record:
    # An entry without the field is no event; its bytes go where malformed ones go.
    return Record(f"{stream}/{entry.decode()}", fields.get(b"event", b""))

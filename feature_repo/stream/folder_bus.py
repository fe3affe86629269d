"""The event bus that needs no server: the folder of events received over HTTP, read in order of arrival.

A file is one batch and never changes, so what was read is a list of names with the number of rows, to which each commit
adds a line. `publish` is for tools: it puts payloads into a file of their own kind (`.batch`), since a payload need not
be an event. POST /events writes the others.
"""

import hashlib
import json
import os
import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.stream.bus import Message, Record
from feature_repo.stream.payload import user_of

EVENTS, PAYLOADS = ".parquet", ".batch"
PAUSE = 0.05  # seconds between two looks into the folder


class FolderBus:
    """`read_log` names what was committed; it belongs to one consumer."""

    def __init__(self, folder: Path, read_log: Path) -> None:
        self._folder = folder
        self._read_log = read_log
        self._rows: dict[str, int] = {}  # of each file that was looked into
        self._committed = _committed_rows(read_log)
        self._read = dict(self._committed)
        self._open: tuple[str, list[bytes]] = ("", [])

    def publish(self, messages: Sequence[Message]) -> None:
        if not messages:
            return
        table = pa.table(
            {
                "user_id": pa.array([message.user_id for message in messages], pa.string()),
                "payload": pa.array([message.payload for message in messages], pa.binary()),
            }
        )
        digest = hashlib.sha256(b"\x1f".join(message.payload for message in messages)).hexdigest()
        _write(self._folder / f"{time.time_ns():020d}-{digest[:12]}{PAYLOADS}", table)

    def read(self, limit: int, *, timeout: float) -> list[Record]:
        deadline = time.monotonic() + timeout
        while True:
            records = self._next(limit)
            if records or time.monotonic() >= deadline:
                return records
            time.sleep(PAUSE)

    def commit(self) -> None:
        moved = {name: rows for name, rows in self._read.items() if self._committed.get(name) != rows}
        if not moved:
            return
        self._read_log.parent.mkdir(parents=True, exist_ok=True)
        # A line that a power cut takes away means that its rows come again.
        with self._read_log.open("a", encoding="utf-8") as log:
            log.writelines(f"{name} {rows}\n" for name, rows in moved.items())
        self._committed.update(moved)

    def lag(self) -> int:
        return sum(max(0, self._rows_in(path) - self._committed.get(path.name, 0)) for path in self._unfinished())

    def erase(self, user_id: str) -> int:
        removed = 0
        for path in _files(self._folder):
            table = pq.ParquetFile(path).read()
            keep = pc.not_equal(table["user_id"], user_id)
            if "payload" in table.column_names:
                named = [user_of(payload) == user_id for payload in table["payload"].to_pylist()]
                keep = pc.and_not(keep, pa.array(named, pa.bool_()))
            rest = table.filter(keep)
            if rest.num_rows < table.num_rows:
                removed += table.num_rows - rest.num_rows
                _replace(path, rest)
        return removed

    def close(self) -> None:
        """Nothing is held open."""

    def _next(self, limit: int) -> list[Record]:
        records: list[Record] = []
        for path in self._unfinished(by=self._read):
            payloads = self._payloads(path)
            first = self._read.get(path.name, 0)
            last = min(len(payloads), first + limit - len(records))
            records += [Record(f"{path.name}/{row}", payloads[row]) for row in range(first, last)]
            self._read[path.name] = last
            if len(records) == limit:
                break
        return records

    def _unfinished(self, by: dict[str, int] | None = None) -> list[Path]:
        done = self._committed if by is None else by
        return [
            p for p in _files(self._folder, leave_out=self._finished(done)) if done.get(p.name, 0) < self._rows_in(p)
        ]

    def _finished(self, done: dict[str, int]) -> set[str]:
        return {name for name, rows in done.items() if rows >= self._rows.get(name, rows + 1)}

    def _rows_in(self, path: Path) -> int:
        if path.name not in self._rows:
            try:
                self._rows[path.name] = pq.read_metadata(path).num_rows
            except FileNotFoundError:  # rewritten meanwhile, under another name
                return 0
        return self._rows[path.name]

    def _payloads(self, path: Path) -> list[bytes]:
        if self._open[0] != path.name:
            try:
                table = pq.ParquetFile(path).read()
            except FileNotFoundError:
                return []
            self._open = (path.name, _payloads_of(table))
        return self._open[1]


def _files(folder: Path, leave_out: AbstractSet[str] = frozenset()) -> list[Path]:
    """In order of arrival."""
    if not folder.is_dir():
        return []
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if (
                entry.name.endswith((EVENTS, PAYLOADS))
                and not entry.name.startswith(".")
                and entry.name not in leave_out
            ):
                found.append((entry.stat().st_mtime_ns, entry.name))
    return [folder / name for _, name in sorted(found)]


def messages_of(path: Path) -> list[Message]:
    """What a file of the folder holds, for another bus; nothing where the file was rewritten meanwhile."""
    try:
        table = pq.ParquetFile(path).read()
    except FileNotFoundError:
        return []
    return [Message(*pair) for pair in zip(table["user_id"].to_pylist(), _payloads_of(table), strict=True)]


def _payloads_of(table: pa.Table) -> list[bytes]:
    if "payload" in table.column_names:
        return list(table["payload"].to_pylist())
    names = ("event_id", "user_id", "item_id", "timestamp", "event_type", "value", "consent")
    rows = table.select([name for name in names if name in table.column_names]).to_pylist()
    return [json.dumps({**row, "timestamp": row["timestamp"].isoformat()}).encode() for row in rows]


def _committed_rows(read_log: Path) -> dict[str, int]:
    if not read_log.exists():
        return {}
    lines = (line.rsplit(" ", 1) for line in read_log.read_text(encoding="utf-8").split("\n"))
    return {line[0]: int(line[1]) for line in lines if len(line) == 2 and line[1].isdigit()}


def _write(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with partial.open("wb") as stream:
        pq.write_table(table, stream)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


def _replace(path: Path, rest: pa.Table) -> None:
    """Put `rest` in the place of `path`, under a name of its own: it is read again, and known by its event ids."""
    if rest.num_rows:
        arrived = path.stat().st_mtime_ns
        digest = hashlib.sha256(f"{path.name} {rest.num_rows}".encode()).hexdigest()
        new = path.with_name(f"{digest[:32]}{path.suffix}")
        _write(new, rest)
        os.utime(new, ns=(arrived, arrived))
    path.unlink()

"""The list of blocked items on disk: a CSV with a header, one item a row, changed only as a whole."""

import csv
import io
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from filelock import FileLock

from feature_repo.core.errors import RecommenderError
from feature_repo.core.workspace import Workspace

COLUMNS = ("item_id", "blocked_at")


class BlockedListError(RecommenderError):
    """The list of blocked items cannot be read, or does not hold what was asked for."""


def blocked_path(workspace: Workspace, given: Path | None) -> Path:
    """`given`, else `blocked.csv` in the store that all processes share."""
    return given or workspace.store / "blocked.csv"


def parse_blocked(content: bytes) -> dict[str, str]:
    """When each item was blocked, by item id.

    Raises:
        BlockedListError: there is no header, or a row breaks off.
    """
    try:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BlockedListError(f"the list of blocked items must be a CSV in UTF-8; got {error}") from None
    if not rows or tuple(rows[0]) != COLUMNS:
        raise BlockedListError(f"the list of blocked items must begin with {','.join(COLUMNS)}; got {rows[:1]}")
    # An empty line, or no end of the last line, is what a file looks like that is still being copied.
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != len(COLUMNS) or not row[0]:
            raise BlockedListError(f"line {line} of the list of blocked items must be item_id,blocked_at; got {row}")
    if not content.endswith(b"\n"):
        raise BlockedListError(f"the list of blocked items must end with an end of line; got {content[-20:]!r}")
    return {row[0]: row[1] for row in rows[1:]}


def format_blocked(blocked: Mapping[str, str]) -> bytes:
    """The inverse of `parse_blocked`, sorted by item id."""
    text = io.StringIO(newline="")
    # All quoted, since an id may hold any character, an end of line, too.
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows([COLUMNS, *sorted(blocked.items())])
    return text.getvalue().encode("utf-8")


def read_blocked(path: Path) -> dict[str, str]:
    """The list in `path`; an absent file is an empty one."""
    return parse_blocked(path.read_bytes()) if path.exists() else {}


def block(path: Path, item_ids: Iterable[str], *, now: datetime) -> int:
    """Add items; returns how many the list holds. A server takes it over within a second."""
    with _changed(path):
        blocked = {item: now.isoformat() for item in item_ids} | read_blocked(path)
        _write(path, blocked)
    return len(blocked)


def unblock(path: Path, item_ids: Iterable[str]) -> int:
    """Take items off the list; returns how many are left.

    Raises:
        BlockedListError: one of them is not on it, and nothing is changed.
    """
    with _changed(path):
        blocked, leaving = read_blocked(path), set(item_ids)
        if missing := leaving - blocked.keys():
            raise BlockedListError(f"only blocked items can be unblocked; got {sorted(missing)[:5]}, which are not")
        left = {item: at for item, at in blocked.items() if item not in leaving}
        _write(path, left)
    return len(left)


def _changed(path: Path) -> FileLock:
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_name(f".{path.name}.lock"))


def _write(path: Path, blocked: Mapping[str, str]) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with partial.open("wb") as file:
        file.write(format_blocked(blocked))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)

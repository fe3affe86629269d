"""The report of an erasure: what was found, what was removed, what a search of everything finds afterwards."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from training.erase.own_files import OwnFiles
from training.erase.person import Person

REPORT = "erase.json"


@dataclass(frozen=True)
class Row:
    """One store: places that named the person before, what was removed, places that a search finds afterwards."""

    store: str
    found: int
    removed: int
    left: int


def report_of(
    person: Person,
    rows: Sequence[Row],
    *,
    replaced: Mapping[str, str | None],
    own_files: OwnFiles | None,
    unfinished: Sequence[str],
    said: Sequence[str],
    now: datetime,
) -> dict[str, Any]:
    """The report as JSON; it holds the keyed hash and never the id."""
    return {
        "user": person.keyed_hash,
        "at": now.isoformat(),
        "stores": [asdict(row) for row in rows],
        "complete": not any(row.left for row in rows),
        "bytes_searched": person.distinctive,
        "replaced": dict(replaced),
        "own_files": None if own_files is None else asdict(own_files),
        "to_do": [*said, *_to_do(person, rows, replaced, own_files), *(_unfinished(other) for other in unfinished)],
    }


def _to_do(
    person: Person, rows: Sequence[Row], replaced: Mapping[str, str | None], own_files: OwnFiles | None
) -> list[str]:
    said = []
    if not any(row.found for row in rows):
        said.append("nothing of this person was found; the tombstone keeps them out from now on")
    if replaced:
        versions = " or ".join(sorted(replaced, key=int))
        said.append(
            f"restart the services that serve version {versions}, and build their images again: a process keeps its "
            "version, and the answers in its memory, until it ends"
        )
    if any(replaced.values()):
        moved = ", ".join(f"{new} for {old}" for old, new in sorted(replaced.items()) if new)
        said.append(f"versions trained without the person took the aliases over: {moved}; run `make evaluate`")
    if own_files is not None:
        said.append(own_files.sentence())
    if not person.distinctive:
        said.append(
            "the id is short, of digits alone or part of another one, so files were searched by column, key and "
            "vocabulary, and not byte by byte"
        )
    return said


def _unfinished(other: str) -> str:
    return f"the erasure of {other[:12]} was cut short: run it again with that person's id"

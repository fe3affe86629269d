"""The record of trainings: one JSON line an event, only ever appended, on disk before anything else happens.

A training is written down as an intent before it is started, as started when it runs, as finished with its outcome. So
whatever is killed, the lines say what is still to do. A line that a kill cut off was never acted upon: it is passed
over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from monitoring.privacy.audit import append_line, read_lines

INTENT, STARTED, FINISHED, HELD = "intent", "started", "finished", "held"


@dataclass(frozen=True)
class Training:
    """`run` is the trainer's name for it once it was started, `outcome` complete or failed once it is over."""

    id: str
    at: datetime
    reason: str
    run: str | None = None
    outcome: str | None = None


class Journal:
    """The file `<store>/audit/retraining.jsonl`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, event: str, *, at: datetime, **fields: Any) -> None:
        """Durable when this returns."""
        append_line(self._path, at=at, event=event, **fields)

    def trainings(self) -> list[Training]:
        """All trainings, in the order of their intents."""
        return trainings_of(self.lines())

    def lines(self) -> list[Mapping[str, Any]]:
        return [line for line in read_lines(self._path) if "event" in line]


def trainings_of(lines: Sequence[Mapping[str, Any]]) -> list[Training]:
    """What the lines come to."""
    found: dict[str, Training] = {}
    for line in lines:
        name = str(line.get("id"))
        if line["event"] == INTENT:
            found[name] = Training(name, datetime.fromisoformat(line["at"]), str(line["reason"]))
        elif line["event"] == STARTED and name in found:
            found[name] = replace(found[name], run=str(line["run"]))
        elif line["event"] == FINISHED and name in found:
            found[name] = replace(found[name], outcome=str(line["outcome"]))
    return list(found.values())

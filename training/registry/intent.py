"""A move of aliases as a value: what is to become of which versions, and how far it is.

    INTENDED -> MOVING -> DONE
        +-> ABANDONED -> UNDONE       the new version did not come up: the old one is served again

While INTENDED or ABANDONED no alias has been touched; from MOVING on all have, for whoever reads through `settled`.
So the write of one phase is what moves the aliases, however many calls MLflow needs for it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from training.registry.names import CHALLENGER, CHAMPION, PREVIOUS


class Kind(StrEnum):
    PROMOTION = "promotion"
    ROLLBACK = "rollback"


class Phase(StrEnum):
    INTENDED = "INTENDED"
    MOVING = "MOVING"
    DONE = "DONE"
    ABANDONED = "ABANDONED"
    UNDONE = "UNDONE"


OPEN = frozenset({Phase.INTENDED, Phase.MOVING, Phase.ABANDONED})


@dataclass(frozen=True)
class Move:
    """`old` is the champion so far, `new` the next one. `number` is the fencing token of whoever began it."""

    kind: Kind
    old: str
    new: str
    number: int
    phase: Phase
    at: str
    why: str = ""

    @property
    def is_open(self) -> bool:
        return self.phase in OPEN

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Move":
        values = json.loads(text)
        return cls(**{**values, "kind": Kind(values["kind"]), "phase": Phase(values["phase"])})


def settled(aliases: Mapping[str, str], move: Move | None) -> dict[str, str]:
    """The aliases as they count: those of a move that is on its way are moved."""
    return after(aliases, move) if move is not None and move.phase is Phase.MOVING else dict(aliases)


def after(aliases: Mapping[str, str], move: Move) -> dict[str, str]:
    """The aliases once `move` is done."""
    kept = {alias: version for alias, version in aliases.items() if (alias, version) != (CHALLENGER, move.new)}
    return {**kept, PREVIOUS: move.old, CHAMPION: move.new}

"""The event bus: where events wait until the stream consumer has counted them.

A bus delivers at least once. What was read and not committed comes again after a restart, so whoever reads must know an
event by its id. One consumer reads a bus for one workspace, in the order in which a user's events were published.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from feature_repo.core.errors import RecommenderError


class BusUnavailable(RecommenderError):
    """The event bus cannot be reached, or its address breaks a rule."""


class CannotErase(RecommenderError):
    """This kind of bus does not remove single records."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is published: events of one user keep their order."""

    user_id: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """What was read: the bytes as they were published, and a position that no other record of the bus has."""

    position: str
    payload: bytes


class EventBus(Protocol):
    """Every method raises BusUnavailable when the server does not answer."""

    def publish(self, messages: Sequence[Message]) -> None:
        """Hand messages over; they are the bus's when this returns."""

    def read(self, limit: int, *, timeout: float) -> list[Record]:
        """At most `limit` records that this process has not read; empty where none came within `timeout` seconds."""

    def commit(self) -> None:
        """Everything read so far is done with: it does not come again."""

    def lag(self) -> int:
        """How many records are not committed, read or not."""

    def erase(self, user_id: str) -> int:
        """Remove the records of one user; returns how many there were.

        Raises:
            CannotErase: the sentence says what to do instead.
        """

    def close(self) -> None:
        """Let go of the server; nothing is committed by it."""

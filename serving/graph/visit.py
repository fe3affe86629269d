"""What travels through the stages of one request."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from serving.graph.deadline import Deadline
from serving.graph.preferences import NONE, Preferences

if TYPE_CHECKING:
    from training.recommender import Recommender
    from training.slate import Request, Slate

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Visit:
    """One request on its way. `recommender` was read once, so that all stages work on one item table.

    `request.moment` is what the request is about: `now`, or the moment that it names.
    """

    request: "Request"
    recommender: "Recommender"
    deadline: Deadline
    now: datetime
    explain: bool = False


@dataclass(frozen=True)
class User:
    """What is known of the user: the raw row with the latest events, or None when nothing is.

    `hidden` are items that the user hid or disliked, newest last; `met` those that must count as seen; `preferences`
    what was declared, empty for a user who needs none any more; `interactions` how many events the row counts.
    """

    row: Row | None
    degraded: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    met: frozenset[str] = frozenset()
    preferences: Preferences = NONE
    interactions: int = 0


@dataclass(frozen=True)
class Answer:
    """A slate with what it was made of. `user` is None when nothing is known of the user's features."""

    slate: "Slate"
    user: Row | None
    moment: datetime
    degraded: tuple[str, ...]
    notes: tuple[Any, ...] = field(default=())

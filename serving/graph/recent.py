"""What users did lately, as this process received it: the next request sees it before the stream's consumer wrote it.

The overlay is bounded and lives in one process. It is no store: `overlay.py` lays it over the row that the feature
store gives, and what that row holds already is not counted twice.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from feature_repo.dataset.consent import agreed
from feature_repo.dataset.split import to_microseconds
from feature_repo.stream.payload import StreamEvent
from feature_repo.transforms.state import thousandths
from serving.events import Event

HIDING = frozenset({"hide", "dislike"})  # event types that suppress their item from the next request on
EVENTS_OF_A_USER = 200  # as many as a history holds


@dataclass(frozen=True)
class Recent:
    """One user's events in order of arrival, the items hidden among them, newest last, and how many ever arrived."""

    events: tuple[StreamEvent, ...] = ()
    hidden: tuple[str, ...] = ()
    arrived: int = 0
    hides: int = 0

    @property
    def met(self) -> frozenset[str]:
        """Items of any event: where repeats are forbidden, none of them is recommended."""
        return frozenset(event.item_id for event in self.events)


NOTHING = Recent()


class RecentEvents:
    """The last events of at most `users` users. Threads may call it at once.

    `weights` are those of the declared event types; without them (None) every type that hides nothing counts as liked.
    An event of an undeclared type is none for the stream's consumer, so it is none here, unless it hides its item.
    One without consent changes no feature, since what was served is logged to learn from; what it hides stays hidden.
    """

    def __init__(
        self,
        *,
        users: int,
        weights: Mapping[str, float] | None = None,
        valued: bool = False,
        consent_required: bool = False,
    ) -> None:
        self._limit = users
        self._weights = weights
        self._valued = valued
        self._consent_required = consent_required
        self._users: OrderedDict[str, Recent] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, user_id: str) -> Recent:
        # A look-up in a dict is whole without the lock.
        return self._users.get(user_id, NOTHING)

    def add(self, events: Iterable[Event]) -> None:
        """Take events that are durable; one that is known by its id changes nothing."""
        with self._lock:
            for event in events:
                if self._counts(event):
                    self._add(event)
            while len(self._users) > self._limit:
                self._users.popitem(last=False)

    def _counts(self, event: Event) -> bool:
        return event.event_type in HIDING or self._weights is None or event.event_type in self._weights

    def _hides(self, event: Event) -> bool:
        return event.event_type in HIDING or (self._weights or {}).get(event.event_type, 0.0) < 0

    def _add(self, event: Event) -> None:
        before = self._users.pop(event.user_id, NOTHING)
        self._users[event.user_id] = before
        if any(event.event_id == known.event_id for known in before.events):
            return
        hides = self._hides(event)
        hidden = before.hidden
        if hides:
            hidden = (*(item for item in hidden if item != event.item_id), event.item_id)[-EVENTS_OF_A_USER:]
        learned = (self._streamed(event),) if agreed(event.consent, required=self._consent_required) else ()
        self._users[event.user_id] = replace(
            before,
            events=(*before.events, *learned)[-EVENTS_OF_A_USER:],
            hidden=hidden,
            arrived=before.arrived + 1,
            hides=before.hides + hides,
        )

    def _streamed(self, event: Event) -> StreamEvent:
        liked = event.event_type not in HIDING and (self._weights is None or self._weights[event.event_type] > 0)
        return StreamEvent(
            event_id=event.event_id,
            user_id=event.user_id,
            item_id=event.item_id,
            moment_us=to_microseconds(event.timestamp),
            liked=liked,
            thousandths=thousandths(event.value) if self._valued and event.value is not None else 0,
            hides=self._hides(event),
        )

"""The body of POST /events as values: unified events, each with an id."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from feature_repo.dataset.event_id import event_id
from feature_repo.dataset.split import to_microseconds
from serving.rules import (
    FINITE,
    ID,
    OBJECT,
    TRUTH,
    Fields,
    list_of,
    parse_context,
    parse_json,
    parse_moment,
    whole_number,
)
from serving.settings import ServingSettings

MAX_POSITION = 1_000_000


@dataclass(frozen=True)
class Event:
    """One unified event as it arrived."""

    event_id: str
    user_id: str
    item_id: str
    timestamp: datetime
    event_type: str
    value: float | None
    request_id: str | None
    position: int | None
    consent: bool | None
    context: dict[str, str]


_FIELDS = frozenset(field.name for field in fields(Event))


def parse_events(body: bytes, settings: ServingSettings) -> tuple[Event, ...]:
    """The events in a body of POST /events: a list or {"events": [...]}. One bad event refuses the batch."""
    batch = parse_json(body)
    if isinstance(batch, dict):
        envelope = Fields(batch)
        envelope.refuse_unknown(frozenset({"events"}))
        batch = envelope.values.get("events")
    entries = list_of("events", first=1, last=settings.max_events).check("events", batch)
    return tuple(_parse_event(f"events[{i}]", entry) for i, entry in enumerate(entries))


def _parse_event(place: str, entry: Any) -> Event:
    given = Fields(OBJECT.check(place, entry), place=place, prefix=f"{place}.")
    given.refuse_unknown(_FIELDS)
    user_id, item_id, event_type = (given.required(name, ID) for name in ("user_id", "item_id", "event_type"))
    timestamp = parse_moment(given.name("timestamp"), given.values.get("timestamp"))
    value = given.optional("value", FINITE)
    value = None if value is None else float(value)
    return Event(
        event_id=given.optional("event_id", ID)
        or event_id(user_id, item_id, to_microseconds(timestamp), event_type, value),
        user_id=user_id,
        item_id=item_id,
        timestamp=timestamp,
        event_type=event_type,
        value=value,
        request_id=given.optional("request_id", ID),
        position=given.optional("position", whole_number(0, MAX_POSITION)),
        consent=given.optional("consent", TRUTH),
        context=parse_context(given.name("context"), given.values.get("context", {})),
    )

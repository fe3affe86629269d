"""One payload from the bus as an event, or the reason why it is none. The rules are those of the event log's door."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from feature_repo.dataset.cleaning import Cleaning
from feature_repo.dataset.consent import NO_CONSENT, agreed
from feature_repo.dataset.event_id import event_id
from feature_repo.dataset.split import to_microseconds
from feature_repo.dataset.sql import (
    EPOCH_MICROSECONDS_FROM,
    EPOCH_MICROSECONDS_TO,
    EPOCH_MILLISECONDS_FROM,
    REPLACEMENT,
)
from feature_repo.transforms.state import thousandths

AHEAD_US = 60_000_000  # how far a producer's clock may be ahead of ours
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# Control characters, bytes that were no UTF-8, and halves of surrogate pairs, which JSON can write and no store can.
_MALFORMED = re.compile(rf"[\x00-\x1f\x7f-\x9f\ud800-\udfff{REPLACEMENT}]")
_UNREADABLE = "timestamp cannot be read"


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """A valid event. `moment_us`: UTC microseconds; `thousandths`: its value times 1,000, 0 without one.

    `liked` and `hides`: its type has a positive or a negative weight.
    """

    event_id: str
    user_id: str
    item_id: str
    moment_us: int
    liked: bool
    thousandths: int
    hides: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a payload is no event."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What the declared data set knows: the weights of event types, the door's limits, whether events have values."""

    weights: Mapping[str, float]
    cleaning: Cleaning
    valued: bool


def parse(payload: bytes, rules: Rules, *, now_us: int) -> StreamEvent | Refused:
    """The event in `payload`, a JSON object with the fields of the unified event."""
    fields = _object(payload)
    if fields is None:
        return Refused("not a JSON object")
    consent = fields.get("consent")
    if consent is not None and not isinstance(consent, bool):
        return Refused("consent is not true or false")
    if not agreed(consent, required=rules.cleaning.consent_required):
        return Refused(NO_CONSENT)
    user, item, kind, value = (fields.get(name) for name in ("user_id", "item_id", "event_type", "value"))
    moment = _moment_us(fields.get("timestamp"))
    given = fields.get("event_id") or None
    wrong = (
        _wrong_id("user_id", user, rules)
        or _wrong_id("item_id", item, rules)
        or (None if given is None else _wrong_id("event_id", given, rules))
        or (moment if isinstance(moment, str) else _wrong_moment(moment, now_us))
        or _wrong_kind(kind, rules)
        or _wrong_value(value, rules)
    )
    if wrong is not None:
        return Refused(wrong)
    user, item, kind, moment = str(user), str(item), str(kind), int(moment)
    return StreamEvent(
        event_id=str(given or event_id(user, item, moment, kind, value)),
        user_id=user,
        item_id=item,
        moment_us=moment,
        liked=rules.weights[kind] > 0,
        thousandths=thousandths(value) if rules.valued else 0,
        hides=rules.weights[kind] < 0,
    )


def user_of(payload: bytes) -> str | None:
    """The user that a payload names, whether it is an event or not, if a store can hold the name."""
    user = (_object(payload) or {}).get("user_id")
    if isinstance(user, int) and not isinstance(user, bool):
        return str(user)
    return user if isinstance(user, str) and not _SURROGATE.search(user) else None


def _object(payload: bytes) -> dict[str, Any] | None:
    try:
        fields = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def _wrong_id(name: str, value: Any, rules: Rules) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return None  # whole numbers are ids, too; the event log has them as text
    if value is None or (isinstance(value, str) and not value.strip()):
        return f"{name} is missing"
    good = isinstance(value, str) and len(value) <= rules.cleaning.id_characters and not _MALFORMED.search(value)
    return None if good else f"{name} is malformed"


def _wrong_moment(moment_us: int, now_us: int) -> str | None:
    if moment_us < 0:
        return "timestamp is before 1970"
    return "timestamp is after now" if moment_us > now_us + AHEAD_US else None


def _wrong_kind(kind: Any, rules: Rules) -> str | None:
    if kind is None or kind == "":
        return "event type is missing"
    return None if isinstance(kind, str) and kind in rules.weights else "event type has no weight"


def _wrong_value(value: Any, rules: Rules) -> str | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        return "value is not a number"
    if isinstance(value, float) and not math.isfinite(value):
        return "value is not finite"
    low, high = rules.cleaning.value_range
    return None if low <= value <= high else "value is out of range"


def _moment_us(value: Any) -> int | str:
    """UTC microseconds, or what is wrong. Text is ISO 8601, without a zone it is UTC; numbers count from 1970."""
    if value is None or value == "":
        return "timestamp is missing"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _from_epoch(value) if abs(value) < EPOCH_MICROSECONDS_TO else _UNREADABLE
    try:
        moment = datetime.fromisoformat(value)
        return to_microseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (TypeError, ValueError, OverflowError):
        return _UNREADABLE


def _from_epoch(number: float) -> int:
    if abs(number) >= EPOCH_MICROSECONDS_FROM:
        return round(number)
    return round(number * (1_000 if abs(number) >= EPOCH_MILLISECONDS_FROM else 1_000_000))

"""What people send back: clicks, and what follows them, as unified events for POST /events."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from feature_repo.dataset.event_id import event_id
from feature_repo.dataset.split import to_microseconds
from monitoring.audience.audience import Audience, Visitor

_READING = timedelta(seconds=2)  # a place, before it is clicked
_DECIDING = timedelta(seconds=60)  # from a click to a conversion


def answer(
    audience: Audience,
    visitor: Visitor,
    slate: Sequence[str],
    *,
    request_id: str,
    moment: datetime,
    rng: np.random.Generator,
) -> tuple[Mapping[str, Any], ...]:
    """The events of one visitor on one slate (item ids), with request_id and position, as JSON's own types.

    Clicks have the weakest event type of the log; conversions have the strongest, where there are several.
    """
    clicked = np.flatnonzero(audience.clicks(visitor.user_id, slate, moment, rng))
    converted = rng.random(len(clicked)) < audience.settings.conversion_rate
    several = len(audience.event_types) > 1
    events = []
    for place, bought in zip(clicked.tolist(), converted.tolist(), strict=True):
        at = moment + (place + 1) * _READING
        events.append(_event(visitor, slate[place], audience.event_types[0], at, request_id, place))
        if bought and several:
            events.append(_event(visitor, slate[place], audience.event_types[-1], at + _DECIDING, request_id, place))
    return tuple(events)


def _event(
    visitor: Visitor, item_id: str, event_type: str, at: datetime, request_id: str, position: int
) -> Mapping[str, Any]:
    # The request is a part of the identity: one user may click one item of two slates in the same instant.
    own = event_id(visitor.user_id, f"{item_id}\x1f{request_id}", to_microseconds(at), event_type, None)
    return {
        "event_id": own,
        "user_id": visitor.user_id,
        "item_id": item_id,
        "timestamp": at.isoformat(),
        "event_type": event_type,
        "request_id": request_id,
        "position": position,
        "context": dict(visitor.context),
    }

"""The identity of an event that brings none of its own."""

import hashlib

ID_DIGITS = 32


def event_id(user_id: str, item_id: str, timestamp_us: int, event_type: str, value: float | None) -> str:
    """First 32 hexadecimal digits of SHA-256 over the event's own fields, so that a repeat gets the same id."""
    amount = "" if value is None else repr(float(value))
    row = "\x1f".join((user_id, item_id, str(timestamp_us), event_type, amount))
    return hashlib.sha256(row.encode()).hexdigest()[:ID_DIGITS]

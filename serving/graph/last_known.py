"""What this process read lately: what it knows of a user while the store does not answer."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True)
class Known(Generic[Value]):
    """What was read of a user, and the seconds since."""

    value: Value
    age_seconds: float


class LastKnown(Generic[Value]):
    """Of at most `users` users, the least recently read one goes first. Seconds are those of one monotonic clock."""

    def __init__(self, *, users: int, seconds: float) -> None:
        self._limit = users
        self._seconds = seconds
        self._values: OrderedDict[str, tuple[Value, float]] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, user_id: str, value: Value, *, now: float) -> None:
        with self._lock:
            self._values[user_id] = (value, now)
            self._values.move_to_end(user_id)
            if len(self._values) > self._limit:
                self._values.popitem(last=False)

    def of(self, user_id: str, *, now: float) -> Known[Value] | None:
        """None for a user who was not served here, or too long ago to say what is safe."""
        found = self._values.get(user_id)
        if found is None or now - found[1] > self._seconds:
            return None
        return Known(found[0], now - found[1])

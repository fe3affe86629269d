"""How much of a request's time is left."""

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Deadline:
    """The moment, in seconds of `time.perf_counter`, by which an answer should be made."""

    at: float

    @classmethod
    def after(cls, seconds: float, *, started: float | None = None) -> "Deadline":
        return cls((time.perf_counter() if started is None else started) + seconds)

    def left(self, now: float) -> float:
        """Seconds, below 0 when it has passed."""
        return self.at - now

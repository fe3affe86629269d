"""Token buckets: how often each caller may ask, in memory that does not grow with the number of callers."""

from collections import OrderedDict


class TokenBuckets:
    """Each caller has `burst` tokens, refilled at `per_second`; a request takes one.

    At most `callers` buckets are kept. The one unused for longest goes first, and its caller starts with a full one:
    so more callers than that are limited less, never more, than they should be.
    """

    def __init__(self, *, per_second: float, burst: int, callers: int) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._callers = callers
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when they were counted

    def __len__(self) -> int:
        return len(self._buckets)

    def wait(self, caller: str, *, now: float) -> float:
        """Take a token at `now` (seconds): 0.0, or how many seconds it is to the next one, and nothing is taken."""
        tokens, counted = self._buckets.get(caller, (self._burst, now))
        tokens = min(self._burst, tokens + (now - counted) * self._per_second)
        allowed = tokens >= 1.0
        self._buckets[caller] = (tokens - 1.0 if allowed else tokens, now)
        self._buckets.move_to_end(caller)
        if len(self._buckets) > self._callers:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1.0 - tokens) / self._per_second

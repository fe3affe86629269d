"""Who may ask, and how often: decided from a request's first line and headers, before its body is read."""

import hmac
import math
from collections.abc import Iterable
from dataclasses import dataclass

from serving.operations.buckets import TokenBuckets
from serving.settings import ServingSettings

# Asked by what keeps the process alive and measures it, which has no key.
OPEN_PATHS = frozenset({"/livez", "/healthz", "/readyz", "/metrics"})

Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Refusal:
    """The answer to a request that is turned away; `reason` is the label of its counter."""

    status: int
    reason: str
    sentence: str
    header: tuple[str, str]


class Guard:
    """Checks keys and rates. Without keys everybody may ask; without buckets as often as they like."""

    def __init__(self, *, keys: tuple[str, ...] = (), buckets: TokenBuckets | None = None) -> None:
        self._keys = tuple(key.encode() for key in keys)
        self._buckets = buckets

    @property
    def open(self) -> bool:
        """Whether it lets everything through."""
        return not self._keys and self._buckets is None

    def refusal(self, path: str, headers: Headers, address: str, *, now: float) -> Refusal | None:
        """Why a request of `address` at `now` (seconds) is turned away; None when it is not."""
        if path in OPEN_PATHS:
            return None
        caller = address
        if self._keys:
            given = key_of(headers)
            if given is None or not self._knows(given):
                return _no_key(given)
            caller = f"key {given.decode()}"
        wait = 0.0 if self._buckets is None else self._buckets.wait(caller, now=now)
        return _too_often(wait) if wait > 0.0 else None

    def _knows(self, given: bytes) -> bool:
        # All of them, each in constant time: how long it takes says nothing about how near a guess came.
        return sum(hmac.compare_digest(given, key) for key in self._keys) > 0


def guard_of(settings: ServingSettings) -> Guard:
    """The guard that the settings describe; several keys are separated by commas."""
    given = "" if settings.api_key is None else settings.api_key.get_secret_value()
    keys = tuple(key.strip() for key in given.split(",") if key.strip())
    if not settings.rate_per_second:
        return Guard(keys=keys)
    buckets = TokenBuckets(
        per_second=settings.rate_per_second, burst=settings.rate_burst, callers=settings.rate_callers
    )
    return Guard(keys=keys, buckets=buckets)


def key_of(headers: Headers) -> bytes | None:
    """The key in `Authorization: Bearer KEY` or `X-API-Key: KEY`."""
    for name, value in headers:
        if name == b"x-api-key":
            return value.strip()
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return value[7:].strip()
    return None


def _no_key(given: bytes | None) -> Refusal:
    # The key itself is not repeated: answers end up in logs.
    came = "none" if given is None else "another one"
    sentence = (
        f"a request needs one of this service's keys, as `Authorization: Bearer KEY` or `X-API-Key: KEY`; got {came}"
    )
    return Refusal(401, "key", sentence, ("www-authenticate", "Bearer"))


def _too_often(wait: float) -> Refusal:
    seconds = max(1, math.ceil(wait))
    sentence = f"a caller must not ask more often than this service allows; the next request may come in {seconds} s"
    return Refusal(429, "rate", sentence, ("retry-after", str(seconds)))

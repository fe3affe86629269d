"""Slates that were made lately, for the same user and the same question.

A slate is good for some seconds, or until the user has done so many things, whichever comes first; a hidden item, other
rules, another blocked list or another item table end it at once. Users, versions and variants never share one.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from serving.graph.recent import Recent
from serving.graph.visit import Answer

SLATES_OF_A_USER = 8

Key = tuple[Hashable, ...]


@dataclass(frozen=True)
class Begun:
    """What was known when the making of an answer began; what comes later is not in it."""

    recent: Recent
    world: tuple[object, ...]
    forgets: int = 0


@dataclass(frozen=True)
class _Kept:
    answer: Answer
    made: float
    begun: Begun


class SlateCache:
    """Of at most `users` users. `world` is what every slate was made from; it is compared by identity.

    `forgets` counts calls of `forget`: what was begun before one is not kept after it. Threads may call it at once.
    """

    def __init__(self, *, seconds: float, events: int, users: int, on_outcome: Callable[[str], object]) -> None:
        self._seconds = seconds
        self._events = events
        self._limit = users
        self._on_outcome = on_outcome
        self._users: OrderedDict[str, OrderedDict[Key, _Kept]] = OrderedDict()
        self._lock = threading.Lock()
        self.forgets = 0

    @property
    def on(self) -> bool:
        return self._seconds > 0

    def get(self, user_id: str, key: Key, recent: Recent, world: tuple[object, ...], *, now: float) -> Answer | None:
        with self._lock:
            slates = self._users.get(user_id)
            kept = None if slates is None else slates.get(key)
            if kept is None or not self._good(kept, recent, world, now):
                self._on_outcome("miss")
                return None
            self._users.move_to_end(user_id)
            self._on_outcome("hit")
            return kept.answer

    def put(self, user_id: str, key: Key, answer: Answer, begun: Begun, *, now: float) -> None:
        """Keep an answer that nothing was missing from."""
        with self._lock:
            if answer.degraded or begun.forgets != self.forgets:
                return
            slates = self._users.setdefault(user_id, OrderedDict())
            slates[key] = _Kept(answer, now, begun)
            slates.move_to_end(key)
            if len(slates) > SLATES_OF_A_USER:
                slates.popitem(last=False)
            self._users.move_to_end(user_id)
            if len(self._users) > self._limit:
                self._users.popitem(last=False)
                self._on_outcome("evicted")

    def forget(self, user_id: str) -> None:
        with self._lock:
            self.forgets += 1
            self._users.pop(user_id, None)

    def _good(self, kept: _Kept, recent: Recent, world: tuple[object, ...], now: float) -> bool:
        begun = kept.begun
        return (
            now - kept.made <= self._seconds
            and recent.arrived - begun.recent.arrived < self._events
            and recent.hides == begun.recent.hides
            and all(then is today for then, today in zip(begun.world, world, strict=True))
        )

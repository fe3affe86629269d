"""Single flight: while an answer is being made, the same question waits for it and is not worked out again."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Flights(Generic[Value]):
    """The answers that are being made on one event loop."""

    def __init__(self) -> None:
        self._flying: dict[Hashable, asyncio.Future[Value]] = {}

    async def once(self, key: Hashable, make: Callable[[], Awaitable[Value]]) -> Value:
        """What `make` gives, made once for all who ask with `key` at the same time."""
        flying = self._flying.get(key)
        if flying is None:
            flying = self._flying[key] = asyncio.ensure_future(make())
            flying.add_done_callback(lambda _: self._flying.pop(key, None))
        # A client that goes away takes nobody else's answer along.
        return await asyncio.shield(flying)

"""Work that rests between its steps, so that several requests can go through the same step one after the other.

A step that has just run finds its code and data in the processor's caches. Eight requests that take a step each in turn
need two thirds of the processor time of eight that go one by one.
"""

import asyncio
from collections.abc import Callable, Generator
from typing import TypeVar

Value = TypeVar("Value")
# Yields between steps, and returns what was worked out.
Steps = Generator[None, None, Value]


def step(steps: Steps[Value]) -> tuple[Value] | None:
    """Go to the next rest; what the steps return, in a tuple, once they are through."""
    try:
        next(steps)
    except StopIteration as done:
        return (done.value,)
    return None


def finish(steps: Steps[Value]) -> Value:
    """What the steps return, without a rest."""
    while (found := step(steps)) is None:
        pass
    return found[0]


class Turns:
    """At most so many pieces of work of one event loop take a step each in turn; the others wait until one is done.

    More would all be late together where some could be in time. `alone`, once it is set, says whether there can be
    nobody else: then no turn of the event loop is spent on finding that out.
    """

    def __init__(self, *, most: int) -> None:
        self._places = asyncio.Semaphore(most)
        self._running = 0
        self.alone: Callable[[], bool] = lambda: False

    async def finish(self, steps: Steps[Value]) -> Value:
        """What the steps return."""
        async with self._places:
            self._running += 1
            try:
                if not self.alone():
                    await asyncio.sleep(0)  # whoever is ready to begin begins as well
                while (found := step(steps)) is None:
                    if self._running > 1:
                        await asyncio.sleep(0)
                return found[0]
            finally:
                self._running -= 1

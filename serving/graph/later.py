"""What an answer leaves to be done, and nobody has to wait for: metrics, the request log, what is remembered of users.

A quarter of a millisecond of a request was such work. It is done when the answer has gone out.
"""

import logging
from collections import deque
from collections.abc import Callable

logger = logging.getLogger("serving.graph.later")

MOST = 1_000  # pieces of work that wait: those of a hundred answers


class Later:
    """Work that waits for `run`; with too much of it waiting, the next piece runs it."""

    def __init__(self, *, most: int = MOST) -> None:
        self._most = most
        self._waiting: deque[Callable[[], object]] = deque()

    def add(self, work: Callable[[], object]) -> None:
        self._waiting.append(work)
        if len(self._waiting) > self._most:
            self.run()

    def run(self) -> None:
        """Do all that waits, in order. What fails is in the log and keeps nothing else from being done."""
        while self._waiting:
            work = self._waiting.popleft()
            try:
                work()
            except Exception:  # an answer that has gone out cannot be taken back
                logger.exception("not_done_later")

"""Leaving without losing a request: first unready, then no new connections, then the end of what is in flight.

Whoever balances load needs time to see that /readyz says 503 and to send its requests elsewhere; a process that closes
its socket at once resets connections that were on their way. So after SIGTERM the process serves on for a while.
"""

import time
from collections.abc import Callable
from types import FrameType

import uvicorn


class DrainingServer(uvicorn.Server):
    """Serves on for `drain_seconds` after the first signal, which calls `on_drain`; a second signal ends that."""

    def __init__(self, config: uvicorn.Config, *, drain_seconds: float, on_drain: Callable[[], object]) -> None:
        super().__init__(config)
        self._drain_seconds = drain_seconds
        self._on_drain = on_drain
        self._leave_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._leave_at is not None:
            super().handle_exit(sig, frame)
            return
        self._leave_at = time.monotonic() + self._drain_seconds
        self._captured_signals.append(sig)
        self._on_drain()

    async def on_tick(self, counter: int) -> bool:
        if self._leave_at is not None and time.monotonic() >= self._leave_at:
            self.should_exit = True
        return await super().on_tick(counter)

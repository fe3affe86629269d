"""When to stop asking a store that does not answer, and when to trust it again.

A circuit breaker (Nygard, "Release It!", 2007): closed, calls go through; after `failures` in a row it opens and calls
fail at once; somebody probes beside the requests, and the first probe that succeeds closes it.
"""

import threading


class Breaker:
    """Counts failures in a row. Threads may call it at once."""

    def __init__(self, *, failures: int) -> None:
        self._failures = failures
        self._in_a_row = 0
        self._lock = threading.Lock()
        self.open = False

    def succeeded(self) -> None:
        with self._lock:
            self._in_a_row = 0
            self.open = False

    def failed(self) -> bool:
        """Count a failure; True for the one that opens the breaker."""
        with self._lock:
            self._in_a_row += 1
            opens = not self.open and self._in_a_row >= self._failures
            self.open = self.open or opens
            return opens

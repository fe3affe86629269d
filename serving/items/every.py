"""Something small that is done again and again beside the requests."""

import threading
from collections.abc import Callable


class Every:
    """Calls `step` every `seconds` in a thread of its own, from `start` to `close`. `step` must not raise."""

    def __init__(self, step: Callable[[], object], *, seconds: float, name: str) -> None:
        self._step = step
        self._seconds = seconds
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self, timeout: float = 5.0) -> None:
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._closing.wait(self._seconds):
            self._step()

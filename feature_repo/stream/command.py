"""`python -m feature_repo stream` as a person or a supervisor sees it."""

import signal
import sys
from types import FrameType

from feature_repo.core.console import console
from feature_repo.core.workspace import Workspace
from feature_repo.stream.run import Limits, Progress, stream


def consume(workspace: Workspace, *, once: bool, batch: int, max_seconds: float | None) -> None:
    """Consume until done, or until SIGTERM or SIGINT, after which the batch at hand is finished.

    On a terminal progress is one line that changes, elsewhere a line every five seconds.
    """
    stop = StopSignal()
    limits = Limits(batch=batch, once=once, max_seconds=max_seconds)
    if sys.stdout.isatty():
        with console.status("opening") as status:
            done = stream(workspace, limits, stopped=stop.came, show=lambda p: status.update(p.line()), every=0.2)
    else:
        done = stream(workspace, limits, stopped=stop.came, show=_print)
    _print(done)


class StopSignal:
    """Whether SIGTERM or SIGINT came since this was made."""

    def __init__(self) -> None:
        self._came = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def came(self) -> bool:
        return self._came

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - what the signal module calls with
        self._came = True


def _print(progress: Progress) -> None:
    console.print(f"stream {progress.line()}")

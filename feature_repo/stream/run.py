"""The consumer's life: open everything, take batches until told to stop, say how it goes."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from filelock import FileLock, Timeout

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.prepare import active_dataset
from feature_repo.stream.bus import BusUnavailable, EventBus
from feature_repo.stream.connect import open_bus, stream_folder
from feature_repo.stream.consumer import Consumer
from feature_repo.stream.journal import open_journal
from feature_repo.stream.online_views import open_views
from feature_repo.stream.payload import Rules
from feature_repo.stream.sort_out import Counts

WAIT = 0.5  # seconds for the first record of a batch; also how soon a stop is noticed
logger = logging.getLogger("feature_repo.stream")


@dataclass(frozen=True)
class Progress:
    """So far: what became of the records, how many wait on the bus, records a second."""

    counts: Counts
    lag: int
    rate: float

    def line(self) -> str:
        counts = " ".join(f"{name}={value}" for name, value in vars(self.counts).items())
        return f"{counts} lag={self.lag} rate={self.rate:.0f}/s"


@dataclass(frozen=True)
class Limits:
    """`batch`: records a step. `once`: stop when the bus is drained. `max_seconds`: stop after so long."""

    batch: int = 2_000
    once: bool = False
    max_seconds: float | None = None


def stream(
    workspace: Workspace,
    limits: Limits,
    *,
    stopped: Callable[[], bool] = lambda: False,
    show: Callable[[Progress], None],
    every: float = 5.0,
) -> Progress:
    """Consume the bus until a limit is reached or `stopped`; calls `show` at the start and every `every` seconds.

    Raises:
        BusUnavailable, StoreUnavailable: a server is down. Nothing is lost: start it again when the server is back.
    """
    with open_consumer(workspace) as (consumer, bus):
        consumer.start()
        show(Progress(Counts(), bus.lag(), 0.0))
        began = shown = time.monotonic()
        counts = Counts()
        while True:
            got = consumer.step(limits.batch, timeout=WAIT)
            counts += got
            now = time.monotonic()
            drained = limits.once and got.read == 0 and bus.lag() == 0
            late = limits.max_seconds is not None and now - began >= limits.max_seconds
            if drained or late or stopped():
                return Progress(counts, bus.lag(), counts.read / max(now - began, 1e-9))
            if now - shown >= every:
                shown = now
                show(Progress(counts, bus.lag(), counts.read / (now - began)))


@contextmanager
def open_consumer(workspace: Workspace) -> Iterator[tuple[Consumer, EventBus]]:
    """The workspace's one consumer and its bus.

    Raises:
        BusUnavailable: another process consumes for this workspace.
    """
    folder = stream_folder(workspace)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(FileLock(folder / "consumer.lock", timeout=0))
        except Timeout:
            raise BusUnavailable(f"another stream consumer runs for {workspace.store}: one writes all users") from None
        dataset = active_dataset(workspace)
        bus = open_bus(workspace)
        stack.callback(bus.close)
        journal = open_journal(folder / "journal.db")
        stack.callback(journal.close)
        rules = Rules(dataset.weights, dataset.cleaning, valued="value" in dataset.events.columns)
        consumer = Consumer(
            workspace,
            bus=bus,
            journal=journal,
            open_views=lambda: open_views(workspace),
            rules=rules,
            now=lambda: datetime.now(UTC),
        )
        yield consumer, bus

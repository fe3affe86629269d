"""What the stages say about themselves, as a port; the metrics behind it are the process's."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

from serving.graph.later import Later
from serving.operations.traces import stage_ended

if TYPE_CHECKING:
    from serving.metrics import Metrics


class Meter(Protocol):
    """Hears how long a stage took, where candidates came from, and on which rung of the ladder an answer stood."""

    def stage(self, name: str, seconds: float) -> None: ...

    def candidates(self, sources: Sequence[str]) -> None: ...

    def rung(self, name: str) -> None: ...


class Measured:
    """Writes into the process's metrics, steps down the ladder at once and all else later.

    Series are looked up once: `labels` costs more than counting.
    """

    def __init__(self, metrics: "Metrics", later: Later) -> None:
        self._metrics = metrics
        self._later = later
        self._stages: dict[str, Callable[[float], None]] = {}
        self._sources: dict[str, Callable[[float], None]] = {}

    def stage(self, name: str, seconds: float) -> None:
        observe = self._stages.get(name)
        if observe is None:
            observe = self._stages[name] = self._metrics.stage.labels(name).observe
        self._later.add(partial(observe, seconds))
        stage_ended(name, seconds)

    def candidates(self, sources: Sequence[str]) -> None:
        self._later.add(partial(self._count, sources))

    def rung(self, name: str) -> None:
        self._metrics.rungs.labels(name).inc()

    def _count(self, sources: Sequence[str]) -> None:
        for source, count in Counter(sources).items():
            add = self._sources.get(source)
            if add is None:
                add = self._sources[source] = self._metrics.candidates.labels(source).inc
            add(count)

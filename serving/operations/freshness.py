"""How old what the stores know is, as a gauge that is read when somebody scrapes it."""

import math
from collections.abc import Callable
from datetime import UTC, datetime

from feature_repo.core.errors import RecommenderError
from feature_repo.core.workspace import Workspace
from serving.metrics import Metrics


def export_freshness(workspace: Workspace, metrics: Metrics) -> None:
    """Export the time since the last event that the online store's batch state holds; streamed events are newer."""
    metrics.feature_freshness.set_function(freshness(workspace, lambda: datetime.now(UTC)))


def freshness(workspace: Workspace, now: Callable[[], datetime]) -> Callable[[], float]:
    """Seconds since what `make materialize` covered; NaN, which no alert takes for fresh, where that is not known."""

    def seconds() -> float:
        from feature_repo.store.coverage import read_coverage

        try:
            until_us = read_coverage(workspace).until_us
        except (RecommenderError, OSError, ValueError, KeyError):
            return math.nan
        return now().timestamp() - until_us / 1e6

    return seconds

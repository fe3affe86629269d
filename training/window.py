"""The requests of a training window: an earlier part for the retrievers, a later one for the ranker."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from feature_repo.core.errors import DatasetError
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.split import load_split
from training.replay import Moment, moments
from training.settings import TrainingSettings


@dataclass(frozen=True)
class Window:
    """Requests of [`start`, `end`) in order of time, cut at `cut`; `for_ranker` are drawn from those `after` it."""

    start: datetime
    cut: datetime
    end: datetime
    before: list[Moment]
    after: list[Moment]
    for_ranker: list[Moment]

    @property
    def asked(self) -> list[Moment]:
        return [*self.before, *self.after]


def open_window(
    workspace: Workspace, settings: TrainingSettings, *, end: datetime, cut: datetime | None = None
) -> Window:
    """The window up to `end`, cut at `cut`, or so that the last share of its events is the ranker's.

    Raises:
        DatasetError: there are no requests on both sides of the cut.
    """
    start = load_split(workspace).start
    asked = moments(workspace, start, end)
    if cut is None:
        events = np.cumsum([len(m.items) for m in asked])
        place = int(np.searchsorted(events, (1 - settings.ranker_share) * events[-1])) if asked else 0
    else:
        place = sum(m.time < cut for m in asked)
    if not 0 < place < len(asked):
        raise DatasetError(
            f"training needs liked events at several moments before {end.isoformat()}"
            f"{f', some of them from {cut.isoformat()} on' if cut else ''}; got {len(asked)} requests"
        )
    later = asked[place:]
    wanted = min(settings.ranker.requests + settings.reference_requests, len(later))
    chosen = np.sort(np.random.default_rng(settings.seed).choice(len(later), wanted, replace=False))
    return Window(start, cut or later[0].time, end, asked[:place], later, [later[i] for i in chosen])

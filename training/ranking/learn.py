"""The second stage of a bundle: the ranker, learnt from candidates of earlier requests, stopped by later ones."""

from dataclasses import replace
from typing import Any

import numpy as np
import xgboost as xgb

from feature_repo.core.errors import DatasetError
from feature_repo.dataset.declaration import Dataset
from training.progress import Progress
from training.ranking import lambdamart
from training.ranking.candidates import RankerRows
from training.ranking.objectives import gains_by_objective
from training.ranking.openings import openings, repeated, with_later
from training.ranking.query_groups import QueryGroups
from training.ranking.relevance import gains
from training.replay import Moment
from training.settings import RankerSettings, TrainingSettings

Array = np.ndarray[Any, Any]

STOPPING_SHARE = 6  # one request in so many, the latest, says when to stop
LEAST_TO_STOP = 30  # requests; fewer say too little


def divide(requests: int, settings: TrainingSettings) -> tuple[Array, Array, Array]:
    """Request numbers to learn from, to stop by, and the latest ones for validation and reference."""
    kept = min(settings.reference_requests, max(requests // 5, 1))
    rest = requests - kept
    stopping = rest // STOPPING_SHARE if rest // STOPPING_SHARE >= LEAST_TO_STOP else 0
    return np.arange(rest - stopping), np.arange(rest - stopping, rest), np.arange(rest, requests)


def learn_ranker(
    rows: RankerRows,
    learn: Array,
    stop: Array,
    after: list[Moment],
    *,
    dataset: Dataset,
    feature_names: tuple[str, ...],
    settings: TrainingSettings,
    progress: Progress,
) -> xgb.Booster:
    """Fit on the requests `learn`, stop by those of `stop`; `after` holds all requests of the ranker's part.

    What came after the requests to learn from is no label: it answers those that stop the training and validate it.

    Raises:
        DatasetError: no request has a relevant candidate and another one.
    """
    if not rows.relevance.any():
        raise DatasetError("the ranker needs requests whose candidates hold an item that was consumed; none has one")
    progress.stage("ranker", settings.ranker.rounds)

    def on_round(number: int, score: float) -> None:
        progress.metric("ranker_validation_ndcg_at_10" if len(stop) else "ranker_training_ndcg_at_10", score, number)
        progress.advance()

    first = rows.of(learn).first(settings.ranker.candidates)
    opening = openings(first, feature_names, settings.ranker)
    until_us = max((rows.asked[number].moment_us for number in learn), default=0)
    whole = _groups(with_later(first, opening, after, until_us), dataset, settings.ranker)
    taken, numbers = repeated(whole.groups, opening, settings.ranker.opening_weight)
    earlier = replace(whole.take(taken), groups=numbers)
    return lambdamart.train(
        earlier.matrix,
        earlier.relevance,
        earlier.groups,
        feature_names=feature_names,
        settings=settings.ranker,
        seed=settings.seed,
        on_round=on_round,
        validation=_groups(rows.of(stop), dataset, settings.ranker) if len(stop) else None,
        champion=earlier.champion,
    )


def _groups(rows: RankerRows, dataset: Dataset, settings: RankerSettings) -> QueryGroups:
    if settings.objectives:
        found = gains_by_objective(rows.answered, rows.event_types, settings.objectives)
    else:
        found = gains(rows.answered, rows.event_types, dataset.weights)
    return QueryGroups(rows.matrix, found, rows.request, champion=rows.champion)

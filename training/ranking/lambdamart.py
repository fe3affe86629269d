"""The ranker: gradient-boosted trees under LambdaMART's NDCG objective (Burges, 2010), one query group a request."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xgboost as xgb

from feature_repo.core.errors import DatasetError
from training.ranking.blend import merged, spread_within
from training.ranking.constraints import plain
from training.ranking.objectives import shares
from training.ranking.parameters import metric, parameters
from training.ranking.prepare import for_training, for_validation
from training.ranking.query_groups import Dropped, QueryGroups
from training.settings import RankerSettings

Array = np.ndarray[Any, Any]
OnRound = Callable[[int, float], None]


def train(
    matrix: Array,
    relevance: Array,
    groups: Array,
    *,
    feature_names: tuple[str, ...],
    settings: RankerSettings,
    seed: int,
    on_round: OnRound,
    validation: QueryGroups | None = None,
    positions: Array | None = None,
    champion: Array | None = None,
) -> xgb.Booster:
    """Fit on candidates [n, features] with gains [n]; `groups` [n] holds ascending request numbers.

    Gains may be [n, o] for o objectives of the settings; `positions` [n] are the places at which candidates were shown
    (from 1), `champion` [n] the champion's scores. `on_round` is told each round's NDCG, of `validation` where there
    is one, else of the training set. How many requests were left out is among `facts` of the result.

    Raises:
        DatasetError: the rows break a rule, or no request has both a relevant candidate and another one.
        SettingsRefused: the settings do not fit the features or the gains.
    """
    rows = QueryGroups(matrix, relevance, groups, positions, champion)
    if settings.blend == "models" and relevance.ndim == 2 and relevance.shape[1] > 1:
        return _train_each(rows, feature_names, settings, seed=seed, on_round=on_round, validation=validation)
    kept, dropped = for_training(rows, feature_names, settings)
    if len(kept) == 0:
        raise DatasetError(
            "the ranker needs a request in which one candidate is relevant and another is not; of "
            f"{len(np.unique(groups))} requests {dropped.without_positive} have no relevant candidate and "
            f"{dropped.only_positives} no other"
        )
    data = as_matrix(kept, feature_names, settings)
    return boost(
        data,
        _watched(validation, feature_names, settings),
        feature_names=feature_names,
        settings=settings,
        seed=seed,
        on_round=on_round,
        dropped=dropped,
    )


def boost(
    data: xgb.DMatrix,
    watched: xgb.DMatrix | None,
    *,
    feature_names: Sequence[str],
    settings: RankerSettings,
    seed: int,
    on_round: OnRound,
    dropped: Dropped,
) -> xgb.Booster:
    """The rounds themselves; with `watched` groups they end when its NDCG has not risen for `patience` rounds."""
    callbacks: list[xgb.callback.TrainingCallback] = [_Report(on_round, metric(settings))]
    if watched is not None and settings.patience:
        callbacks.append(xgb.callback.EarlyStopping(rounds=settings.patience, maximize=True, save_best=True))
    booster = xgb.train(
        parameters(settings, feature_names, seed=seed),
        data,
        settings.rounds,
        evals=[(data, "training") if watched is None else (watched, "validation")],
        verbose_eval=False,
        callbacks=callbacks,
    )
    counts = {"without_positive": dropped.without_positive, "only_positives": dropped.only_positives}
    booster.set_attr(**{f"groups_{name}": str(count) for name, count in counts.items()})
    return booster


def facts(booster: xgb.Booster) -> dict[str, float]:
    """What a model card says of a ranker: its trees, and the requests that it could not learn from."""
    names = ("groups_without_positive", "groups_only_positives")
    return {"rounds": float(booster.num_boosted_rounds()), **{name: float(booster.attr(name) or 0) for name in names}}


def as_matrix(
    rows: QueryGroups, feature_names: Sequence[str], settings: RankerSettings, like: xgb.DMatrix | None = None
) -> xgb.QuantileDMatrix:
    """Rows in bins: those of `like`, or their own quantiles."""
    return xgb.QuantileDMatrix(
        rows.matrix,
        rows.relevance,
        qid=rows.groups,
        feature_names=[plain(name) for name in feature_names],
        max_bin=settings.max_bin,
        ref=like,
    )


def _watched(
    validation: QueryGroups | None, feature_names: Sequence[str], settings: RankerSettings
) -> xgb.DMatrix | None:
    if validation is None:
        return None
    kept, _ = for_validation(validation, feature_names, settings)
    # Validation requests without an order to find are no reason not to train.
    if len(kept) == 0:
        return None
    # Not in bins: after every tree XGBoost would look each value up in its bin, which costs a quarter of the training.
    names = [plain(name) for name in feature_names]
    return xgb.DMatrix(kept.matrix, kept.relevance, qid=kept.groups, feature_names=names)


def _train_each(
    rows: QueryGroups,
    feature_names: tuple[str, ...],
    settings: RankerSettings,
    *,
    seed: int,
    on_round: OnRound,
    validation: QueryGroups | None,
) -> xgb.Booster:
    """One ranker an objective, then their blend in one model."""
    boosters, weights = [], []
    for at, share in enumerate(shares(settings.objectives)):
        booster = train(
            rows.matrix,
            rows.relevance[:, at],
            rows.groups,
            feature_names=feature_names,
            settings=settings,
            seed=seed,
            on_round=on_round,
            validation=validation and replace(validation, relevance=validation.relevance[:, at]),
            positions=rows.positions,
            champion=rows.champion,
        )
        boosters.append(booster)
        weights.append(float(share) / spread_within(booster.inplace_predict(rows.matrix), rows.groups))
    return merged(boosters, weights)


class _Report(xgb.callback.TrainingCallback):  # type: ignore[misc]
    def __init__(self, on_round: OnRound, metric: str) -> None:
        super().__init__()
        self._on_round = on_round
        self._metric = metric

    def after_iteration(self, model: xgb.Booster, epoch: int, evals_log: dict[str, Any]) -> bool:  # noqa: ARG002
        (scores,) = evals_log.values()
        self._on_round(epoch, float(scores[self._metric][-1]))
        return False

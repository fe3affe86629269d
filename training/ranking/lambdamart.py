"""The ranker: gradient-boosted trees under LambdaMART's NDCG objective, one query group a request."""

from collections.abc import Callable
from typing import Any

import numpy as np
import xgboost as xgb

from training.settings import RankerSettings

Array = np.ndarray[Any, Any]


def train(
    matrix: Array,
    relevance: Array,
    groups: Array,
    *,
    feature_names: tuple[str, ...],
    settings: RankerSettings,
    seed: int,
    on_round: Callable[[int, float], None],
) -> xgb.Booster:
    """Fit on candidates [n, features] with relevance [n]; `groups` [n] holds ascending request numbers."""
    data = xgb.QuantileDMatrix(matrix, relevance, qid=groups, feature_names=[_plain(n) for n in feature_names])
    parameters = {
        "objective": "rank:ndcg",
        "eval_metric": "ndcg@10",
        "eta": settings.learning_rate,
        "max_depth": settings.depth,
        "min_child_weight": settings.min_child_weight,
        "subsample": settings.subsample,
        "colsample_bytree": settings.column_share,
        "tree_method": "hist",
        "seed": seed,
    }
    return xgb.train(
        parameters,
        data,
        settings.rounds,
        evals=[(data, "training")],
        verbose_eval=False,
        callbacks=[_Report(on_round)],
    )


class _Report(xgb.callback.TrainingCallback):  # type: ignore[misc]
    def __init__(self, on_round: Callable[[int, float], None]) -> None:
        super().__init__()
        self._on_round = on_round

    def after_iteration(self, model: xgb.Booster, epoch: int, evals_log: dict[str, Any]) -> bool:  # noqa: ARG002
        self._on_round(epoch, float(evals_log["training"]["ndcg@10"][-1]))
        return False


def _plain(name: str) -> str:
    # XGBoost refuses these three characters in a feature's name.
    return name.translate(str.maketrans("[]<", "()_"))

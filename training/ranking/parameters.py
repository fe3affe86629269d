"""The ranker's settings as XGBoost reads them."""

from collections.abc import Sequence
from typing import Any

from training.ranking.constraints import constraints
from training.settings import RankerSettings

LISTWISE = "rank:ndcg"


def parameters(settings: RankerSettings, feature_names: Sequence[str], *, seed: int) -> dict[str, Any]:
    """Everything but the number of rounds.

    Raises:
        SettingsRefused: a constraint does not fit the features.
    """
    return {
        "objective": settings.objective,
        "eval_metric": metric(settings),
        # Read by the metric under every objective; without it labels that are no whole numbers are refused.
        "ndcg_exp_gain": settings.exponential_gain,
        "eta": settings.learning_rate,
        "max_depth": settings.depth,
        "min_child_weight": settings.min_child_weight,
        "lambda": settings.l2,
        "subsample": settings.subsample,
        "colsample_bytree": settings.column_share,
        "max_bin": settings.max_bin,
        "tree_method": "hist",
        "seed": seed,
        **(_pairs(settings) if settings.objective.startswith("rank:") else {}),
        **constraints(settings, feature_names),
    }


def metric(settings: RankerSettings) -> str:
    """NDCG at the place that settings name, as XGBoost spells it."""
    return f"ndcg@{settings.cutoff}"


def _pairs(settings: RankerSettings) -> dict[str, Any]:
    found: dict[str, Any] = {
        "lambdarank_pair_method": settings.pair_method,
        "lambdarank_normalization": settings.normalise_pairs,
        "lambdarank_unbiased": settings.position_bias,
    }
    if settings.pairs:
        found["lambdarank_num_pair_per_sample"] = settings.pairs
    return found

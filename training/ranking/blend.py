"""Several rankers as one: a weighted sum of trees is trees.

Scores of different rankers have different spreads, so each is divided by its own, the standard deviation of its scores
within a request over the training set, and multiplied by its share. The mean is not taken off: it does not change the
order within a request. Leaves scaled by a constant and put one after another are again an XGBoost model, hence one
file, one `inplace_predict`, and exact SHAP values.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import xgboost as xgb

from training.ranking.query_groups import group_starts

Array = np.ndarray[Any, Any]

LEAF = -1  # the left child of a node that has none
# Added to every score. 0.5 is a valid start of every objective, logistic ones too.
START = "5E-1"


def spread_within(scores: Array, groups: Array) -> float:
    """Standard deviation of scores [n] around the mean of their request; 1 for a ranker that tells nothing apart."""
    starts = group_starts(groups)
    sizes = np.diff([*starts, len(scores)])
    means = np.add.reduceat(scores.astype(np.float64), starts) / sizes
    spread = float(np.sqrt(np.mean((scores - np.repeat(means, sizes)) ** 2)))
    return spread if spread > 0 else 1.0


def merged(boosters: Sequence[xgb.Booster], weights: Sequence[float]) -> xgb.Booster:
    """One booster whose margin is the weighted sum of the others', up to a constant.

    The trees must share features and have one output; attributes are the first one's.
    """
    models = [json.loads(booster.save_raw("json")) for booster in boosters]
    trees = [
        _scaled(tree, weight) for model, weight in zip(models, weights, strict=True) for tree in _forest(model)["trees"]
    ]
    whole = models[0]
    forest = _forest(whole)
    forest["trees"] = [{**tree, "id": number} for number, tree in enumerate(trees)]
    forest["tree_info"] = [0] * len(trees)
    forest["iteration_indptr"] = list(range(len(trees) + 1))
    forest["gbtree_model_param"]["num_trees"] = str(len(trees))
    whole["learner"]["learner_model_param"]["base_score"] = START
    booster = xgb.Booster()
    booster.load_model(bytearray(json.dumps(whole), "utf-8"))
    return booster


def _forest(model: dict[str, Any]) -> dict[str, Any]:
    forest: dict[str, Any] = model["learner"]["gradient_booster"]["model"]
    return forest


def _scaled(tree: dict[str, Any], weight: float) -> dict[str, Any]:
    # A leaf's value stands where an inner node has its threshold.
    conditions = [
        value * weight if left == LEAF else value
        for value, left in zip(tree["split_conditions"], tree["left_children"], strict=True)
    ]
    weights = [value * weight for value in tree["base_weights"]]
    return {**tree, "split_conditions": conditions, "base_weights": weights}

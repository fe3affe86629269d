"""The ranker as ONNX, for serving: onnxruntime walks the same trees in a third of the time that XGBoost needs.

200 candidates through 150 trees of depth 4 take 0.20 ms, through `inplace_predict` 0.67. XGBoost's own file stays
beside it, for explanations and for the next version to start from.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import xgboost as xgb
from onnx import TensorProto, helper

from feature_repo.core.errors import BundleError

Array = np.ndarray[Any, Any]

TOLERANCE = 1e-6  # largest difference of a score, in times of the largest score: sums in another order
OPSET, TREES_OPSET = 17, 3
CHECKED_ROWS = 2_000
LEAF = -1  # the left child of a node that has none


def export_ranker(booster: xgb.Booster, file: Path) -> float:
    """Write the trees of a ranker to `file`. Returns the largest difference of a score that was found.

    It is looked for on rows of the trees' own thresholds, values next to them, and missing ones.

    Raises:
        BundleError: the booster is no sum of trees over numbers, or its scores are others.
    """
    learner = json.loads(booster.save_raw("json"))["learner"]
    forest = learner["gradient_booster"].get("model", {}).get("trees")
    objective = learner["objective"]["name"]
    if forest is None or not objective.startswith("rank:") or any(any(tree["split_type"]) for tree in forest):
        raise BundleError(f"a ranker is a sum of trees over numbers; got {objective}")
    features = booster.num_features()
    start = float(learner["learner_model_param"]["base_score"].strip("[]"))
    onnx.save(_model(forest, features, start=start), file)
    rows = _rows(forest, features)
    expected = booster.inplace_predict(rows)
    found = ort.InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, {"rows": rows})[0][:, 0]
    difference = float(np.abs(found - expected).max(initial=0.0))
    most = TOLERANCE * max(1.0, float(np.abs(expected).max(initial=0.0)))
    if not difference <= most:
        raise BundleError(f"{file.name}: expected the ranker's scores within {most}; got a difference of {difference}")
    return difference


def _model(forest: list[dict[str, Any]], features: int, *, start: float) -> onnx.ModelProto:
    nodes: dict[str, list[Any]] = {
        name: []
        for name in (
            "nodes_treeids",
            "nodes_nodeids",
            "nodes_modes",
            "nodes_featureids",
            "nodes_values",
            "nodes_truenodeids",
            "nodes_falsenodeids",
            "nodes_missing_value_tracks_true",
            "target_treeids",
            "target_nodeids",
            "target_ids",
            "target_weights",
        )
    }
    for number, tree in enumerate(forest):
        _add(nodes, number, tree)
    trees = helper.make_node(
        "TreeEnsembleRegressor",
        ["rows"],
        ["scores"],
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        post_transform="NONE",
        base_values=[start],
        **nodes,
    )
    graph = helper.make_graph(
        [trees],
        "ranker",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, features])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 1])],
    )
    versions = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", TREES_OPSET)]
    return helper.make_model_gen_version(graph, opset_imports=versions)


def _add(nodes: dict[str, list[Any]], number: int, tree: dict[str, Any]) -> None:
    columns = ("left_children", "right_children", "split_indices", "split_conditions", "default_left")
    for node, (left, right, feature, value, missing_left) in enumerate(zip(*(tree[c] for c in columns), strict=True)):
        leaf = left == LEAF
        nodes["nodes_treeids"].append(number)
        nodes["nodes_nodeids"].append(node)
        nodes["nodes_modes"].append("LEAF" if leaf else "BRANCH_LT")
        nodes["nodes_featureids"].append(0 if leaf else feature)
        nodes["nodes_values"].append(0.0 if leaf else value)
        nodes["nodes_truenodeids"].append(0 if leaf else left)
        nodes["nodes_falsenodeids"].append(0 if leaf else right)
        nodes["nodes_missing_value_tracks_true"].append(0 if leaf else int(missing_left))
        if leaf:  # a leaf's value stands where an inner node has its threshold
            nodes["target_treeids"].append(number)
            nodes["target_nodeids"].append(node)
            nodes["target_ids"].append(0)
            nodes["target_weights"].append(value)


def _rows(forest: list[dict[str, Any]], features: int) -> Array:
    found: list[set[float]] = [set() for _ in range(features)]
    for tree in forest:
        columns = (tree[name] for name in ("left_children", "split_indices", "split_conditions"))
        for left, feature, value in zip(*columns, strict=True):
            if left != LEAF:
                found[feature].add(value)
    rng = np.random.default_rng(0)
    rows = np.zeros((CHECKED_ROWS, features), np.float32)
    for feature, values in enumerate(found):
        thresholds = np.array(sorted(values) or [0.0], np.float32)
        around = [np.nextafter(thresholds, np.float32(side)) for side in (-np.inf, np.inf)]
        rows[:, feature] = rng.choice(np.concatenate([thresholds, *around, [np.nan]]), CHECKED_ROWS)
    return rows

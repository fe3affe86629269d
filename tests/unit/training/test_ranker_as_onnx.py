"""The ranker as ONNX: the scores of XGBoost, and a refusal where they would be others."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import xgboost as xgb

from feature_repo.core.errors import BundleError
from training.ranking import as_onnx
from training.ranking.as_onnx import export_ranker
from training.ranking.blend import merged

FEATURES = 6


def ranker(seed: int, *, rounds: int = 20, objective: str = "rank:ndcg") -> xgb.Booster:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(600, FEATURES)).astype(np.float32)
    x[rng.random(x.shape) < 0.2] = np.nan
    x[:, 5] = rng.integers(4, size=600)  # codes, so that many rows lie on a threshold
    rows = xgb.DMatrix(x, label=(np.nan_to_num(x[:, 0]) + (x[:, 5] == 2) > 0.5).astype(int))
    rows.set_group([20] * 30)
    return xgb.train({"objective": objective, "max_depth": 4, "nthread": 1}, rows, num_boost_round=rounds)


def candidates(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(200, FEATURES)).astype(np.float32)
    x[rng.random(x.shape) < 0.2] = np.nan
    x[:, 5] = rng.integers(4, size=200)
    return x


def scores(file: Path, x: np.ndarray) -> np.ndarray:
    found: np.ndarray = ort.InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, {"rows": x})[0][:, 0]
    return found


@pytest.mark.parametrize("objective", ["rank:ndcg", "rank:pairwise", "rank:map"])
def test_scores_are_those_of_xgboost_with_missing_values_and_values_on_a_threshold(
    tmp_path: Path, objective: str
) -> None:
    booster, x = ranker(1, objective=objective), candidates(2)

    assert export_ranker(booster, tmp_path / "ranker.onnx") <= 1e-6

    assert scores(tmp_path / "ranker.onnx", x) == pytest.approx(booster.inplace_predict(x), abs=1e-6)
    order = np.argsort(-scores(tmp_path / "ranker.onnx", x), kind="stable")
    assert (order == np.argsort(-booster.inplace_predict(x), kind="stable")).all()


def test_a_blend_of_rankers_that_starts_from_a_constant_has_its_scores(tmp_path: Path) -> None:
    blend, x = merged([ranker(1), ranker(2)], [0.3, 2.0]), candidates(3)

    export_ranker(blend, tmp_path / "ranker.onnx")

    assert scores(tmp_path / "ranker.onnx", x) == pytest.approx(blend.inplace_predict(x), abs=1e-5)


def test_no_candidates_have_no_scores(tmp_path: Path) -> None:
    export_ranker(ranker(1), tmp_path / "ranker.onnx")

    assert scores(tmp_path / "ranker.onnx", candidates(1)[:0]).shape == (0,)


def test_a_model_that_is_no_ranker_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="a sum of trees over numbers; got binary:logistic"):
        export_ranker(ranker(1, objective="binary:logistic"), tmp_path / "ranker.onnx")


def test_other_scores_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A walk that sends missing values the other way, as a converter that forgets them does."""
    true_add = as_onnx._add

    def forgetful(nodes: dict, number: int, tree: dict) -> None:
        true_add(nodes, number, {**tree, "default_left": [1 - left for left in tree["default_left"]]})

    monkeypatch.setattr(as_onnx, "_add", forgetful)

    with pytest.raises(BundleError, match=r"ranker\.onnx: expected the ranker's scores"):
        export_ranker(ranker(1), tmp_path / "ranker.onnx")

"""Our metrics beside trec_eval's own code (pytrec_eval) on random slates."""

import numpy as np
import pytest
import pytrec_eval
from scipy import sparse

from training.evaluation.hits import counts_of, gains_of, hits_of, ideal_gains
from training.evaluation.metrics import graded_ndcg, ranking_metrics

ITEMS = 30
K = 10
MEASURES = {"ndcg_cut.5,10", "recall.5,10", "P.5,10", "map_cut.5,10", "success.5,10", "recip_rank"}
NAMES = {"ndcg": "ndcg_cut", "recall": "recall", "precision": "P", "hit_rate": "success"}


def random_world(seed: int) -> tuple[np.ndarray, sparse.csr_array]:
    """Slates of K distinct items for 60 requests, and graded relevance; some have no relevant item."""
    rng = np.random.default_rng(seed)
    slates = np.argsort(rng.random((60, ITEMS)), axis=1)[:, :K]
    grades = rng.integers(1, 4, (60, ITEMS)) * (rng.random((60, ITEMS)) < rng.random((60, 1)) * 0.5)
    grades[0] = 0
    return slates, sparse.csr_array(grades.astype(float))


def trec(slates: np.ndarray, relevant: sparse.csr_array) -> list[dict[str, float]]:
    """Scores fall from place to place, since trec_eval orders by score and breaks ties by name."""
    grades = relevant.toarray().astype(int)
    truth = {str(q): {f"i{i}": int(g) for i, g in enumerate(row)} for q, row in enumerate(grades)}
    run = {str(q): {f"i{i}": float(K - place) for place, i in enumerate(row)} for q, row in enumerate(slates)}
    found = pytrec_eval.RelevanceEvaluator(truth, MEASURES).evaluate(run)
    return [found[str(q)] for q in range(len(slates))]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_ranking_metric_agrees_with_trec_eval(seed: int) -> None:
    slates, graded = random_world(seed)
    relevant = (graded > 0).astype(float)
    counts = counts_of(relevant)

    ours = ranking_metrics(hits_of(slates, relevant), counts, ks=(5, K))

    theirs = trec(slates, relevant)
    for k in (5, K):
        for name, label in NAMES.items():
            assert ours[f"{name}@{k}"] == pytest.approx([t[f"{label}_{k}"] for t in theirs]), name
        over_all_relevant = ours[f"map@{k}"] * np.minimum(counts, k) / np.maximum(counts, 1)
        assert over_all_relevant == pytest.approx([t[f"map_cut_{k}"] for t in theirs])
    assert ours[f"mrr@{K}"] == pytest.approx([t["recip_rank"] for t in theirs])


def test_graded_ndcg_agrees_with_trec_eval() -> None:
    slates, graded = random_world(4)

    ours = graded_ndcg(gains_of(slates, graded), ideal_gains(graded, K))

    assert ours == pytest.approx([t["ndcg_cut_10"] for t in trec(slates, graded)])
    assert len(np.unique(ours.round(6))) > 40

"""The requests that a run holds back from its ranker: measured, and kept as the reference sample for drift.

The sample also holds the requests that stopped the ranker's training: nothing was fitted to them, and where a visit is
many requests, people and days are what a reference lacks.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from training.bundle import Bundle
from training.evaluation.metrics import ndcg, recall
from training.ranking.candidates import RankerRows
from training.reference import recommended_rows
from training.retrieval.fusion import rank_feature

Array = np.ndarray[Any, Any]

SLATE = 10


def validate(bundle: Bundle, rows: RankerRows, requests: Array, later: RankerRows, reference: Path) -> dict[str, float]:
    """Rank the candidates of `requests`, return metrics by name; write what would be recommended in `later`'s requests
    to `reference`.
    """
    scores = bundle.rank(rows.matrix)
    places = {name: bundle.ranker_features.index(rank_feature(name)) for name in bundle.manifest.retrievers}
    slates = best_rows(rows, scores, requests)
    hits, relevant = _hits(rows, slates, requests)
    _write_reference(bundle, later, reference)
    found = np.bincount(rows.request, rows.relevance, minlength=len(rows.asked))[requests]
    alone = {}
    for name, place in places.items():
        own, _ = _hits(rows, best_rows(rows, -rows.matrix[:, place], requests), requests)
        alone[f"validation_{name.replace('-', '_')}_ndcg_at_10"] = float(ndcg(own, relevant).mean())
    return {
        "validation_ndcg_at_10": float(ndcg(hits, relevant).mean()),
        "validation_recall_at_10": float(recall(hits, relevant).mean()),
        "validation_candidate_recall": float((found / relevant).mean()),
        **alone,
    }


def best_rows(rows: RankerRows, scores: Array, requests: Array) -> list[Array]:
    """For each of `requests` the rows of its SLATE highest scores, best first."""
    order = np.lexsort((-scores, rows.request))
    starts = np.searchsorted(rows.request[order], requests)
    ends = np.searchsorted(rows.request[order], requests, side="right")
    return [order[start : min(start + SLATE, end)] for start, end in zip(starts, ends, strict=True)]


def _hits(rows: RankerRows, slates: list[Array], requests: Array) -> tuple[Array, Array]:
    hits = np.zeros((len(requests), SLATE))
    for place, slate in enumerate(slates):
        hits[place, : len(slate)] = rows.relevance[slate]
    return hits, np.array([len(rows.asked[r].items) for r in requests])


def _write_reference(bundle: Bundle, rows: RankerRows, path: Path) -> None:
    scores = bundle.rank(rows.matrix)
    shown = np.concatenate(best_rows(rows, scores, np.unique(rows.request)))
    asked = [rows.asked[r] for r in rows.request[shown]]
    table = recommended_rows(
        bundle.ranker_features,
        features=rows.matrix[shown],
        scores=scores[shown],
        request_ids=[f"{m.user_id}@{m.moment_us}" for m in asked],
        user_ids=[m.user_id for m in asked],
        moments_us=[m.moment_us for m in asked],
        item_ids=rows.item_ids[shown],
        labels=rows.relevance[shown],
    )
    pq.write_table(table, path)

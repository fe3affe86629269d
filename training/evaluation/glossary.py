"""The metrics in plain words, and which way is better."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Term:
    """`better` is None where neither way is good in itself."""

    label: str
    meaning: str
    better: Literal["higher", "lower"] | None


_TERMS = {
    "ndcg": Term(
        "NDCG",
        "How near the slate comes to the best one possible: every relevant item counts, and counts more the higher it"
        " stands. 1 is perfect, 0 is nothing relevant.",
        "higher",
    ),
    "recall": Term("Recall", "Share of what the user went on to that the slate holds.", "higher"),
    "precision": Term("Precision", "Share of the slate that the user went on to.", "higher"),
    "hit_rate": Term("Hit rate", "Share of requests whose slate holds at least one relevant item.", "higher"),
    "map": Term(
        "MAP",
        "Mean average precision: precision read at every relevant item, from the top down, over as many items as the"
        " slate could hold.",
        "higher",
    ),
    "mrr": Term(
        "MRR", "One divided by the place of the first relevant item, on average: 1 is always the first place.", "higher"
    ),
    "auc": Term(
        "AUC", "How often an item that was chosen has a higher score than one that was not; 0.5 is chance.", "higher"
    ),
    "group_auc": Term("AUC by group", "AUC inside each user's or request's own items, averaged.", "higher"),
    "gauc": Term("GAUC", "AUC inside each user's or request's own items, weighted by how many were shown.", "higher"),
    "pr_auc": Term(
        "PR-AUC", "Precision over all cuts of the score, on average; chance is the share of items chosen.", "higher"
    ),
    "group_pr_auc": Term("PR-AUC by group", "PR-AUC inside each user's or request's own items, averaged.", "higher"),
    "rmse": Term("RMSE", "Typical error of a predicted rating, large errors weighing more.", "lower"),
    "mae": Term("MAE", "Mean error of a predicted rating.", "lower"),
    "coverage": Term("Coverage", "Share of the catalogue that is shown to anybody.", "higher"),
    "gini": Term("Gini", "How unequally items are shown: 0 all alike, 1 one item takes every place.", "lower"),
    "popularity": Term(
        "Popularity", "Mean popularity percentile of what is shown: 0.9 is more popular than 90 % of the items.", None
    ),
    "popularity_lift": Term(
        "Popularity lift", "How much more popular the shown items are than those that users choose themselves.", None
    ),
    "novelty": Term(
        "Novelty", "How unknown the shown items are, in bits: one more bit is half as many events before.", None
    ),
    "diversity": Term("Diversity", "How much the items of one slate differ from each other: 0 all alike.", None),
    "serendipity": Term(
        "Serendipity", "Share of places with a relevant item that a list of the most popular would not show.", "higher"
    ),
}


def term(metric: str) -> Term:
    """The term of `ndcg`, `ndcg@10` or a name that nobody explained, which stands for itself."""
    stem, _, k = metric.partition("@")
    known = _TERMS.get(stem)
    if known is None:
        return Term(metric, "A metric of this run without a description.", None)
    return Term(f"{known.label}@{k}" if k else known.label, known.meaning, known.better)


def stem_of(metric: str) -> str:
    return metric.partition("@")[0]

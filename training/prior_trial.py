"""Whether the prior of openings earns its place: asked of the window's own openings that the ranker did not learn from.

A prior is what is believed until the data say otherwise. It goes where it loses NDCG by more than one standard error
(the rule of Breiman et al., "Classification and regression trees", 1984), as where every request opens a visit and
tastes differ more than fashions do.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from training.bundle import Bundle
from training.evaluation.metrics import ndcg
from training.ranking.candidates import RankerRows
from training.ranking.openings import openings, with_later
from training.replay import Moment
from training.settings import PriorSettings, RankerSettings
from training.validation import SLATE, best_rows

Array = np.ndarray[Any, Any]

LEAST_OPENINGS = 20  # fewer say nothing
NO_PRIOR = PriorSettings(openings={}, newcomers={})


@dataclass(frozen=True)
class Trial:
    """NDCG@10 with the prior less without it [n], one for each opening."""

    gains: Array

    @property
    def kept(self) -> bool:
        if len(self.gains) < LEAST_OPENINGS:
            return True
        error = float(self.gains.std(ddof=1)) / len(self.gains) ** 0.5
        return bool(self.gains.mean() >= -error)

    def metrics(self) -> dict[str, float]:
        gain = float(self.gains.mean()) if len(self.gains) else 0.0
        return {"prior_openings": len(self.gains), "prior_ndcg_gain": gain, "prior_kept": float(self.kept)}


def prior_trial(
    bundle: Bundle, rows: RankerRows, after: list[Moment], until_us: int, settings: RankerSettings
) -> Trial:
    """Try the bundle's prior on the openings in `rows`, answered by all that users met until `until_us`."""
    opening = openings(rows, bundle.ranker_features, settings)
    whole = with_later(rows, opening, after, until_us)
    relevant = np.bincount(whole.request, whole.relevance, minlength=len(rows.asked))
    asked = np.unique(whole.request[opening])
    asked = asked[relevant[asked] > 0]
    if not len(asked):
        return Trial(np.zeros(0))
    with_it, without = (
        _ndcg(whole, scores, asked, relevant)
        for scores in (bundle.rank(whole.matrix), bundle.bare_scores(whole.matrix))
    )
    return Trial(with_it - without)


def _ndcg(rows: RankerRows, scores: Array, asked: Array, relevant: Array) -> Array:
    hits = np.zeros((len(asked), SLATE))
    for place, slate in enumerate(best_rows(rows, scores, asked)):
        hits[place, : len(slate)] = rows.relevance[slate]
    return ndcg(hits, relevant[asked].astype(np.int64))

"""Two stages without time: retrievers, and LambdaMART on their scores, fitted across folds.

A score that was made from the very pair that it is to predict looks better than scores will at test time. So the ranker
learns from retrievers that were fitted without one of ten parts of everybody's items, and is shown that part as what
is relevant; then retrievers that were fitted on everything give the scores that it ranks by. A part is small, so that
the scores that it learns from come from nearly as many pairs as those at test time.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xgboost as xgb
from scipy import sparse

from feature_repo.core.errors import DatasetError
from training.ranking.lambdamart import train
from training.retrieval.fusion import best
from training.retrieval.port import Array
from training.static.blend import blend_weights, blended, standard_within
from training.static.candidates import Plan, Ranked, columns, matrix, ranked
from training.static.cuts import folds
from training.static.members import unfitted
from training.static.one_moment import Pairs
from training.static.settings import StaticSettings

TWO_STAGE = "two-stage"
OnStep = Callable[[str], None]


@dataclass(frozen=True)
class Ranker:
    """The second stage: weights [r] of the blend of standard scores, and the trees that improve on it."""

    weights: Array
    trees: xgb.Booster
    blend_share: float

    def scores(self, found: Ranked) -> Array:
        """Scores [n] of candidates, to be compared within a user."""
        blend = blended(found.scores, self.weights)
        grown = self.trees.inplace_predict(matrix(found, blend))
        share = self.blend_share
        return share * standard_within(blend, found.user) + (1 - share) * standard_within(grown, found.user)


def two_stage(
    pairs: Pairs, users: Array, settings: StaticSettings, *, k: int, seed: int, on_step: OnStep
) -> dict[str, Array]:
    """Slates [q, k] for the rows `users`, ascending, from nothing but `pairs`: those of the two stages and of each of
    their retrievers, rows of items, best first and -1 after the last."""
    ranker = fit_ranker(pairs, settings, k=k, seed=seed, on_step=on_step)
    on_step("everything")
    found = retrieved(pairs, users, settings, k=k, seed=seed, on_step=on_step)
    return {**found.lists, TWO_STAGE: slates(found, ranker.scores(found), users, k)}


def fit_ranker(pairs: Pairs, settings: StaticSettings, *, k: int, seed: int, on_step: OnStep) -> Ranker:
    """The second stage, from the candidates of the first folds.

    Raises:
        DatasetError: more folds are to be fitted than there are, or no candidate was held out.
    """
    if settings.fitted_folds > settings.folds:
        raise DatasetError(f"expected at most {settings.folds} folds to fit; got {settings.fitted_folds}")
    parts, gains = [], []
    cut = folds(pairs.met, settings.folds, np.random.default_rng(seed))[: settings.fitted_folds]
    for number, (kept, held) in enumerate(cut):
        fold, asked = pairs.only(kept), np.flatnonzero(np.diff(held.indptr))
        on_step(f"fold {number + 1} of {len(cut)}")
        found = retrieved(fold, asked, settings, k=k, seed=seed + number, on_step=on_step)
        parts.append(found)
        gains.append(held_out(held, found))
    on_step("ranker")
    relevance = np.concatenate(gains)
    groups = np.concatenate([part.user + number * len(pairs.user_ids) for number, part in enumerate(parts)])
    weights = blend_weights(
        np.concatenate([part.scores for part in parts]), relevance, groups, ridge=settings.blend_ridge
    )
    trees = train(
        np.concatenate([matrix(part, blended(part.scores, weights)) for part in parts]),
        relevance,
        groups,
        feature_names=columns([member.name for member in settings.members]),
        settings=settings.ranker,
        seed=seed,
        on_round=lambda _round, _ndcg: None,
    )
    return Ranker(weights, trees, settings.blend_share)


def retrieved(pairs: Pairs, users: Array, settings: StaticSettings, *, k: int, seed: int, on_step: OnStep) -> Ranked:
    """Candidates of the rows `users` from retrievers that are fitted on `pairs`."""
    fitted = {}
    for member in settings.members:
        on_step(member.name)
        fitted[member.name] = unfitted(member).fit(pairs.log, seed=seed)
    on_step("candidates")
    proposing = [member.name for member in settings.members if member.proposes]
    return ranked(pairs, fitted, users, Plan(proposing, settings.depth, settings.total, k))


def held_out(held: sparse.csr_array, found: Ranked) -> Array:
    """1.0 where a candidate [n] was held out."""
    items = held.shape[1]
    keys = np.repeat(np.arange(held.shape[0], dtype=np.int64), np.diff(held.indptr)) * items + held.indices
    return np.isin(found.user * items + found.item, keys).astype(np.float32)


def slates(found: Ranked, scores: Array, users: Array, k: int) -> Array:
    """The k best candidates of each of `users` by `scores` [n]: rows of items [q, k], -1 after the last."""
    query = np.searchsorted(users, found.user)
    counts = np.bincount(query, minlength=len(users))
    place = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
    width = max(int(counts.max(initial=0)), k)
    table, items = np.full((len(users), width), -np.inf), np.full((len(users), width), -1)
    table[query, place], items[query, place] = scores, found.item
    return np.take_along_axis(items, best(table, k), axis=1)

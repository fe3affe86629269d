"""What re-ranking takes and gives."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from feature_repo.core.errors import RecommenderError
from feature_repo.features.columns import Columns

Array = np.ndarray[Any, Any]


class RerankRefused(RecommenderError):
    """Candidates that cannot be put in order."""


@dataclass(frozen=True)
class Ranked:
    """c candidates with the ranker's scores, in any order.

    item_ids, sources: objects [c], no id twice; scores: [c], higher is better; embeddings: [c, d], or [c, 0] where the
    policy reads none; attributes: declared attributes, objects [c] or [c, w] or numbers [c]; age_days: [c], days since
    the item's first event, NaN where it had none; popularity: [c], any count, the same for every item.
    """

    item_ids: Array
    scores: Array
    sources: Array
    embeddings: Array
    attributes: Columns
    age_days: Array
    popularity: Array

    def __len__(self) -> int:
        return len(self.item_ids)


@dataclass(frozen=True)
class Note:
    """What a rule did to the item at a place: pinned, boosted or explored it; could not pin it; or fell short there."""

    rule: str
    did: str
    item_id: str = ""
    place: int = 0


@dataclass(frozen=True)
class Choice:
    """A place (from 1) that was drawn: the rows that could hold it [n] and the probability of each [n], sum 1."""

    place: int
    rows: Array
    probabilities: Array


@dataclass(frozen=True)
class Reranked:
    """The slate: rows of the candidates [k] and the probability that each holds its place [k].

    `choices` are the distributions of the places that were drawn; every other place is certain.
    """

    places: Array
    propensities: Array
    notes: tuple[Note, ...] = ()
    choices: tuple[Choice, ...] = ()


def check(ranked: Ranked) -> None:
    """Refuse candidates that have no order, or that would be shown twice.

    Raises:
        RerankRefused: a score is not finite, an id comes twice, or a column has another length.
    """
    rows = len(ranked)
    columns = {"scores": ranked.scores, "sources": ranked.sources, "embeddings": ranked.embeddings}
    columns |= {"age_days": ranked.age_days, "popularity": ranked.popularity, **ranked.attributes}
    for name, values in columns.items():
        if len(values) != rows:
            raise RerankRefused(f"candidates need one value of {name} each; got {len(values)} for {rows} candidates")
    finite = np.isfinite(ranked.scores)
    if not finite.all():
        row = int(np.argmin(finite))
        raise RerankRefused(f"a score must be finite; got {ranked.scores[row]} for item_id={ranked.item_ids[row]}")
    if len(set(ranked.item_ids.tolist())) != rows:
        raise RerankRefused(f"expected each item once; got {rows - len(set(ranked.item_ids.tolist()))} repeats")

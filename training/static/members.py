"""The retrievers of the two stages, fitted."""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from training.retrieval.port import NOTHING, Array, Catalogue, Log, Queries, Retriever
from training.retrieval.retrievers import retriever
from training.retrieval.two_tower_retriever import TwoTowerRetriever
from training.static.settings import Member


class MeanOf:
    """Several retrievers of one kind that differ by what was drawn: the mean of their scores (bagging)."""

    def __init__(self, name: str, copies: Sequence[Retriever]) -> None:
        self.name = name
        self._copies = copies

    def fit(self, log: Log, *, seed: int) -> Self:
        for number, copy in enumerate(self._copies):
            copy.fit(log, seed=seed * len(self._copies) + number)
        return self

    def scores(self, queries: Queries, catalogue: Catalogue) -> Array:
        first, *others = (copy.scores(queries, catalogue) for copy in self._copies)
        summed = first
        for found in others:
            summed = summed + found
        return np.where(np.isfinite(summed), summed / len(self._copies), NOTHING).astype(np.float32)

    def arrays(self) -> dict[str, Array]:
        return {f"{at}_{name}": part for at, one in enumerate(self._copies) for name, part in one.arrays().items()}

    def restore(self, arrays: Mapping[str, Array]) -> Self:
        for at, copy in enumerate(self._copies):
            start = f"{at}_"
            copy.restore({name.removeprefix(start): part for name, part in arrays.items() if name.startswith(start)})
        return self


def unfitted(member: Member) -> Retriever:
    """A retriever as the settings describe it, which has learnt nothing yet."""
    if member.copies == 1:
        return _one(member)
    return MeanOf(member.name, [_one(member) for _ in range(member.copies)])


def _one(member: Member) -> Retriever:
    if member.retriever == TwoTowerRetriever.name:
        return TwoTowerRetriever(member.tower)
    return retriever(member.retriever, member.settings)

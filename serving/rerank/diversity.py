"""What a candidate is worth beside those already chosen: by relevance alone, by MMR, or by a DPP.

Each keeps `gain` [c], the worth of every candidate as the next one, -inf for those that cannot be chosen any more, and
is told of every choice.
"""

import math
from typing import Any

import numpy as np

from serving.rerank.ranked import RerankRefused
from serving.rerank.rules import Diversity

Array = np.ndarray[Any, Any]

# Share of the identity in the DPP's kernel: without it the determinant is 0 as soon as more items are chosen than the
# embeddings have dimensions, or two are alike, and the rest would have no order.
RIDGE = 0.01


class ByRelevance:
    """No diversity: gain is relevance [c]."""

    def __init__(self, relevance: Array) -> None:
        self.gain = relevance.copy()

    def drop(self, rows: list[int]) -> None:
        """These cannot be chosen any more."""
        for row in rows:  # few: one by one is faster than by an array of them
            self.gain[row] = -np.inf

    def chose(self, row: int) -> None:
        """Take notice that `row` is in the slate."""


class Mmr:
    """Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998).

    gain_i = w r_i - (1 - w) max_{j in S} cos(i, j), the maximum over nothing being 0.
    """

    def __init__(self, relevance: Array, unit: Array, weight: float) -> None:
        self._vectors = np.sqrt(1 - weight) * unit
        self._of_relevance = weight * relevance
        self._nearest = np.full(len(relevance), -np.inf)
        self.gain = self._of_relevance.copy()

    def drop(self, rows: list[int]) -> None:
        for row in rows:
            self._of_relevance[row] = self.gain[row] = -np.inf

    def chose(self, row: int) -> None:
        # Product by product: BLAS would spread one of all pairs over threads, and wait for busy cores.
        np.maximum(self._nearest, self._vectors @ self._vectors[row], out=self._nearest)
        np.subtract(self._of_relevance, self._nearest, out=self.gain)


class Dpp:
    """Greedy MAP of a determinantal point process by incremental Cholesky (Chen, Zhang and Zhou, NeurIPS 2018).

    The slate S grows by the largest rise of  w sum_{i in S} r_i + (1 - w) log det K_S,  which is (1 - w) log det of
    the paper's kernel L = Diag(exp(a r)) K Diag(exp(a r)), a = w / 2 (1 - w). K_ij = (1 + cos(i, j)) / 2, as there,
    and RIDGE. d2_i = det K_{S + i} / det K_S is kept for every i.

    `_rows` [1 + d + k, c] begins with the vectors of which K, off its diagonal, is the inner products; below them comes
    the Cholesky factor, a row for each choice. So one product gives K_j minus what earlier choices explain of it.
    """

    def __init__(self, relevance: Array, unit: Array, weight: float, *, k: int) -> None:
        candidates, dimension = unit.shape
        self._known = 1 + dimension
        self._rows = np.empty((self._known + k, candidates))
        self._rows[0] = np.sqrt((1 - RIDGE) / 2)
        self._rows[1 : self._known] = np.sqrt((1 - RIDGE) / 2) * unit.T
        self._signs = np.where(np.arange(len(self._rows)) < self._known, 1.0, -1.0)
        self._weight = weight
        self._of_relevance = weight * relevance
        self._d2 = np.ones(candidates)
        self.gain = self._of_relevance.copy()

    def drop(self, rows: list[int]) -> None:
        for row in rows:
            self._of_relevance[row] = self.gain[row] = -np.inf

    def chose(self, row: int) -> None:
        known = self._rows[: self._known]
        explained = (known[:, row] * self._signs[: self._known]) @ known
        explained /= math.sqrt(self._d2[row])
        self._rows[self._known] = explained
        self._known += 1
        explained *= explained
        self._d2 -= explained
        # Rounding apart only a chosen row, of which the diagonal was left out, falls below RIDGE.
        np.maximum(self._d2, RIDGE / 2, out=self._d2)
        np.log(self._d2, out=self.gain)
        self.gain *= 1 - self._weight
        self.gain += self._of_relevance


Gain = ByRelevance | Mmr | Dpp


def gain_by(diversity: Diversity, relevance: Array, embeddings: Array, *, k: int) -> Gain:
    """The gain that the policy names, over embeddings [c, d] of any length.

    Raises:
        RerankRefused: an embedding is not finite.
    """
    if diversity.method == "none":
        return ByRelevance(relevance)
    unit = unit_rows(embeddings.astype(np.float64))
    if diversity.method == "mmr":
        return Mmr(relevance, unit, diversity.relevance)
    return Dpp(relevance, unit, diversity.relevance, k=k)


def unit_rows(embeddings: Array) -> Array:
    """Rows [c, d] of length 1; a row of zeros stays, and is like nothing."""
    lengths = np.sqrt(np.einsum("cd,cd->c", embeddings, embeddings))
    if not np.isfinite(lengths).all():
        raise RerankRefused(f"an embedding must be finite; got another in row {int(np.argmin(np.isfinite(lengths)))}")
    return np.asarray(embeddings / np.where(lengths > 0, lengths, 1)[:, None])

"""The index: the items nearest to a query's vector. Exact for small catalogues, a graph for large ones.

Exact is one matrix product and a partial sort. The graph is HNSW (Malkov and Yashunin, "Efficient and robust
approximate nearest neighbor search using hierarchical navigable small world graphs", TPAMI 2020) from usearch, in its
own file format, mapped into memory and not read. It proposes rows; their scores are always exact products.

A graph built by one thread is the same every time. It holds the rows that it was built from; rows that the vectors
have beyond those are searched exactly beside it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # noqa: F401 - imported after usearch it ends the process with a segmentation fault
from usearch.index import BatchMatches, Index

from feature_repo.core.errors import BundleError
from training.retrieval.fusion import best
from training.retrieval.port import NOTHING
from training.settings import IndexSettings

Array = np.ndarray[Any, Any]

VECTORS, GRAPH = "index.npy", "index.usearch"
QUERIES_AT_ONCE = 256
MOST_FETCHED = 4  # times k: with more items to pass over, the exact search is the faster one


@dataclass(frozen=True)
class Found:
    """`rows` int64 [q, k], best first, -1 where there is no more, with `scores` float32 [q, k], NOTHING there."""

    rows: Array
    scores: Array


@dataclass(frozen=True)
class ItemIndex:
    """`vectors` float32 [m, d], unit length; `graph` over the first of them, or None where search is exact."""

    vectors: Array
    graph: Index | None

    def search(self, queries: Array, k: int, allowed: Array | None = None) -> Found:
        """The k items of largest inner product with `queries` [q, d], of those that are `allowed` [q, m]."""
        parts = [
            self._search(queries[part], k, None if allowed is None else allowed[part])
            for part in (slice(at, at + QUERIES_AT_ONCE) for at in range(0, max(len(queries), 1), QUERIES_AT_ONCE))
        ]
        return Found(np.concatenate([p.rows for p in parts]), np.concatenate([p.scores for p in parts]))

    def near(self, query: Array, count: int) -> Array:
        """Rows of the `count` vectors that the graph finds nearest to one `query` [d], and those that it lacks."""
        assert self.graph is not None
        found = self.graph.search(query, min(count, len(self.graph)), threads=1).keys.astype(np.int64)
        if len(self.graph) == len(self.vectors):
            return np.asarray(found)
        return np.concatenate([found, np.arange(len(self.graph), len(self.vectors))])

    def save(self, folder: Path) -> None:
        np.save(folder / VECTORS, self.vectors)
        if self.graph is not None:
            self.graph.save(folder / GRAPH)

    def _search(self, queries: Array, k: int, allowed: Array | None) -> Found:
        # Of the k + b nearest items at least k are allowed, when b are not.
        blocked = 0 if allowed is None else int((~allowed).sum(axis=1).max(initial=0))
        if self.graph is None or k + blocked > MOST_FETCHED * k:
            return exact_search(self.vectors, queries, k, allowed)
        rows = _proposed(self.graph, queries, min(k + blocked, len(self.graph)), len(self.vectors))
        scores = np.stack([*_products(self.vectors, rows, queries)]) if len(queries) else np.zeros(rows.shape, "f4")
        scores[rows < 0] = NOTHING
        if allowed is not None:
            scores[~np.take_along_axis(allowed, rows, axis=1)] = NOTHING
        return _first(rows, scores, k)


def build_index(vectors: Array, settings: IndexSettings) -> ItemIndex:
    """An index over `vectors` [m, d]: exact up to `settings.exact_items` of them.

    Raises:
        BundleError: a vector is not finite.
    """
    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(broken):
        raise BundleError(f"an index takes finite vectors; got {len(broken)} that are not, first in row {broken[0]}")
    vectors = np.ascontiguousarray(vectors, np.float32)
    if len(vectors) <= settings.exact_items:
        return ItemIndex(vectors, None)
    graph = Index(
        ndim=vectors.shape[1],
        metric="ip",
        dtype="f16",  # of what proposes rows; halves what a search reads, and finds as many
        connectivity=settings.connectivity,
        expansion_add=settings.expansion_add,
        expansion_search=settings.expansion_search,
    )
    graph.add(np.arange(len(vectors)), vectors, threads=1)
    return ItemIndex(vectors, graph)


def load_index(folder: Path, settings: IndexSettings) -> ItemIndex:
    """What `save` wrote, its vectors and its graph mapped into memory."""
    vectors = np.load(folder / VECTORS, mmap_mode="r", allow_pickle=False)
    if not (folder / GRAPH).exists():
        return ItemIndex(vectors, None)
    graph = Index.restore(folder / GRAPH, view=True, expansion_search=settings.expansion_search)
    if graph is None or graph.ndim != vectors.shape[1] or len(graph) > len(vectors):
        raise BundleError(f"{folder / GRAPH}: expected a graph over the rows of {VECTORS}; got another one")
    return ItemIndex(vectors, graph)


def exact_search(vectors: Array, queries: Array, k: int, allowed: Array | None = None) -> Found:
    """Every product of `queries` [q, d] with `vectors` [m, d], and the k largest."""
    scores = queries @ vectors.T
    if allowed is not None:
        scores[~allowed] = NOTHING
    return _first(np.broadcast_to(np.arange(len(vectors)), scores.shape), scores, k)


def measure_recall(index: ItemIndex, queries: Array, k: int) -> float:
    """Mean share of the exact k best items that the index finds; NaN without a query. Equal scores count as found."""
    if len(queries) == 0:
        return float("nan")
    exact = exact_search(index.vectors, queries, k).scores
    border = exact.min(axis=1, keepdims=True) - 1e-6  # products in another order of sums
    return float((index.search(queries, k).scores >= border).sum() / exact.size)


def require_recall(measured: float, *, k: int, least: float) -> None:
    """Refuse an index that finds too few of the exact best items, or of which that is not known.

    Raises:
        BundleError: `measured` is below `least`, or NaN.
    """
    if not measured >= least:
        raise BundleError(f"an index finds at least {least:.3f} of the exact {k} best items; got {measured:.3f}")


def _proposed(graph: Index, queries: Array, count: int, items: int) -> Array:
    """Rows near each query, -1 where the graph gave fewer than `count`, and those from its end to `items`."""
    newer = np.broadcast_to(np.arange(len(graph), items), (len(queries), items - len(graph)))
    if len(queries) == 0 or count == 0:
        return newer
    matches = graph.search(np.ascontiguousarray(queries), count, threads=1)
    counts = matches.counts if isinstance(matches, BatchMatches) else [len(matches)]
    keys = np.asarray(matches.keys).astype(np.int64).reshape(len(queries), -1)
    found = np.where(np.arange(keys.shape[1]) < np.asarray(counts)[:, None], keys, -1)
    return np.concatenate([found, newer], axis=1)


def _products(vectors: Array, rows: Array, queries: Array) -> Iterator[Array]:
    for proposed, query in zip(rows, queries, strict=True):
        yield vectors[proposed] @ query


def _first(rows: Array, scores: Array, k: int) -> Found:
    places = best(scores, k)
    kept = np.take_along_axis(scores, places, axis=1)
    return Found(np.where(kept > NOTHING, np.take_along_axis(rows, places, axis=1), -1), kept)

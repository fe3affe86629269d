"""The index: which items may be the nearest to a query's vector. All of a small catalogue, cells of a large one.

Exact is one matrix product and a partial sort. Cells propose rows; their scores are always exact products.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from feature_repo.core.errors import BundleError
from training.settings import IndexSettings

if TYPE_CHECKING:
    from training.retrieval.cells import Cells

Array = np.ndarray[Any, Any]

VECTORS, CELLS = "index.npy", "index.faiss"
FEW = 8  # an exact search is the faster way to less than one in so many items
SAME = 1e-6  # products in another order of sums


@dataclass(frozen=True)
class ItemIndex:
    """`vectors` float32 [m, d], unit length; `cells` over them, or None where every search is exact."""

    vectors: Array
    cells: "Cells | None"

    def near(self, query: Array, count: int, allowed: Array) -> Array:
        """Rows among which are nearly all of the `count` nearest to `query` [d] of those that are `allowed` [m]."""
        if self.cells is None or int(np.count_nonzero(allowed)) * FEW <= len(allowed):
            return np.flatnonzero(allowed)
        return self.cells.near(query, count, allowed)

    def save(self, folder: Path) -> None:
        np.save(folder / VECTORS, self.vectors)
        if self.cells is not None:
            self.cells.save(folder / CELLS)


def build_index(vectors: Array, settings: IndexSettings, *, queries: Array, k: int) -> ItemIndex:
    """An index over `vectors` [m, d]: exact up to `settings.exact_items` of them.

    With cells a search takes the fewest that find the aimed share of the exact `k` best items for `queries` [q, d].

    Raises:
        BundleError: a vector is not finite.
    """
    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(broken):
        raise BundleError(f"an index takes finite vectors; got {len(broken)} that are not, first in row {broken[0]}")
    vectors = np.ascontiguousarray(vectors, np.float32)
    if len(vectors) <= settings.exact_items:
        return ItemIndex(vectors, None)
    # Imported where there are cells: 40 MB that a server of a small catalogue has no use for.
    from training.retrieval.cells import build_cells

    cells = build_cells(vectors)
    index, borders = ItemIndex(vectors, cells), _borders(vectors, queries, k)
    for _ in cells.widths():
        if _recall(index, queries, borders, k) >= settings.aimed_recall:
            break
    return index


def load_index(folder: Path) -> ItemIndex:
    """What `save` wrote."""
    vectors = np.load(folder / VECTORS, allow_pickle=False)
    if not (folder / CELLS).exists():
        return ItemIndex(vectors, None)
    from training.retrieval.cells import load_cells

    cells = load_cells(folder / CELLS)
    if cells.shape != vectors.shape:
        raise BundleError(f"{folder / CELLS}: expected cells of the {vectors.shape} of {VECTORS}; got {cells.shape}")
    return ItemIndex(vectors, cells)


def measure_recall(index: ItemIndex, queries: Array, k: int) -> float:
    """Mean share of the exact k best items that the index finds; NaN without a query. Equal scores count as found."""
    return _recall(index, queries, _borders(index.vectors, queries, k), k)


def require_recall(measured: float, *, k: int, least: float) -> None:
    """Refuse an index that finds too few of the exact best items, or of which that is not known.

    Raises:
        BundleError: `measured` is below `least`, or NaN.
    """
    if not measured >= least:
        raise BundleError(f"an index finds at least {least:.3f} of the exact {k} best items; got {measured:.3f}")


def _borders(vectors: Array, queries: Array, k: int) -> Array:
    """Score [q] of the item in place k, for each query."""
    place = max(len(vectors) - k, 0)
    return np.array([np.partition(vectors @ query, place)[place] for query in queries], np.float32)


def _recall(index: ItemIndex, queries: Array, borders: Array, k: int) -> float:
    k, everything = min(k, len(index.vectors)), np.ones(len(index.vectors), bool)
    found = [
        min(int((index.vectors[index.near(query, k, everything)] @ query >= border - SAME).sum()), k)
        for query, border in zip(queries, borders, strict=True)
    ]
    return float(np.mean(found)) / k if found else float("nan")

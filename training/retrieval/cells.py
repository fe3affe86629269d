"""Cells of a catalogue: vectors that lie together, so that a search scores those of the cells around a query alone.

Inverted lists over a k-means clustering (Sivic and Zisserman, "Video Google", ICCV 2003; Jegou, Douze and Schmid,
"Product quantization for nearest neighbor search", TPAMI 2011, section IV), by faiss and in its own file format. The
lists hold half-precision copies: half of what a search reads, and it finds as much. How many cells a search takes is
not guessed: the fewest that find what is asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np

Array = np.ndarray[Any, Any]

SEED = 1234
POINTS_A_CELL = 64  # vectors of which a centre is learnt
STEP = 2  # times what is wanted: how many are looked at first, before what is not allowed is left out
FIRST, WIDER = 4, 1.15  # cells that a search takes are tried in this progression

# A search is shorter than waking a second thread, and one thread learns the same centres every time.
faiss.omp_set_num_threads(1)


@dataclass(frozen=True)
class Cells:
    """Lists over vectors [m, d]; the index holds how many of them a search takes."""

    lists: Any  # faiss.IndexIVFScalarQuantizer, of which there are no types

    @property
    def shape(self) -> tuple[int, int]:
        return self.lists.ntotal, self.lists.d

    def near(self, query: Array, count: int, allowed: Array) -> Array:
        """Rows of the `count` vectors nearest to `query` [d] that are `allowed` [m], of the cells around it.

        Where those hold too few, further cells are searched; fewer than `count` rows are all there are.
        """
        # To look at twice as many takes less time than to ask of each whether it may come: a third of the search.
        rows: Array = self.lists.search(query[None], STEP * count)[1][0]
        rows = rows[rows >= 0]
        rows = rows[allowed[rows]]
        return rows if len(rows) >= count else self._selected(query, count, allowed)

    def _selected(self, query: Array, count: int, allowed: Array) -> Array:
        bits = np.packbits(allowed, bitorder="little")
        selected = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
        taken = self.lists.nprobe
        while True:
            how = faiss.SearchParametersIVF()
            how.sel, how.nprobe = selected, taken
            rows: Array = self.lists.search(query[None], count, params=how)[1][0]
            rows = rows[rows >= 0]
            if len(rows) == count or taken >= self.lists.nlist:
                return rows
            taken *= 4

    def widths(self) -> Iterator[int]:
        """Each number of cells to try, up to all; a search takes so many until the next one is asked for."""
        width = float(FIRST)
        while width < self.lists.nlist:
            self.lists.nprobe = round(width)
            yield self.lists.nprobe
            width *= WIDER
        self.lists.nprobe = self.lists.nlist
        yield self.lists.nprobe

    def save(self, file: Path) -> None:
        faiss.write_index(self.lists, str(file))


def build_cells(vectors: Array) -> Cells:
    """Four times the square root of m cells of `vectors` [m, d], each a list of those nearest to its centre."""
    items, dimension = vectors.shape
    lists = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dimension),
        dimension,
        round(4 * items**0.5),
        faiss.ScalarQuantizer.QT_fp16,
        faiss.METRIC_INNER_PRODUCT,
        False,  # the vectors themselves, and not what lies between them and their centre
    )
    lists.cp.seed, lists.cp.min_points_per_centroid, lists.cp.max_points_per_centroid = SEED, 1, POINTS_A_CELL
    lists.train(vectors)
    lists.add(vectors)
    return Cells(lists)


def load_cells(file: Path) -> Cells:
    """What `save` wrote."""
    return Cells(faiss.read_index(str(file)))

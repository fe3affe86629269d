"""The index against the exact search, on clustered unit vectors."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.core.errors import BundleError
from training.retrieval.cells import Cells, build_cells
from training.retrieval.index import (
    CELLS,
    ItemIndex,
    build_index,
    load_index,
    measure_recall,
    require_recall,
)
from training.settings import IndexSettings

Array = np.ndarray[Any, Any]

CELLS_ABOVE = IndexSettings(exact_items=1_000)
ITEMS, DIMENSION, QUERIES, K = 5_000, 16, 40, 200
EVERYTHING = np.ones(ITEMS, bool)


def unit(vectors: Array) -> Array:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def drawn_vectors() -> Array:
    rng = np.random.default_rng(8)
    centres = rng.normal(size=(50, DIMENSION))
    return unit(centres[rng.integers(50, size=ITEMS)] + 0.5 * rng.normal(size=(ITEMS, DIMENSION)))


def built(vectors: Array, queries: Array, *, aimed: float = 0.97) -> ItemIndex:
    return build_index(vectors, CELLS_ABOVE.model_copy(update={"aimed_recall": aimed}), queries=queries, k=K)


def best(index: ItemIndex, query: Array, count: int, allowed: Array = EVERYTHING) -> list[int]:
    rows = index.near(query, count, allowed)
    return [int(row) for row in rows[np.argsort(-(index.vectors[rows] @ query), kind="stable")][:count]]


@pytest.fixture(scope="module")
def vectors() -> Array:
    return drawn_vectors()


@pytest.fixture(scope="module")
def queries(vectors: Array) -> Array:
    return unit(vectors[:QUERIES] + 0.2 * np.random.default_rng(9).normal(size=(QUERIES, DIMENSION)))


@pytest.fixture(scope="module")
def index(vectors: Array, queries: Array) -> ItemIndex:
    return built(vectors, queries)


def test_a_small_catalogue_is_searched_exactly() -> None:
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)

    index = build_index(vectors, IndexSettings(), queries=vectors[:1], k=2)

    assert index.cells is None
    assert best(index, np.array([0, 1], np.float32), 2, np.ones(3, bool)) == [1, 2]
    assert measure_recall(index, vectors, 2) == 1.0


@pytest.mark.parametrize("aimed", [0.9, 0.97, 0.99])
def test_a_search_takes_as_many_cells_as_find_the_aimed_share(vectors: Array, queries: Array, aimed: float) -> None:
    index = built(vectors, queries, aimed=aimed)

    assert index.cells is not None
    assert aimed <= measure_recall(index, queries, K) < 1
    index.cells.lists.nprobe -= index.cells.lists.nprobe // 2
    assert measure_recall(index, queries, K) < aimed


def test_with_all_cells_nothing_is_missed_but_what_half_precision_confuses(vectors: Array, queries: Array) -> None:
    index = built(vectors, queries, aimed=1.0)

    assert measure_recall(index, queries, K) > 0.999


def test_what_is_not_allowed_is_passed_over_and_enough_are_found_all_the_same(index: ItemIndex, queries: Array) -> None:
    first = best(index, queries[0], 60)
    allowed = EVERYTHING.copy()
    allowed[first[:30]] = False

    assert best(index, queries[0], 30, allowed) == first[30:]


@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.0), st.integers(1, 300))
def test_only_allowed_rows_are_found_each_once_and_as_many_as_there_are(seed: int, share: float, count: int) -> None:
    rng = np.random.default_rng(seed)
    allowed = rng.random(ITEMS) < share

    rows = ItemIndex(SHARED, SHARED_CELLS).near(SHARED[int(rng.integers(ITEMS))], count, allowed)

    assert allowed[rows].all()
    assert len(set(rows.tolist())) == len(rows) >= min(count, allowed.sum())


SHARED = drawn_vectors()
SHARED_CELLS = build_cells(SHARED)


def test_an_index_comes_back_from_its_files(index: ItemIndex, queries: Array, tmp_path: Path) -> None:
    index.save(tmp_path)

    loaded = load_index(tmp_path)

    assert isinstance(loaded.cells, Cells)
    assert [best(loaded, query, 20) for query in queries] == [best(index, query, 20) for query in queries]
    assert measure_recall(loaded, queries, K) == measure_recall(index, queries, K)


def test_an_exact_index_has_no_cells(vectors: Array, queries: Array, tmp_path: Path) -> None:
    build_index(vectors, IndexSettings(), queries=queries, k=K).save(tmp_path)

    assert not (tmp_path / CELLS).exists()
    assert load_index(tmp_path).cells is None


def test_cells_of_other_vectors_are_refused(index: ItemIndex, vectors: Array, tmp_path: Path) -> None:
    index.save(tmp_path)
    np.save(tmp_path / "index.npy", vectors[:100])

    with pytest.raises(BundleError, match=r"expected cells of the \(100, 16\) of index\.npy; got \(5000, 16\)"):
        load_index(tmp_path)


def test_the_same_vectors_give_the_same_cells(vectors: Array, queries: Array, index: ItemIndex) -> None:
    again = built(vectors, queries)

    assert [best(again, query, 100) for query in queries] == [best(index, query, 100) for query in queries]


def test_an_index_that_finds_too_little_makes_no_bundle(index: ItemIndex, vectors: Array, queries: Array) -> None:
    # Cells of the same items in another order.
    measured = measure_recall(ItemIndex(vectors[::-1].copy(), index.cells), queries, K)

    require_recall(measure_recall(index, queries, K), k=K, least=0.95)
    with pytest.raises(BundleError, match=r"at least 0\.950 of the exact 200 best items; got 0\."):
        require_recall(measured, k=K, least=0.95)


def test_a_recall_that_was_not_measured_is_no_recall(index: ItemIndex, queries: Array) -> None:
    with pytest.raises(BundleError, match="got nan"):
        require_recall(measure_recall(index, queries[:0], K), k=K, least=0.95)


@pytest.mark.parametrize("order", ["training.retrieval.cells, onnxruntime", "onnxruntime, training.retrieval.cells"])
def test_cells_and_the_towers_runtime_may_be_imported_in_any_order(order: str) -> None:
    """An index of another library ended the process with a segmentation fault, by the order of test files."""
    assert subprocess.run([sys.executable, "-c", f"import {order}"], capture_output=True, check=False).returncode == 0


def test_a_small_catalogue_does_not_load_the_library_of_cells() -> None:
    code = "import sys, training.bundle; sys.exit('faiss' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_vectors_that_are_not_finite_are_refused(queries: Array) -> None:
    with pytest.raises(BundleError, match="an index takes finite vectors; got 1 that are not, first in row 1"):
        build_index(np.array([[1, 0], [np.nan, 0]], np.float32), IndexSettings(), queries=queries, k=1)

"""The index against the exact search, on clustered unit vectors."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feature_repo.core.errors import BundleError
from training.retrieval.index import (
    GRAPH,
    ItemIndex,
    build_index,
    exact_search,
    load_index,
    measure_recall,
    require_recall,
)
from training.retrieval.port import NOTHING
from training.settings import IndexSettings

Array = np.ndarray[Any, Any]

GRAPH_ABOVE = IndexSettings(exact_items=1_000)
ITEMS, DIMENSION, QUERIES = 5_000, 16, 40


def unit(vectors: Array) -> Array:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def vectors() -> Array:
    rng = np.random.default_rng(8)
    centres = rng.normal(size=(50, DIMENSION))
    return unit(centres[rng.integers(50, size=ITEMS)] + 0.5 * rng.normal(size=(ITEMS, DIMENSION)))


@pytest.fixture(scope="module")
def queries(vectors: Array) -> Array:
    return unit(vectors[:QUERIES] + 0.2 * np.random.default_rng(9).normal(size=(QUERIES, DIMENSION)))


@pytest.fixture(scope="module")
def index(vectors: Array) -> ItemIndex:
    return build_index(vectors, GRAPH_ABOVE)


def test_a_small_catalogue_is_searched_exactly() -> None:
    index = build_index(np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32), IndexSettings())

    found = index.search(np.array([[0, 1]], np.float32), 2)

    assert index.graph is None
    np.testing.assert_array_equal(found.rows, [[1, 2]])
    np.testing.assert_allclose(found.scores, [[1.0, 0.8]])


def test_the_graph_finds_nearly_all_that_the_exact_search_does(index: ItemIndex, queries: Array) -> None:
    assert index.graph is not None
    assert measure_recall(index, queries, 200) > 0.98


def test_scores_of_what_is_found_are_the_exact_ones(index: ItemIndex, vectors: Array, queries: Array) -> None:
    found = index.search(queries, 50)

    exact = np.take_along_axis(queries @ vectors.T, found.rows, axis=1)
    np.testing.assert_allclose(found.scores, exact, rtol=1e-5, atol=1e-6)
    assert (np.diff(found.scores, axis=1) <= 0).all()
    assert all(len(set(rows)) == 50 for rows in found.rows.tolist())


def test_what_is_not_allowed_is_passed_over_and_k_are_found_all_the_same(index: ItemIndex, queries: Array) -> None:
    allowed = np.ones((QUERIES, ITEMS), bool)
    best = index.search(queries, 60).rows
    np.put_along_axis(allowed, best[:, :30], False, axis=1)

    found = index.search(queries, 30, allowed)

    np.testing.assert_array_equal(found.rows, best[:, 30:])


def test_where_little_is_allowed_just_that_is_found(index: ItemIndex, queries: Array) -> None:
    allowed = np.zeros((QUERIES, ITEMS), bool)
    allowed[:, [7, 4_000]] = True

    found = index.search(queries, 3, allowed)

    assert {frozenset(rows) for rows in found.rows.tolist()} == {frozenset([7, 4_000, -1])}
    assert (found.rows[:, 2] == -1).all()
    assert (found.scores[:, 2] == NOTHING).all()


def test_one_query_is_answered_as_in_a_batch(index: ItemIndex, queries: Array) -> None:
    np.testing.assert_array_equal(index.search(queries[3:4], 20).rows, index.search(queries, 20).rows[3:4])
    assert index.search(queries[:0], 20).rows.shape[0] == 0


def test_more_than_there_is_gives_all_there_is(index: ItemIndex, queries: Array) -> None:
    found = index.search(queries[:2], ITEMS + 10)

    assert found.rows.shape == (2, ITEMS)
    assert (found.scores > NOTHING).mean() > 0.98


def test_an_index_comes_back_from_its_files_and_is_mapped(index: ItemIndex, queries: Array, tmp_path: Path) -> None:
    index.save(tmp_path)

    loaded = load_index(tmp_path, GRAPH_ABOVE)

    assert isinstance(loaded.vectors, np.memmap)
    np.testing.assert_array_equal(loaded.search(queries, 20).rows, index.search(queries, 20).rows)


def test_an_exact_index_has_no_graph_file(vectors: Array, queries: Array, tmp_path: Path) -> None:
    build_index(vectors, IndexSettings()).save(tmp_path)

    loaded = load_index(tmp_path, IndexSettings())

    assert not (tmp_path / GRAPH).exists()
    np.testing.assert_array_equal(loaded.search(queries, 5).rows, exact_search(vectors, queries, 5).rows)


def test_a_graph_over_other_vectors_is_refused(index: ItemIndex, vectors: Array, tmp_path: Path) -> None:
    index.save(tmp_path)
    np.save(tmp_path / "index.npy", vectors[:100])

    with pytest.raises(BundleError, match=r"expected a graph over the rows of index\.npy; got another one"):
        load_index(tmp_path, GRAPH_ABOVE)


def test_the_same_vectors_give_the_same_graph(vectors: Array, queries: Array, index: ItemIndex) -> None:
    again = build_index(vectors, GRAPH_ABOVE)

    np.testing.assert_array_equal(again.search(queries, 100).rows, index.search(queries, 100).rows)


def test_items_that_came_after_the_graph_are_found(index: ItemIndex, queries: Array) -> None:
    grown = ItemIndex(np.concatenate([index.vectors, queries[:1]]), index.graph)

    assert grown.search(queries[:1], 1).rows.tolist() == [[ITEMS]]


def test_an_index_that_finds_too_little_makes_no_bundle(index: ItemIndex, vectors: Array, queries: Array) -> None:
    # A graph over the same items in another order.
    confused = ItemIndex(vectors[::-1], index.graph)

    measured = measure_recall(confused, queries, 200)

    require_recall(measure_recall(index, queries, 200), k=200, least=0.95)
    with pytest.raises(BundleError, match=r"at least 0\.950 of the exact 200 best items; got 0\."):
        require_recall(measured, k=200, least=0.95)


def test_a_recall_that_was_not_measured_is_no_recall(index: ItemIndex, queries: Array) -> None:
    with pytest.raises(BundleError, match="got nan"):
        require_recall(measure_recall(index, queries[:0], 200), k=200, least=0.95)


def test_the_index_may_be_imported_before_the_towers_runtime() -> None:
    """usearch 2.26 before onnxruntime 1.31 ended the process with a segmentation fault, by the order of test files."""
    done = subprocess.run(
        [sys.executable, "-c", "import training.retrieval.index, onnxruntime"], capture_output=True, check=False
    )

    assert done.returncode == 0


def test_vectors_that_are_not_finite_are_refused() -> None:
    with pytest.raises(BundleError, match="an index takes finite vectors; got 1 that are not, first in row 1"):
        build_index(np.array([[1, 0], [np.nan, 0]], np.float32), IndexSettings())

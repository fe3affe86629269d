"""Lists and scores of single queries against the plain way: sort everything."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from training.retrieval.answers import Answer, Few, Sums, Whole, highest, moved, ranking_of
from training.retrieval.fusion import best, fuse, lists_of, merge
from training.retrieval.index import build_index
from training.retrieval.near import nearness_over
from training.retrieval.sparse_top import ItemWeights, narrow
from training.settings import IndexSettings

Array = np.ndarray[Any, Any]

SCORES = st.lists(st.sampled_from([-np.inf, -1.0, 0.5, 1.0, 2.0]), min_size=1, max_size=12)


def plain(scores: Array, count: int) -> list[int]:
    return sorted(np.flatnonzero(np.isfinite(scores)).tolist(), key=lambda row: (-scores[row], row))[:count]


@settings(max_examples=40)
@given(SCORES, st.integers(1, 14), st.randoms())
def test_the_highest_of_some_rows_are_in_the_order_of_scores_and_then_of_rows(
    scores: list[float], count: int, random: Any
) -> None:
    values = np.array(scores, np.float32)
    rows = np.flatnonzero(np.isfinite(values))
    random.shuffle(rows)

    assert highest(rows, values[rows], count).tolist() == plain(values, count)


@settings(max_examples=40)
@given(st.lists(SCORES, min_size=1, max_size=3), st.integers(1, 6))
def test_of_equal_scores_at_the_border_the_first_columns_are_the_best(lists: list[list[float]], count: int) -> None:
    """A partition alone takes any of them: another processor gave other candidates."""
    width = min(map(len, lists))
    scores = np.array([found[:width] for found in lists])

    found = best(scores, count)

    for row, columns in zip(scores, found, strict=True):
        assert [c for c in columns.tolist() if np.isfinite(row[c])] == plain(row, count)


@settings(max_examples=40)
@given(SCORES, st.data())
def test_a_ranking_in_which_rows_moved_is_that_of_the_new_scores(scores: list[float], data: st.DataObject) -> None:
    values = np.array(scores, np.float32)
    rows = np.array(data.draw(st.lists(st.integers(0, len(values) - 1), unique=True, max_size=4)), np.int64)
    to = np.array(data.draw(st.lists(st.sampled_from(values.tolist()), min_size=len(rows), max_size=len(rows))), "f4")
    after = values.copy()
    after[rows] = to

    found = moved(ranking_of(values), rows, to)

    assert found.order.tolist() == ranking_of(after).order.tolist() == plain(after, len(after))
    np.testing.assert_array_equal(found.scores, after)


@settings(max_examples=40)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_candidates_merged_from_answers_are_those_fused_from_all_scores(
    retrievers: int, depth: int, total: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = {f"r{n}": rng.choice([-np.inf, 0.0, 1.0, 2.0], 9).astype(np.float32) for n in range(retrievers)}
    allowed = rng.random(9) < 0.7
    kinds = (Whole, ranking_of, lambda values: Few(np.flatnonzero(values > -np.inf), values[values > -np.inf]))
    answers: dict[str, Answer] = {name: kinds[n % 3](values) for n, (name, values) in enumerate(scores.items())}

    found = merge(answers, lists_of(answers, allowed, depth), depth=depth, total=total)

    expected = fuse({n: s[None] for n, s in scores.items()}, allowed[None], depth=depth, total=total)
    for name in ("query", "rows", "source", "scores", "ranks"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), name)


class Items:
    """A catalogue in the reverse order of the vocabulary; its first two items came later."""

    def __init__(self, items: int) -> None:
        self.known = np.concatenate([[-1, -1], np.arange(items)[::-1]])
        self.rows_of = np.arange(items)[::-1] + 2
        self.item_ids = self.known.astype(object)


@pytest.fixture(scope="module")
def vectors() -> Array:
    drawn = np.random.default_rng(4).normal(size=(3_000, 12))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize("exact_items", [10_000, 100])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.01])
def test_the_nearest_allowed_items_are_found_however_few_they_are(
    vectors: Array, exact_items: int, share: float
) -> None:
    index = build_index(vectors, IndexSettings(exact_items=exact_items), queries=vectors[:9], k=20)
    catalogue: Any = Items(len(vectors))
    embeddings = np.concatenate([vectors[:2], vectors[catalogue.known[2:]]])
    allowed = np.random.default_rng(1).random(len(embeddings)) < share
    near = nearness_over(index, catalogue, embeddings).answer(vectors[7])

    found = near.best(20, allowed)

    cosines = np.where(allowed, embeddings @ vectors[7], -np.inf)
    assert allowed[found].all()
    assert len(np.intersect1d(found, np.argsort(-cosines)[:20])) >= 18
    np.testing.assert_allclose(near.at(found), cosines[found], rtol=1e-6)
    assert (np.diff(near.at(found)) <= 0).all()


@settings(max_examples=40)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 12, 600]),
    st.sampled_from([0.8, 0.05]),
    st.sampled_from([1.0, 0.3, 0.0]),
)
def test_sums_over_few_of_many_items_are_those_of_the_whole_product(
    seed: int, count: int, share: float, weighed: float
) -> None:
    """The last item of the catalogue came later, and one of the vocabulary's is not there any more."""
    rng = np.random.default_rng(seed)
    items = 4_000
    weights = sparse.random_array((items, items), density=0.0005, rng=rng, dtype=np.float32, format="csr")
    within = sparse.diags_array((rng.random(items) < weighed).astype(np.float32))
    bag = sparse.random_array((1, items), density=0.002, rng=rng, dtype=np.float32, format="csr")
    known = np.append(rng.permutation(items)[1:], -1)
    rows_of = np.full(items, -1)
    rows_of[known[:-1]] = np.arange(items - 1)
    allowed = rng.random(items) < share

    kept = ItemWeights(narrow(sparse.csr_array(within @ weights @ within)))
    catalogue: Any = SimpleNamespace(rows_of=rows_of, known=known)
    answer = Sums(kept.sums(bag.indices, bag.data), catalogue, kept.reach)

    whole = np.append(kept.scores(sparse.csr_array(bag))[0], -np.inf)[known]
    assert (kept.reach is None) == (weighed == 1.0)
    assert answer.best(count, allowed).tolist() == plain(np.where(allowed, whole, -np.inf), count)
    np.testing.assert_array_equal(answer.at(np.arange(items)), whole)

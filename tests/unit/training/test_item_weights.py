"""Retrievers that add up what each met item says of the others: EASE, item-kNN, user-kNN, content, next item."""

from dataclasses import replace

import numpy as np
import pytest
from checkerboard import DAY, catalogue_of, log_of, queries_of
from scipy import sparse

from training.retrieval.content import Content
from training.retrieval.ease import Ease, ease_weights, strongest
from training.retrieval.item_knn import ItemKnn
from training.retrieval.next_item import NextItem, pairs_of_moments
from training.retrieval.port import NOTHING
from training.retrieval.sparse_top import ItemWeights, compact, largest_of_rows
from training.retrieval.user_knn import UserKnn
from training.settings import (
    ContentSettings,
    EaseSettings,
    ItemKnnSettings,
    NextItemSettings,
    SparseTopSettings,
    UserKnnSettings,
)

# Users 0 and 1 met items 0 and 1, user 2 items 1 and 2.
LOG = log_of([(0, 0, 0), (0, 1, 1), (1, 0, 0), (1, 1, 1), (2, 1, 0), (2, 2, 1)], users=3, items=3)


def test_ease_minimises_its_loss_column_by_column() -> None:
    met = LOG.met.toarray().astype(float)

    weights = ease_weights(LOG.met, 0.5)

    for item in range(3):
        others = [other for other in range(3) if other != item]
        left = met[:, others].T @ met[:, others] + 0.5 * np.eye(2)
        np.testing.assert_allclose(
            weights[others, item], np.linalg.solve(left, met[:, others].T @ met[:, item]), rtol=1e-4
        )
        assert weights[item, item] == 0


def test_ease_of_a_large_vocabulary_weighs_the_items_that_most_users_met() -> None:
    ease = Ease(EaseSettings(regularization=1.0, most_items=2), SparseTopSettings()).fit(LOG, seed=0)

    found = ease.scores(queries_of(LOG, [0, 2]), catalogue_of(LOG))

    block = ease_weights(sparse.csr_array(LOG.met[:, [0, 1]]), 1.0)
    np.testing.assert_allclose(found[0], [block[1, 0], block[0, 1], NOTHING], rtol=1e-6)
    np.testing.assert_allclose(found[1], [block[1, 0], NOTHING, NOTHING], rtol=1e-6)


def test_ease_may_learn_from_the_largest_weight_of_each_pair() -> None:
    log = replace(log_of([(0, 0, 0), (0, 0, 1), (0, 1, 2)], users=1, items=2), weights=np.array([1, 3, 2], np.float32))

    weighted = Ease(EaseSettings(regularization=1.0, weighted=True), SparseTopSettings()).fit(log, seed=0)

    np.testing.assert_array_equal(strongest(log).toarray(), [[3, 2]])
    # One other item a column: b = x'y / (x'x + lambda).
    np.testing.assert_allclose(weighted.arrays()["weights"], [[0, 6 / 10], [6 / 5, 0]], rtol=1e-5)


def test_beyond_the_stated_size_the_largest_weights_of_each_row_are_kept() -> None:
    weights = np.array([[0, -3, 1, 2], [1, 0, 1, 1], [0, 0, 0, 0], [5, 0, 0, 0]], np.float32)

    kept = compact(weights, SparseTopSettings(dense_items=3, top_n=2))

    assert isinstance(compact(weights, SparseTopSettings(dense_items=4)).matrix, np.ndarray)
    np.testing.assert_array_equal(kept.matrix.toarray(), [[0, -3, 0, 2], [1, 0, 1, 0], [0, 0, 0, 0], [5, 0, 0, 0]])
    np.testing.assert_array_equal(ItemWeights.restore(kept.arrays()).matrix.toarray(), kept.matrix.toarray())


def test_rows_cut_in_blocks_are_those_cut_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = sparse.random_array((23, 40), density=0.5, rng=np.random.default_rng(4), format="csr", dtype=np.float32)
    whole = largest_of_rows(23, lambda block: sparse.csr_array(rows[block]), 5).toarray()

    monkeypatch.setattr("training.retrieval.sparse_top.BLOCK_ROWS", 7)
    in_blocks = largest_of_rows(23, lambda block: sparse.csr_array(rows[block]), 5).toarray()

    np.testing.assert_array_equal(in_blocks, whole)
    np.testing.assert_array_equal((whole > 0).sum(axis=1), np.minimum((rows.toarray() > 0).sum(axis=1), 5))


def test_item_knn_is_the_shrunk_cosine_with_the_met_items() -> None:
    knn = ItemKnn(ItemKnnSettings(neighbours=2, asymmetry=0.5, shrinkage=1.0)).fit(LOG, seed=0)

    found = knn.scores(queries_of(LOG, [0]), catalogue_of(LOG))

    # n = 2, 3, 1; common users: 2 of items 0 and 1, 1 of items 1 and 2, none of items 0 and 2.
    np.testing.assert_allclose(found, [[2 / (6**0.5 + 1), 2 / (6**0.5 + 1), 1 / (3**0.5 + 1)]], rtol=1e-6)


def test_item_knn_scores_an_item_by_its_nearest_neighbours_alone() -> None:
    knn = ItemKnn(ItemKnnSettings(neighbours=1, asymmetry=0.5, shrinkage=0.0)).fit(LOG, seed=0)

    found = knn.scores(queries_of(LOG, [2]), catalogue_of(LOG))

    # Item 1 has item 0 as its one neighbour (0.82 against 0.58), which user 2 did not meet.
    np.testing.assert_allclose(found, [[2 / 6**0.5, NOTHING, 1 / 3**0.5]], rtol=1e-6)


def test_user_knn_adds_up_the_nearest_users_cosines() -> None:
    knn = UserKnn(UserKnnSettings(neighbours=3, shrinkage=0.0)).fit(LOG, seed=0)

    found = knn.scores(queries_of(LOG, [0]), catalogue_of(LOG))

    np.testing.assert_allclose(found, [[2.0, 2.5, 0.5]], rtol=1e-6)


def test_content_compares_items_by_values_and_words_that_several_have() -> None:
    columns = {
        "title": np.array(["Night Train", "night of steel", None], object),
        "genres": np.array([["Drama", None], ["Comedy", "Drama"], ["Comedy", None]], object),
        "year": np.array([1990.0, np.nan, 2000.0]),
    }
    log = replace(log_of([(0, 0, 0)], users=1, items=3), item_columns=columns)

    content = Content(ContentSettings()).fit(log, seed=0)
    found = content.scores(queries_of(log, [0]), catalogue_of(log))[0]

    assert int(content.arrays()["terms"]) == 3  # night, Drama, Comedy
    np.testing.assert_allclose(found, [1.0, 2 / 6**0.5, NOTHING], rtol=1e-6)


def test_items_that_have_nothing_in_common_leave_content_nothing_to_say() -> None:
    log = replace(log_of([(0, 0, 0)], users=1, items=2), item_columns={"title": np.array(["one", "two"], object)})

    found = Content(ContentSettings()).fit(log, seed=0).scores(queries_of(log, [0]), catalogue_of(log))

    assert (found == NOTHING).all()


def test_what_comes_near_counts_by_its_distance_in_moments_and_its_direction() -> None:
    # Moments of user 0: item 0; items 1 and 2 at once; item 3. User 1 met item 0 and then item 3.
    log = log_of([(0, 0, 0), (0, 1, 1), (0, 2, 1), (0, 3, 2), (1, 0, 0), (1, 3, 1)], users=2, items=4)

    first, second = pairs_of_moments(log, 2, 0.5)

    counted = (first.T @ second).toarray()
    np.testing.assert_allclose(counted, [[2, 1, 1, 1.5], [0.5, 1, 1, 1], [0.5, 1, 1, 1], [0.75, 0.5, 0.5, 2]])


def test_the_newest_moment_of_a_history_says_most_of_what_comes_next() -> None:
    log = log_of([(0, 0, 0), (0, 1, 1), (1, 2, 0), (1, 3, 1)], users=2, items=4)
    settings = NextItemSettings(backward=0.0, shrinkage=0.0, half_life=1.0)
    retriever = NextItem(settings, SparseTopSettings()).fit(log, seed=0)
    asked = replace(
        queries_of(log, [0, 0]),
        history=np.array([[-1, 0, 2], [-1, 0, 2]]),
        history_us=np.array([[0, 1, 2], [0, 1, 1]]) * DAY,
    )

    found = retriever.scores(asked, catalogue_of(log))

    np.testing.assert_allclose(found, [[NOTHING, 0.5, NOTHING, 1.0], [NOTHING, 1.0, NOTHING, 1.0]])


def test_an_item_that_was_met_again_counts_each_time_and_one_that_came_later_not_at_all() -> None:
    log = log_of([(0, 0, 0), (0, 1, 1), (1, 2, 0), (1, 3, 1)], users=2, items=4)
    settings = NextItemSettings(backward=0.0, shrinkage=0.0, half_life=1.0)
    retriever = NextItem(settings, SparseTopSettings()).fit(log, seed=0)
    catalogue = catalogue_of(log)
    catalogue.known[3] = -1
    asked = replace(
        queries_of(log, [0]), history=np.array([[-1, 2, 0, 3, 0]]), history_us=np.array([[0, 1, 1, 2, 3]]) * DAY
    )

    items, weights = retriever._bag(asked, catalogue)

    assert items.tolist() == [0, 2]
    assert weights.tolist() == [1.25, 0.25]
    assert retriever.scores(asked, catalogue).tolist() == [[NOTHING, 1.25, NOTHING, NOTHING]]

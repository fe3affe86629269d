"""Retrievers by popularity, novelty and repetition, and the vectors of users that are made from what they met."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from checkerboard import DAY, NOW, SETTINGS, catalogue_of, checkerboard, log_of, queries_of
from scipy import sparse

from training.retrieval.als import Als
from training.retrieval.bpr import Bpr
from training.retrieval.item_state import ItemState
from training.retrieval.native_threads import one_blas_thread
from training.retrieval.popular_within import BY_CONTEXT, BY_SEGMENT, PopularWithin
from training.retrieval.port import NOTHING
from training.retrieval.repeat import Repeat
from training.settings import AlsSettings, PopularWithinSettings, RepeatSettings

# At day 20: item 0 twice long ago, item 1 on day 18, item 2 on days 0 and 18, item 3 never.
LOG = log_of([(0, 0, 0), (0, 0, 1), (0, 1, 18), (0, 2, 0), (0, 2, 18)], users=1, items=4)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("popular", [2.000002, 1.000001, 2.000002, NOTHING]),
        ("popular-7d", [0.000002, 1.000001, 1.000002, NOTHING]),
        ("popular-30d", [2.000002, 1.000001, 2.000002, NOTHING]),
        ("newest", [-20, -2, -20, NOTHING]),
        (
            "trending",
            [
                np.log((1 / 30) / (3 / 30)) * np.log(3),
                np.log((1 / 7 + 1 / 30) / (2 / 30)) * np.log(2),
                np.log((1 / 7 + 1 / 30) / (3 / 30)) * np.log(3),
                NOTHING,
            ],
        ),
    ],
)
def test_items_are_ordered_by_their_state_today(name: str, expected: list[float]) -> None:
    found = ItemState(name).fit(LOG, seed=0).scores(queries_of(LOG, [0]), catalogue_of(LOG))

    np.testing.assert_allclose(found[0], np.array(expected, np.float32), rtol=1e-6)


def test_popularity_within_a_group_is_smoothed_with_the_overall_share() -> None:
    # Segment 0 met item 0 twice and item 1 once, segment 1 item 1 once.
    log = replace(
        log_of([(0, 0, 0), (0, 0, 1), (0, 1, 2), (1, 1, 3)], users=2, items=3), segments=np.array([0, 0, 0, 1])
    )
    retriever = PopularWithin(BY_SEGMENT, PopularWithinSettings(smoothing=2.0)).fit(log, seed=0)
    asked = replace(queries_of(log, [0, 0, 0]), segments=np.array([0, -1, 7]))

    found = retriever.scores(asked, catalogue_of(log))

    overall = [0.5, 0.5, NOTHING]
    np.testing.assert_allclose(found, [[(2 + 1) / 5, (1 + 1) / 5, NOTHING], overall, overall], rtol=1e-6)


def test_context_columns_multiply_and_unknown_values_say_nothing() -> None:
    contexts = {"shop": np.array(["a", "a", "b", None], object), "day": np.array(["mo", "tu", "mo", "tu"], object)}
    log = replace(log_of([(0, 0, 0), (0, 0, 1), (0, 1, 2), (0, 1, 3)], users=1, items=2), contexts=contexts)
    retriever = PopularWithin(BY_CONTEXT, PopularWithinSettings(smoothing=2.0)).fit(log, seed=0)
    asked = replace(
        queries_of(log, [0, 0, 0]), contexts=[{"shop": "a", "day": "mo"}, {"shop": "new"}, {"colour": "red"}]
    )

    found = retriever.scores(asked, catalogue_of(log))

    # Shop a: 3/4 and 1/4 against 1/2; Monday: 1/2 each, as overall.
    np.testing.assert_allclose(found, [[0.75, 0.25], [0.5, 0.5], [0.5, 0.5]], rtol=1e-6)


def test_only_the_commonest_values_of_a_column_are_counted_apart() -> None:
    contexts = {"shop": np.array(["a", "b", "b"], object)}
    log = replace(log_of([(0, 0, 0), (0, 1, 1), (0, 1, 2)], users=1, items=2), contexts=contexts)

    retriever = PopularWithin(BY_CONTEXT, PopularWithinSettings(values=1)).fit(log, seed=0)

    assert retriever.arrays()["groups"].tolist() == [["shop", "b"]]


def test_what_was_met_often_and_lately_is_repeated_first() -> None:
    asked = replace(
        queries_of(LOG, [0]),
        history=np.array([[-1, 1, 0, 0]]),
        history_us=np.array([[0, NOW - 14 * DAY, NOW - 28 * DAY, NOW]]),
    )

    found = Repeat(RepeatSettings(half_life_days=14.0)).scores(asked, catalogue_of(LOG))

    np.testing.assert_allclose(found, [[np.log2(1.25), -1.0, NOTHING, NOTHING]], rtol=1e-6)


def test_what_was_met_an_age_ago_still_counts_as_met() -> None:
    asked = replace(queries_of(LOG, [0]), history=np.array([[2]]), history_us=np.array([[NOW - 10_000 * DAY]]))

    found = Repeat(RepeatSettings(half_life_days=1.0)).scores(asked, catalogue_of(LOG))

    assert np.isfinite(found[0, 2])


def test_als_solves_a_users_vector_as_implicit_does() -> None:
    from implicit.cpu.als import AlternatingLeastSquares

    log, settings = checkerboard(), AlsSettings(factors=3, confidence=7.0, regularization=0.2)
    als = Als(settings).fit(log, seed=5)
    with one_blas_thread():
        theirs = AlternatingLeastSquares(factors=3, alpha=7.0, regularization=0.2)
    theirs.item_factors = als.arrays()["items"]

    ours = als.fold_in(log.met)

    expected = theirs.recalculate_user(np.arange(9), sparse.csr_matrix(log.met))
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-5)


def test_als_heeds_an_item_met_long_ago_less() -> None:
    als = Als(SETTINGS.als).fit(checkerboard(), seed=5)
    bags = sparse.csr_array(np.array([[1.0, 1.0] + 7 * [0.0], [1.0, 0.1] + 7 * [0.0]], np.float32))

    both, mostly_even = als.fold_in(bags) @ als.arrays()["items"].T

    assert mostly_even[2] - mostly_even[3] > both[2] - both[3]


def test_a_user_of_bpr_is_the_mean_of_what_was_met() -> None:
    bpr = Bpr(SETTINGS.bpr).fit(checkerboard(), seed=5)
    items, biases = bpr.arrays()["items"], bpr.arrays()["biases"]

    found = bpr.scores(queries_of(checkerboard(), [0]), catalogue_of(checkerboard()))

    np.testing.assert_allclose(found[0], items @ items[[2, 4, 6]].mean(axis=0) + biases, rtol=1e-5)


def test_fitting_with_implicit_does_not_warn_of_threads() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Als(SETTINGS.als).fit(checkerboard(), seed=0)
        Bpr(SETTINGS.bpr).fit(checkerboard(), seed=0)

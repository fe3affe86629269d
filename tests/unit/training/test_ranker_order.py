from typing import Any

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given
from hypothesis import strategies as st

from training.ranking import lambdamart
from training.ranking.importance import centred, contributions, importance, sampled_requests
from training.ranking.order import OrderChange, kendall_tau, order_change, rank_biased_overlap, top_overlap
from training.settings import RankerSettings

Array = np.ndarray[Any, Any]

NAMES = ("price[0]", "user age", "noise")
GROUPS = np.repeat(np.arange(80), 10)


def trained() -> tuple[xgb.Booster, Array]:
    """A ranker of the item's price, which the user's age turns around."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(len(GROUPS), 3)).astype(np.float32)
    x[:, 1] = np.repeat(rng.normal(size=80), 10)
    relevance = (x[:, 0] * np.sign(x[:, 1]) > 0.8).astype(np.float32)
    settings = RankerSettings(rounds=20, learning_rate=0.3, depth=3, min_child_weight=1)
    booster = lambdamart.train(
        x, relevance, GROUPS, feature_names=NAMES, settings=settings, seed=1, on_round=lambda *_: None
    )
    return booster, x


def test_kendall_tau_counts_agreeing_and_disagreeing_pairs() -> None:
    assert kendall_tau(np.array([4, 3, 2, 1]), np.array([4, 3, 1, 2])) == pytest.approx((5 - 1) / 6)
    assert kendall_tau(np.array([1, 1]), np.array([1, 2])) is None
    assert kendall_tau(np.array([1]), np.array([1])) is None


def test_rank_biased_overlap_weighs_the_first_places_most() -> None:
    # Agreement 1/1, 1/2 of the first two places: 0.9 * 1 + 0.81 * 0.5, times 0.1 / 0.9, and 0.81 * 0.5 beyond.
    assert rank_biased_overlap("ab", "ac") == pytest.approx((0.9 + 0.405) / 9 + 0.405)
    assert rank_biased_overlap("abc", "abd") > rank_biased_overlap("abc", "dbc")


@given(st.permutations(range(8)))
def test_slates_of_the_same_items_overlap_fully_and_rank_biased_overlap_is_symmetric(other: list[int]) -> None:
    same = list(range(8))

    assert top_overlap(same, other) == 1
    assert rank_biased_overlap(same, other) == pytest.approx(rank_biased_overlap(other, same))
    assert 0 < rank_biased_overlap(same, other) <= 1 + 1e-9
    assert rank_biased_overlap(same, same) == pytest.approx(1)


def test_the_change_of_order_is_a_mean_over_requests() -> None:
    before = np.array([4.0, 3, 2, 1, 1, 2, 3, 4])
    after = np.array([4.0, 3, 2, 1, 4, 3, 2, 1])

    found = order_change(before, after, np.repeat([0, 1], 4), k=2)

    assert found == OrderChange(2, pytest.approx(0), pytest.approx(0.5), pytest.approx(0.5))


def test_no_request_and_no_candidate_that_differs_is_no_change_and_never_nan() -> None:
    assert order_change(np.zeros(0), np.zeros(0), np.zeros(0, int)) == OrderChange(0, 1, 1, 1)
    assert order_change(np.zeros(3), np.zeros(3), np.zeros(3, int)) == OrderChange(1, 1, pytest.approx(1), 1)


def test_shap_values_sum_to_the_score_up_to_a_constant() -> None:
    booster, x = trained()

    rest = booster.inplace_predict(x) - contributions(booster, x).sum(axis=1)

    assert rest == pytest.approx(np.full(len(x), rest[0]), abs=1e-4)


def test_importance_names_the_features_and_puts_what_decides_first() -> None:
    booster, x = trained()

    found = importance(booster, x, GROUPS, NAMES, rng=np.random.default_rng(0))

    assert next(iter(found.shap_within_request)) == "price[0]"
    assert set(found.shap) == set(found.gain) == set(NAMES)
    assert found.gain["price[0]"] > found.gain["noise"]


def test_what_is_the_same_for_all_candidates_of_a_request_has_no_part_in_its_order() -> None:
    values = np.array([[1.0, 5.0], [3.0, 5.0], [2.0, 9.0]])

    assert centred(values, np.array([0, 0, 1])).tolist() == [[-1, 0], [1, 0], [0, 0]]


@given(st.integers(1, 200), st.integers(0, 5))
def test_a_sample_holds_whole_requests(rows: int, seed: int) -> None:
    groups = np.repeat(np.arange(20), 7)

    found = groups[sampled_requests(groups, rows, np.random.default_rng(seed))]

    assert len(found) == 7 * max(min(rows // 7, 20), 1)
    assert (np.unique(found, return_counts=True)[1] == 7).all()

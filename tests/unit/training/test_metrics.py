import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evaluation.bootstrap import coverage_interval, mean_interval, user_weights
from training.evaluation.metrics import ndcg, recall, reciprocal_rank

HITS = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
RELEVANT = np.array([2, 1, 5])


def test_ndcg_divides_by_the_best_slate_that_there_could_be() -> None:
    first = (1 + 1 / 2) / (1 + 1 / np.log2(3))
    third = (1 / np.log2(3)) / (1 + 1 / np.log2(3) + 1 / 2)

    assert ndcg(HITS, RELEVANT) == pytest.approx([first, 0, third])


def test_recall_is_the_share_of_what_is_relevant() -> None:
    assert recall(HITS, RELEVANT) == pytest.approx([1.0, 0.0, 0.2])


def test_reciprocal_rank_looks_at_the_first_hit() -> None:
    assert reciprocal_rank(HITS) == pytest.approx([1.0, 0.0, 0.5])


@given(st.lists(st.booleans(), min_size=1, max_size=10), st.integers(0, 5))
def test_metrics_lie_between_zero_and_one_and_a_perfect_slate_has_one(hits: list[bool], missed: int) -> None:
    row = np.array([hits], float)
    relevant = np.array([sum(hits) + missed])
    perfect = np.sort(row)[:, ::-1]

    for metric in (ndcg(row, relevant), recall(row, relevant), reciprocal_rank(row)):
        assert 0 <= metric[0] <= 1
    assert ndcg(perfect, np.array([sum(hits)]))[0] == pytest.approx(1.0 if any(hits) else 0.0)


def test_an_interval_of_users_who_all_agree_is_a_point() -> None:
    users = np.array([0, 0, 1, 2])
    weights = user_weights(3, np.random.default_rng(0))

    found = mean_interval(np.full(4, 0.5), users, weights)

    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)
    assert found.excludes_zero


def test_the_interval_is_wider_when_requests_belong_to_fewer_users() -> None:
    rng = np.random.default_rng(1)
    per_user = rng.normal(size=20)
    values = np.repeat(per_user, 50)

    clustered = mean_interval(values, np.repeat(np.arange(20), 50), user_weights(20, rng))
    independent = mean_interval(values, np.arange(1000), user_weights(1000, rng))

    assert clustered.high - clustered.low > 3 * (independent.high - independent.low)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        found = mean_interval(rng.normal(size=60), np.arange(60), user_weights(60, rng))
        covered += found.low <= 0.0 <= found.high

    assert 0.88 <= covered / 200 <= 0.99


def test_coverage_counts_distinct_items_and_lies_within_its_interval() -> None:
    users = np.array([0, 1, 2])
    weights = user_weights(3, np.random.default_rng(3))

    found = coverage_interval([[0, 1], [1, 2], []], users, weights, catalogue=10)

    assert found.value == 0.3
    assert found.low <= 0.3 <= found.high

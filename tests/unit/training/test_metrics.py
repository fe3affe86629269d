import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.core.errors import NotMeasurable
from training.evaluation.bootstrap import coverage_interval, mean_interval, mean_intervals, user_weights
from training.evaluation.metrics import (
    average_precision,
    graded_ndcg,
    hit_rate,
    ndcg,
    precision,
    ranking_metrics,
    recall,
    reciprocal_rank,
)

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


def test_precision_counts_empty_places_as_misses() -> None:
    assert precision(HITS, RELEVANT) == pytest.approx([2 / 3, 0.0, 1 / 3])


def test_a_hit_is_any_relevant_item() -> None:
    assert hit_rate(HITS.astype(bool), RELEVANT).tolist() == [1.0, 0.0, 1.0]


def test_average_precision_divides_by_what_the_slate_could_hold() -> None:
    first = (1 / 1 + 2 / 3) / 2
    third = (1 / 2) / 3

    assert average_precision(HITS, RELEVANT) == pytest.approx([first, 0.0, third])
    assert average_precision(np.ones((1, 3)), np.array([100])).tolist() == [1.0]


def test_graded_ndcg_weighs_gains_by_their_place() -> None:
    gains, ideal = np.array([[0.0, 3.0, 1.0]]), np.array([[3.0, 2.0, 1.0]])
    expected = (3 / np.log2(3) + 1 / 2) / (3 + 2 / np.log2(3) + 1 / 2)

    assert graded_ndcg(gains, ideal) == pytest.approx([expected])


def test_graded_ndcg_of_gains_of_one_is_binary_ndcg() -> None:
    ideal = (np.arange(3) < np.minimum(RELEVANT, 3)[:, None]).astype(float)

    assert graded_ndcg(HITS, ideal) == pytest.approx(ndcg(HITS, RELEVANT))


def test_all_metrics_come_at_every_k_and_a_k_beyond_the_slate_adds_misses() -> None:
    found = ranking_metrics(HITS, RELEVANT, ks=(1, 5))

    names = ("ndcg", "recall", "precision", "hit_rate", "map", "mrr")
    assert sorted(found) == sorted(f"{name}@{k}" for name in names for k in (1, 5))
    assert found["precision@5"] == pytest.approx([2 / 5, 0.0, 1 / 5])
    assert found["mrr@1"].tolist() == [1.0, 0.0, 0.0]
    assert found["ndcg@5"][0] == ndcg(HITS, RELEVANT)[0]


def test_a_request_with_nothing_relevant_has_zero_in_every_metric() -> None:
    found = ranking_metrics(np.zeros((1, 4)), np.array([0]), ks=(2,))

    assert {name: values.tolist() for name, values in found.items()} == {name: [0.0] for name in found}
    assert graded_ndcg(np.zeros((1, 4)), np.zeros((1, 4))).tolist() == [0.0]


@pytest.mark.parametrize(
    ("hits", "relevant", "sentence"),
    [
        (np.zeros((0, 3)), np.zeros(0, int), "at least one request and place; got shape \\(0, 3\\)"),
        (np.zeros(3), np.ones(3, int), "at least one request and place; got shape \\(3,\\)"),
        (np.zeros((2, 3)), np.ones(3, int), "one count of relevant items per request, 2; got \\(3,\\)"),
        (np.full((1, 3), 0.5), np.array([3]), "expected hits of 0 or 1"),
        (np.full((1, 3), np.nan), np.array([3]), "expected hits of 0 or 1"),
        (np.ones((1, 3)), np.array([2]), "no more hits than relevant items; request 0 has 3 of 2"),
    ],
)
def test_hits_that_cannot_be_measured_are_refused(hits: np.ndarray, relevant: np.ndarray, sentence: str) -> None:
    with pytest.raises(NotMeasurable, match=sentence):
        ndcg(hits, relevant)


def test_k_of_zero_and_gains_that_are_none_are_refused() -> None:
    with pytest.raises(NotMeasurable, match="a k of at least 1; got 0"):
        ranking_metrics(HITS, RELEVANT, ks=(0,))
    with pytest.raises(NotMeasurable, match="at least one request and place"):
        reciprocal_rank(np.zeros((0, 3)))
    with pytest.raises(NotMeasurable, match=r"both \[requests, k\]; got \(1, 2\) and \(1, 3\)"):
        graded_ndcg(np.ones((1, 2)), np.ones((1, 3)))
    with pytest.raises(NotMeasurable, match="finite and at least 0"):
        graded_ndcg(np.array([[-1.0]]), np.array([[1.0]]))


@given(st.lists(st.booleans(), min_size=1, max_size=10), st.integers(0, 5))
def test_metrics_lie_between_zero_and_one_and_a_perfect_slate_has_one(hits: list[bool], missed: int) -> None:
    row = np.array([hits], float)
    relevant = np.array([sum(hits) + missed])
    perfect = np.sort(row)[:, ::-1]

    for values in ranking_metrics(row, relevant, ks=(1, 3, 12)).values():
        assert 0 <= values[0] <= 1
    for metric in (ndcg, recall, average_precision):
        assert metric(perfect, np.array([sum(hits)]))[0] == pytest.approx(1.0 if any(hits) else 0.0)


def test_an_interval_of_users_who_all_agree_is_a_point() -> None:
    users = np.array([0, 0, 1, 2])
    weights = user_weights(3, np.random.default_rng(0))

    found = mean_interval(np.full(4, 0.5), users, weights)

    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)
    assert found.excludes_zero


@pytest.mark.parametrize("values", [np.zeros(0), np.array([1.0, np.nan])])
def test_an_interval_of_no_request_or_of_nan_is_refused(values: np.ndarray) -> None:
    weights = user_weights(2, np.random.default_rng(0))

    with pytest.raises(NotMeasurable, match=f"finite values of at least one request; got {len(values)} requests"):
        mean_interval(values, np.arange(len(values)), weights)
    with pytest.raises(NotMeasurable, match="finite values of at least one request"):
        mean_intervals({"ndcg@10": values}, np.arange(len(values)), weights)


def test_many_intervals_at_once_are_those_of_one_at_a_time() -> None:
    rng = np.random.default_rng(4)
    users, weights = np.repeat(np.arange(10), 3), user_weights(10, rng)
    values = {"ndcg@10": rng.random(30), "recall@10": rng.random(30)}

    found = mean_intervals(values, users, weights)

    for name, interval in found.items():
        alone = mean_interval(values[name], users, weights)
        assert (interval.value, interval.low, interval.high) == pytest.approx((alone.value, alone.low, alone.high))


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

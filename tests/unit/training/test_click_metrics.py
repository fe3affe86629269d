import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from feature_repo.core.errors import NotMeasurable
from training.evaluation.classification import click_quality, grouped


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_groups_have_the_values_of_scikit_learn_ties_included(seed: int) -> None:
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 5, 60)
    clicked, scores = rng.integers(0, 2, 60), rng.integers(0, 6, 60) / 4

    found = grouped(clicked, scores, group)

    for number, auc, pr_auc, impressions in zip(found.group, found.auc, found.pr_auc, found.impressions, strict=True):
        own = group == number
        assert auc == pytest.approx(roc_auc_score(clicked[own], scores[own]))
        assert pr_auc == pytest.approx(average_precision_score(clicked[own], scores[own]))
        assert impressions == own.sum()


def test_groups_with_only_clicks_or_none_are_left_out_and_counted() -> None:
    group = np.array([0, 0, 1, 1, 2, 2, 2])
    clicked = np.array([1, 1, 0, 0, 1, 0, 0])
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.9, 0.1])

    found = click_quality(clicked, scores, group)

    assert (found.groups, found.left_out) == (1, 2)
    assert found.group_auc == found.gauc == 0.5
    assert found.group_pr_auc == 0.5
    assert found.auc == pytest.approx(roc_auc_score(clicked, scores))


def test_gauc_weights_groups_by_their_impressions() -> None:
    group = np.array([0, 0, 1, 1, 1, 1])
    clicked = np.array([1, 0, 1, 0, 0, 0])
    scores = np.array([1.0, 0.0, 0.0, 1.0, 1.0, 1.0])

    found = click_quality(clicked, scores, group)

    assert found.group_auc == 0.5
    assert found.gauc == pytest.approx((2 * 1.0 + 4 * 0.0) / 6)


def test_what_cannot_be_measured_is_none_and_never_nan() -> None:
    found = click_quality(np.ones(3, int), np.array([0.1, 0.2, 0.3]), np.array([0, 0, 1]))

    assert (found.auc, found.pr_auc, found.group_auc, found.group_pr_auc, found.gauc) == (None,) * 5
    assert (found.groups, found.left_out) == (0, 2)


@pytest.mark.parametrize(
    ("clicked", "scores", "group", "sentence"),
    [
        ([], [], [], "at least one; got shapes"),
        ([1, 0], [0.1], [0, 0], r"got shapes \(2,\), \(1,\) and \(2,\)"),
        ([2, 0], [0.1, 0.2], [0, 0], "expected clicks of 0 or 1"),
        ([1, 0], [np.nan, 0.2], [0, 0], "expected finite scores"),
    ],
)
def test_impressions_that_cannot_be_judged_are_refused(
    clicked: list[int], scores: list[float], group: list[int], sentence: str
) -> None:
    with pytest.raises(NotMeasurable, match=sentence):
        click_quality(np.array(clicked), np.array(scores), np.array(group, int))

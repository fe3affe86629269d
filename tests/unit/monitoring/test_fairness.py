"""The figures of fairness on windows whose answer is known."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from fair_window import fair_window
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from monitoring.fairness.assess import assess_fairness
from monitoring.fairness.groups import HEAD, NEW, TAIL, Grouping, attribute_labels, item_groups, merged_groups
from monitoring.fairness.measures import gini_rows, lorenz, taste_overlap, time_bins
from monitoring.fairness.page import render
from monitoring.fairness.policy import FairnessPolicy
from monitoring.fairness.resampling import limits, mean_of, ratios, resampled
from monitoring.fairness.window import Shown
from training.evaluation.beyond_accuracy import gini

NOW = datetime(2026, 5, 1, tzinfo=UTC)
POLICY = FairnessPolicy(resamples=300)
DAY = 86_400_000_000


def whole_page(report: dict[str, Any], challenger: str | None = "2") -> str:
    window = {"start": "2026-04-01T00:00:00+00:00", "end": "2026-05-01T00:00:00+00:00"}
    about = {"champion": "1", "challenger": challenger, "made_at": NOW.isoformat(), "window": window}
    return render({**report, **about})


def test_an_equal_challenger_passes_every_guardrail() -> None:
    window = fair_window(np.random.default_rng(1))

    report = assess_fairness(window, POLICY)

    assert report["verdict"] == "PASS"
    assert report["reasons"] == ["9 of 9 guardrails hold"]


def test_a_group_that_loses_most_of_its_quality_fails_by_name_and_the_others_pass() -> None:
    window = fair_window(np.random.default_rng(1), kept=0.3, of_group=2)

    report = assess_fairness(window, POLICY)

    assert report["verdict"] == "FAIL"
    sentence = (
        r"FAIL ndcg of group=g2: 0\.\d{4} beside the champion's 0\.\d{4}, at least 80% of the champion's wanted; "
    )
    assert re.match(sentence, report["reasons"][0])
    assert "over all guardrails at most -0." in report["reasons"][0]
    assert [g["verdict"] for g in report["guardrails"] if g["group"] in {"g0", "g1", "g3"}] == ["PASS"] * 3


def test_a_loss_at_the_limit_is_inconclusive_and_says_which_group() -> None:
    window = fair_window(np.random.default_rng(5), kept=0.8)

    report = assess_fairness(window, POLICY)

    assert report["verdict"] == "INCONCLUSIVE"
    assert report["reasons"][0].startswith("INCONCLUSIVE ndcg of group=g0")


def test_without_a_challenger_the_champions_figures_are_there_and_the_verdict_is_open() -> None:
    window = fair_window(np.random.default_rng(1), challenger=False)

    report = assess_fairness(window, POLICY)

    assert report["verdict"] == "INCONCLUSIVE"
    assert report["reasons"] == [
        "there is no challenger to compare with the champion",
        "0 of 0 guardrails hold",
    ]
    assert {row["version"] for row in report["groups"]} == {"1"}
    assert "Beside the champion" not in whole_page(report, challenger=None)


def test_a_window_of_too_few_users_is_inconclusive() -> None:
    window = fair_window(np.random.default_rng(1), users=40)

    report = assess_fairness(window, POLICY)

    assert report["verdict"] == "INCONCLUSIVE"
    assert report["reasons"] == ["the window has 40 users; the policy asks for at least 50"]


def test_a_challenger_that_shows_no_new_items_any_more_and_only_a_few_others_fails() -> None:
    window = fair_window(np.random.default_rng(1))
    few = Shown(window.shown["2"].slates % 12, window.shown["2"].hits, window.shown["2"].relevant)
    narrowed = replace(window, shown={"1": window.shown["1"], "2": few})

    report = assess_fairness(narrowed, POLICY)

    failed = {g["measure"] for g in report["guardrails"] if g["verdict"] == "FAIL"}
    assert failed == {"share of tail items", "share of new items", "gini"}


def test_a_challenger_that_shows_more_of_the_same_fails_by_the_overlap() -> None:
    window = fair_window(np.random.default_rng(1))
    tastes = np.arange(len(window.user)) % 6
    history = sparse.csr_array(np.eye(60)[tastes])
    same = Shown(tastes[:, None] + 6 * np.arange(5)[None, :], window.shown["2"].hits, window.shown["2"].relevant)
    bubble = replace(window, history=history, shown={"1": window.shown["1"], "2": same})

    report = assess_fairness(bubble, POLICY)

    failed = {g["measure"] for g in report["guardrails"] if g["verdict"] == "FAIL"}
    assert {"overlap", "diversity"} <= failed


def test_a_data_set_without_categories_says_what_was_not_judged() -> None:
    window = replace(fair_window(np.random.default_rng(1)), vectors=None, not_judged=("city",))

    report = assess_fairness(window, POLICY)

    assert report["not_judged"] == [
        "city: no two groups of 50 users",
        "diversity and overlap: the data set declares no categories of items",
    ]
    assert "does the bubble close" not in whole_page(report)


def test_users_without_any_history_have_no_overlap_and_no_verdict_on_it() -> None:
    window = fair_window(np.random.default_rng(1))
    strangers = replace(window, history=sparse.csr_array(window.history.shape))

    report = assess_fairness(strangers, POLICY)

    [overlap] = [g for g in report["guardrails"] if g["measure"] == "overlap"]
    assert overlap["verdict"] == "INCONCLUSIVE"
    assert overlap["slack"]["value"] is None
    assert "not measured" in whole_page(report)


def test_the_page_holds_every_guardrail_and_a_hostile_group_does_nothing() -> None:
    window = fair_window(np.random.default_rng(1))
    name = "<script>alert(1)</script>"
    labels = np.where(window.groupings[0].labels == "g0", name, "g1").astype(object)
    report = assess_fairness(replace(window, groupings=(Grouping("group", labels),)), POLICY)

    page = whole_page(report)

    assert name not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert page.count('<span class="verdict') == len(report["guardrails"]) == 7


def test_small_groups_are_merged_and_their_number_is_said() -> None:
    user = np.arange(100)
    labels = np.array(["a"] * 60 + ["b"] * 25 + ["c"] * 15, object)

    found = merged_groups("city", labels, user, least_users=30)

    assert found is not None
    assert set(found.labels.tolist()) == {"a", "other"}
    assert found.merged == 2
    assert merged_groups("city", labels, user, least_users=60) is None


def test_a_numeric_attribute_is_cut_at_its_quantiles_and_what_is_missing_has_its_own_group() -> None:
    values = [10.0, 20.0, 30.0, 40.0, None, float("nan")]

    found = attribute_labels(values, numeric=True, groups=2)

    assert found.tolist() == ["up to 25", "up to 25", "above 25", "above 25", "not declared", "not declared"]
    assert attribute_labels(["x", None], numeric=False, groups=2).tolist() == ["x", "not declared"]


def test_parts_of_a_range_are_named_in_order() -> None:
    labels = np.array(["above 27, up to 34", "up to 27", "other", "above 34", "not declared"], object)

    assert Grouping("age", labels).groups == ["up to 27", "above 27, up to 34", "above 34", "not declared", "other"]


def test_items_are_head_by_their_events_new_by_their_first_one_and_tail_otherwise() -> None:
    events = np.array([100, 10, 9, 8, 7, 50, 0])
    first = np.array([0, 0, 0, 0, 0, 95, 101]) * DAY

    found = item_groups(events, first, start_us=100 * DAY, head_share=0.2, new_days=10)

    assert found.tolist() == [HEAD, TAIL, TAIL, TAIL, TAIL, NEW, NEW]


def test_overlap_is_one_for_the_same_categories_zero_for_others_and_unknown_without_history() -> None:
    vectors = sparse.csr_array(np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]))
    history = sparse.csr_array(np.array([[1.0, 0, 0], [1.0, 0, 0], [0, 0, 0]]))

    found = taste_overlap(np.array([[1, -1], [2, -1], [0, 1]]), history, vectors)

    assert found[:2].tolist() == pytest.approx([1.0, 0.0])
    assert np.isnan(found[2])


@given(st.lists(st.integers(0, 20), min_size=1, max_size=30))
def test_gini_of_rows_is_that_of_evaluation(counts: list[int]) -> None:
    slates = np.repeat(np.arange(len(counts)), counts)[:, None]

    found = gini_rows(np.array([counts], float))[0]

    expected = gini(slates, len(counts)) if len(slates) else 0.0
    assert found == pytest.approx(expected)


def test_the_lorenz_curve_of_one_item_that_takes_all_stays_at_zero_until_the_end() -> None:
    across, up = lorenz(np.array([0.0, 0.0, 0.0, 8.0]), points=5)

    assert across.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert up.tolist() == [0.0, 0.0, 0.0, 0.0, 1.0]


def test_the_parts_of_a_window_hold_its_first_and_its_last_request() -> None:
    parts, starts = time_bins(np.array([0, 49, 50, 99]), 2)

    assert parts.tolist() == [0, 0, 1, 1]
    assert starts.tolist() == [0, 50]


def test_the_mean_of_chosen_requests_is_a_ratio_of_sums_over_users() -> None:
    values, user = np.array([1.0, 2.0, 3.0, np.nan]), np.array([0, 0, 1, 1])
    chosen = np.array([True, False, True, True])

    estimate = ratios([mean_of(values, user, 2), mean_of(values, user, 2, chosen=chosen)])

    assert estimate(np.ones((1, 2)))[0].tolist() == [2.0, 2.0]
    assert estimate(np.array([[2, 0]]))[0].tolist() == [1.5, 1.0]
    assert np.isnan(ratios([mean_of(values, user, 2, chosen=user == 1)])(np.array([[1, 0]]))[0, 0])


def test_joint_limits_are_wider_than_those_of_one_figure_alone_and_a_constant_has_none() -> None:
    user = np.arange(100)
    rng = np.random.default_rng(3)
    figures = [mean_of(rng.normal(size=100), user, 100) for _ in range(8)] + [mean_of(np.ones(100), user, 100)]

    found = limits(*resampled([ratios(figures)], 100, resamples=400, rng=rng))

    assert all(one.joint_low < one.low < one.value < one.high < one.joint_high for one in found[:-1])
    assert (found[-1].joint_low, found[-1].joint_high) == (1.0, 1.0)


def test_nobody_can_be_resampled_from_one_user() -> None:
    with pytest.raises(Exception, match=r"^an interval needs at least 2 users to resample; got 1$"):
        resampled([], 1, resamples=10, rng=np.random.default_rng(0))


def test_fairlearn_finds_the_same_means_by_group() -> None:
    metrics = pytest.importorskip("fairlearn.metrics", reason="fairlearn is not installed")
    window = fair_window(np.random.default_rng(1), kept=0.5)
    report = assess_fairness(window, POLICY)
    from training.evaluation.metrics import ndcg

    shown = window.shown["2"]
    values = ndcg(shown.hits, shown.relevant)

    frame = metrics.MetricFrame(
        metrics=lambda _, found: float(np.mean(found)),
        y_true=values,
        y_pred=values,
        sensitive_features=window.groupings[0].labels.astype(str),
    )

    rows = [r for r in report["groups"] if (r["version"], r["measure"]) == ("2", "ndcg")]
    assert {row["group"]: row["value"] for row in rows} == pytest.approx(frame.by_group.to_dict())

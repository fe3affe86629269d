"""The parts of the skew check that need no store: which state was served, what differs, shares, verdict, page."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy.stats import binom

from feature_repo.core.errors import SettingsRefused
from monitoring.skew.compare import cells_differ, of_requests, rows_differ, same_value
from monitoring.skew.page import page_of
from monitoring.skew.report import report_of
from monitoring.skew.settings import SkewPolicy, policy_with
from monitoring.skew.state import FOREVER, NEVER, History, agreed_span, same_table, times_within
from monitoring.skew.table import skew_table
from monitoring.skew.verdict import FeatureSkew, assess, share
from training.verdict import Verdict

NOW = datetime(2026, 5, 1, tzinfo=UTC)
DAY = 86_400_000_000
POLICY = SkewPolicy()
NOBODY = share(0, 400, confidence=0.95)


def history(*stamps: int) -> History:
    at = np.array(stamps, np.int64)
    return History(at, np.arange(1, len(at) + 1), at - 1)


def feature(wrong: int = 0, late: int = 0, requests: int = 400, behind: float = 0.0) -> FeatureSkew:
    shares = (share(count, requests, confidence=0.95) for count in (wrong + late, wrong, late))
    return FeatureSkew("item_events", "item", *shares, behind, behind)


def test_a_state_is_known_by_its_count_of_events_and_again_by_its_last_one() -> None:
    states = history(10, 20, 30)

    assert [states.number_at(moment) for moment in (9, 10, 29, 31)] == [0, 1, 2, 3]
    assert [states.with_count(count) for count in (0, 2, 9, np.nan)] == [0, 2, None, 0]
    assert [states.with_last(last, within=2) for last in (19, 21, 25, np.nan)] == [2, 2, None, 0]
    assert history().with_last(5, within=100) is None
    assert [states.span(number) for number in (0, 2, 3)] == [(NEVER, 9), (20, 29), (30, FOREVER)]


def test_a_state_lacks_the_oldest_change_that_came_after_it() -> None:
    assert history(10, 20, 30).missed_since(15, 40) == 20
    assert history(10, 20, 30).missed_since(30, 40) is None
    assert history().missed_since(0, 40) is None


def test_the_time_of_a_table_is_the_one_that_most_items_agree_on() -> None:
    assert agreed_span([(0, 10), (5, 20), (7, 9), (100, 110)]) == (7, 9)
    assert agreed_span([(0, 10), (20, 30)]) == (20, 30)
    assert agreed_span([]) == (NEVER, FOREVER)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), min_size=1))
def test_the_agreed_span_lies_in_as_many_spans_as_any_moment_does(drawn: list[tuple[int, int]]) -> None:
    spans = [(first, first + length) for first, length in drawn]

    low, high = agreed_span(spans)

    votes = [sum(first <= moment <= last for first, last in spans) for moment in range(72)]
    assert low <= high
    assert {votes[moment] for moment in range(low, high + 1)} == {max(votes)}


def test_requests_have_the_same_table_while_one_time_fits_them_all() -> None:
    found = same_table([(0, 10), (5, 20), (8, 9), (30, 40), (NEVER, FOREVER)])

    assert found == [([0, 1, 2], (8, 9)), ([3, 4], (30, 40))]


def test_a_span_without_events_is_tried_at_its_end_and_at_its_midnights() -> None:
    assert times_within((DAY - 5, 2 * DAY + 7), until_us=0) == [2 * DAY + 7, 2 * DAY - 1, DAY - 1]
    assert times_within((5, FOREVER), until_us=9) == [9, -1][:1]


def test_values_are_the_same_in_value_and_in_kind() -> None:
    assert same_value(1, 1.0)
    assert same_value(None, [])
    assert same_value(float("nan"), None)
    assert same_value([1, 2], [1, 2])
    assert not same_value("1", 1)
    assert not same_value(True, 1)
    assert not same_value([1, 2], [2, 1])
    assert not same_value(0, None)
    assert rows_differ([{"a": 1}, {}], [{"a": 1}, {"a": 2}], ["a", "b"]).tolist() == [[False, False], [True, False]]


def test_a_request_differs_where_one_of_its_candidates_does() -> None:
    logged = np.array([[1.0, np.nan], [2.0, 3.0], [5.0, 6.0]], np.float32)
    retrieved = np.array([[1.0, np.nan], [2.5, 3.0], [5.0, np.nan]], np.float32)

    cells = cells_differ(logged, retrieved, relative=1e-5, absolute=1e-6)

    assert of_requests(cells, np.array([0, 0, 2]), 3).tolist() == [[True, False], [False, False], [False, True]]
    assert of_requests(cells[:0], np.zeros(0, np.int64), 2).tolist() == [[False, False]] * 2


def test_the_limits_of_a_share_are_those_of_clopper_and_pearson() -> None:
    none, some, every = (share(count, 100, confidence=0.95) for count in (0, 10, 100))

    assert (none.low, none.high) == pytest.approx((0, 1 - 0.05 ** (1 / 100)))
    # By their definition: at each limit what was seen, or more extreme, has a probability of 5 %.
    assert binom.sf(9, 100, some.low) == pytest.approx(0.05)
    assert binom.cdf(10, 100, some.high) == pytest.approx(0.05)
    assert (every.low, every.high) == pytest.approx((0.05 ** (1 / 100), 1))
    assert share(10, 100, confidence=0.95, among=50).low < some.low


def test_nothing_wrong_in_enough_requests_passes_and_lateness_is_said() -> None:
    found = assess([feature(late=40, behind=30)], POLICY, requests=400, unknown={}, findings=())

    assert found.verdict is Verdict.PASS
    assert found.reasons == (
        "1 features of 400 requests: wrong values in at most 0.00% of the requests, late ones in up to 10.0% "
        "(item_events, median 30 s behind)",
    )
    clean = assess([feature()], POLICY, requests=400, unknown={}, findings=())
    assert clean.reasons[0].endswith("none of them late")


def test_wrong_values_above_the_threshold_fail_whatever_else_is_unclear() -> None:
    found = assess([feature(wrong=40)] * 7, POLICY, requests=400, unknown={}, findings=("the log is odd",))

    assert found.verdict is Verdict.FAIL
    assert "7 features were served with wrong values in more than 1.0% of the requests" in found.reasons[0]
    assert "and 2 more" in found.reasons[0]
    assert "the log is odd" in found.reasons


def test_stores_that_are_too_far_behind_fail_for_that_reason() -> None:
    found = assess([feature(late=40, behind=8 * 86_400)], POLICY, requests=400, unknown={}, findings=())

    assert found.verdict is Verdict.FAIL
    assert "more than 7 days behind in 1 of 100 requests: item_events 8.0 days" in found.reasons[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"requests": 299}, "299 requests could be compared; the policy asks for at least 300"),
        ({"unknown": {"without a user row": 30}}, "30 of 430 requests could not be compared: 30 without a user row"),
        ({"findings": ("5 rows of the request log repeat a request_id",)}, "5 rows of the request log repeat"),
        ({"features": [feature(wrong=1)]}, "the share of wrong values may be above 1.0%: item_events 0.25%"),
        ({"features": []}, "no feature could be compared"),
    ],
)
def test_whatever_is_not_known_is_inconclusive(changes: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"features": [feature()], "requests": 400, "unknown": {}, "findings": (), **changes}

    found = assess(given.pop("features"), POLICY, **given)

    assert found.verdict is Verdict.INCONCLUSIVE
    assert said in found.reasons[0]


def test_a_limit_that_is_none_is_refused() -> None:
    assert policy_with(threshold=None, late_days=2.0) == SkewPolicy(late_days=2.0)
    with pytest.raises(SettingsRefused, match=r"skew threshold: .*; got 3"):
        policy_with(threshold=3)


def test_a_log_that_cannot_be_read_is_a_page_and_a_table_too() -> None:
    report = report_of(None, None, POLICY, left_out={}, findings=["<b> is no column"], version="4", now=NOW)

    assert (report["verdict"], report["reasons"][0], report["version"]) == ("INCONCLUSIVE", "<b> is no column", "4")
    assert "&lt;b&gt; is no column" in page_of(report)
    console = Console(width=110)
    with console.capture() as captured:
        console.print(skew_table(report))
    assert "Skew verdict: INCONCLUSIVE" in captured.get()

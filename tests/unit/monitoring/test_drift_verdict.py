import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.core.errors import RecommenderError
from monitoring.drift import ColumnResult, DriftPolicy, WindowSize, assess_drift
from training.verdict import Verdict

POLICY = DriftPolicy()
ENOUGH = WindowSize(rows=10_000, requests=1_000)


RULE = "(wasserstein >= 0.2, flags jensenshannon >= 0.1; FAIL from 30% of the columns)"


def column(name: str, statistic: float | None, finding: str | None = None) -> ColumnResult:
    method, threshold = POLICY.rule(name)
    return ColumnResult(name, method, statistic, threshold, finding)


def test_columns_below_the_threshold_pass() -> None:
    columns = [column("age", 0.0), column("hour", 0.19)]

    assessment = assess_drift(columns, POLICY, reference=ENOUGH, current=ENOUGH)

    assert assessment.verdict is Verdict.PASS
    assert assessment.reasons == (f"0 of 2 columns drifted {RULE}",)


def test_a_distance_equal_to_the_threshold_is_drift_as_it_is_for_evidently() -> None:
    assert column("age", POLICY.threshold).drifted


def test_the_share_of_the_policy_fails_and_names_the_furthest_columns_first() -> None:
    columns = [column("near", 0.1), column("far", 0.3), column("further", 2.0)]

    assessment = assess_drift(columns, POLICY, reference=ENOUGH, current=ENOUGH)

    assert assessment.verdict is Verdict.FAIL
    assert assessment.reasons[0].startswith("2 of 3 columns drifted: further 2.00, far 0.30 (")


def test_drift_of_fewer_columns_than_the_share_passes_and_still_names_them() -> None:
    columns = [column(f"quiet_{i}", 0.0) for i in range(9)] + [column("loud", 1.0)]

    assessment = assess_drift(columns, POLICY, reference=ENOUGH, current=ENOUGH)

    assert assessment.verdict is Verdict.PASS
    assert "loud 1.00" in assessment.reasons[0]


def test_more_drifted_columns_than_a_reason_can_name_are_counted() -> None:
    columns = [column(f"c{i}", 1.0) for i in range(7)]

    assessment = assess_drift(columns, POLICY, reference=ENOUGH, current=ENOUGH)

    assert "c4 1.00 and 2 more (" in assessment.reasons[0]


def test_a_flag_is_measured_by_its_own_rule_and_ranked_by_how_far_it_exceeds_it() -> None:
    columns = [column("age", 0.3), column("item:genre=War", 0.25), column("item:genre=Drama", 0.09)]

    assessment = assess_drift(columns, POLICY, reference=ENOUGH, current=ENOUGH)

    assert assessment.reasons[0] == f"2 of 3 columns drifted: item:genre=War 0.25, age 0.30 {RULE}"


def test_an_expected_constant_is_named_and_counts_neither_for_nor_against() -> None:
    expected = ColumnResult("item:genre=unknown", "jensenshannon", None, 0.1, "constant", expected=True)

    passed = assess_drift([expected, column("age", 0.0)], POLICY, reference=ENOUGH, current=ENOUGH)
    alone = assess_drift([expected], POLICY, reference=ENOUGH, current=ENOUGH)

    named = "not judged, one value in both windows as the policy expects: item:genre=unknown"
    assert (passed.verdict, passed.reasons) == (Verdict.PASS, (f"0 of 1 columns drifted {RULE}", named))
    assert (alone.verdict, alone.reasons) == (Verdict.INCONCLUSIVE, ("no column to compare", named))


def test_an_empty_window_is_inconclusive() -> None:
    empty = WindowSize(rows=0, requests=0)

    assessment = assess_drift([column("age", 3.0)], POLICY, reference=ENOUGH, current=empty)

    assert assessment.verdict is Verdict.INCONCLUSIVE
    assert assessment.reasons == ("current window is empty",)


def test_too_few_rows_or_requests_are_inconclusive_however_far_the_columns_are() -> None:
    thin = WindowSize(rows=POLICY.minimum_rows - 1, requests=POLICY.minimum_requests - 1)

    assessment = assess_drift([column("age", 3.0)], POLICY, reference=thin, current=ENOUGH)

    assert assessment.verdict is Verdict.INCONCLUSIVE
    assert assessment.reasons == (
        "reference window has 499 rows; the policy asks for at least 500",
        "reference window has 199 requests; the policy asks for at least 200",
    )


def test_a_column_that_could_not_be_compared_is_never_green() -> None:
    columns = [column("age", 0.0), column("hour", None, "holds no value in the current window")]

    assessment = assess_drift(columns, POLICY, reference=ENOUGH, current=ENOUGH)

    assert assessment.verdict is Verdict.INCONCLUSIVE
    assert assessment.reasons[0] == "hour: holds no value in the current window"


def test_drift_fails_beside_a_column_that_could_not_be_compared_and_both_are_said() -> None:
    columns = [column("age", 1.0), column("hour", None, "missing from the current window")]

    assessment = assess_drift(columns, POLICY, reference=ENOUGH, current=ENOUGH)

    assert assessment.verdict is Verdict.FAIL
    assert assessment.reasons[1] == "hour: missing from the current window"


def test_no_column_at_all_is_inconclusive() -> None:
    assessment = assess_drift([], POLICY, reference=ENOUGH, current=ENOUGH)

    assert (assessment.verdict, assessment.reasons) == (Verdict.INCONCLUSIVE, ("no column to compare",))


@pytest.mark.parametrize("statistic", [None, float("nan"), float("inf")])
def test_a_distance_that_is_no_finite_number_is_inconclusive(statistic: float | None) -> None:
    assessment = assess_drift([column("age", statistic)], POLICY, reference=ENOUGH, current=ENOUGH)

    assert assessment.verdict is Verdict.INCONCLUSIVE
    assert assessment.reasons[0] == "age: Evidently gave no finite number"


sizes = st.builds(WindowSize, rows=st.integers(0, 2_000), requests=st.integers(0, 800))
columns_of_any_kind = st.lists(
    st.builds(
        column,
        st.text(max_size=5),
        st.none() | st.floats(),
        st.none() | st.just("constant in both windows"),
    ),
    max_size=12,
)


@given(columns=columns_of_any_kind, reference=sizes, current=sizes)
def test_green_always_stands_on_enough_rows_and_on_every_column_compared(
    columns: list[ColumnResult], reference: WindowSize, current: WindowSize
) -> None:
    assessment = assess_drift(columns, POLICY, reference=reference, current=current)

    assert assessment.reasons
    if assessment.verdict is Verdict.PASS:
        assert columns
        assert all(c.compared for c in columns)
        assert min(reference.rows, current.rows) >= POLICY.minimum_rows
        assert min(reference.requests, current.requests) >= POLICY.minimum_requests


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"flag_method": "psi"}, "drift method: expected one of ['jensenshannon', 'wasserstein']; got 'psi'"),
        ({"flag_threshold": -1.0}, "drift threshold: expected a number above 0; got -1.0"),
        ({"method": "ks"}, "drift method: expected one of ['jensenshannon', 'wasserstein']; got 'ks'"),
        ({"threshold": 0.0}, "drift threshold: expected a number above 0; got 0.0"),
        ({"threshold": float("nan")}, "drift threshold: expected a number above 0; got nan"),
        ({"fail_share": 1.5}, "drift fail share: expected above 0, at most 1; got 1.5"),
        ({"sample_rows": 10}, "drift sample: expected at least minimum_rows, 500; got 10"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(setting: dict[str, object], sentence: str) -> None:
    with pytest.raises(RecommenderError) as error:
        DriftPolicy(**setting)  # type: ignore[arg-type]

    assert str(error.value) == sentence


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(TypeError, match="treshold"):
        DriftPolicy(treshold=0.1)  # type: ignore[call-arg]

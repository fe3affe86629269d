import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.core.errors import SettingsRefused
from monitoring.drift.policy import DriftPolicy
from monitoring.drift.verdict import Assessment, ColumnResult, Side, assess_drift
from monitoring.drift.window import WindowSize
from training.verdict import Verdict

POLICY = DriftPolicy()
ENOUGH = WindowSize(rows=10_000, requests=1_000)
RULE = "(at most 0.4% of quiet windows would be called drift)"


def column(name: str, shift: float | None, finding: str | None = None, distance: float | None = 0.0) -> ColumnResult:
    return ColumnResult(name, shift, 0.3, distance, 0.25, finding)


def assess(columns: list[ColumnResult], *, current: Side | None = None, reference: WindowSize = ENOUGH) -> Assessment:
    sides = (Side("reference", reference, 500.0), current or Side("current", ENOUGH, 500.0))
    return assess_drift(columns, POLICY, sides)


def test_columns_within_what_quiet_windows_do_pass_and_say_what_would_have_been_seen() -> None:
    assessment = assess([column("age", 0.0), column("hour", -0.29)])

    assert assessment.verdict is Verdict.PASS
    assert assessment.reasons == (
        f"none of 2 columns moved further than quiet windows do {RULE}",
        "in half of the columns a shift of 0.30 sd of the reference would be seen",
    )


def test_one_column_beyond_its_threshold_fails_and_the_furthest_are_named_first() -> None:
    assessment = assess([column("near", 0.1), column("far", 0.36), column("further", -0.6)])

    assert assessment.verdict is Verdict.FAIL
    named = "further -0.60 sd (quiet windows stay within 0.30), far +0.36 sd (quiet windows stay within 0.30)"
    assert assessment.reasons[0] == f"2 of 3 columns moved further than quiet windows do: {named} {RULE}"


def test_a_shape_that_changed_around_the_same_mean_is_drift_and_said_so() -> None:
    assessment = assess([column("price", 0.01, distance=0.5)])

    assert assessment.verdict is Verdict.FAIL
    assert "price changed shape by 0.50 sd (quiet windows stay within 0.25)" in assessment.reasons[0]


def test_more_columns_than_a_reason_can_name_are_counted() -> None:
    assessment = assess([column(f"c{i}", 1.0) for i in range(7)])

    assert " and 2 more (" in assessment.reasons[0]


def test_an_expected_finding_is_named_and_counts_neither_for_nor_against() -> None:
    expected = ColumnResult("item:genre=unknown", finding="one value in both windows as expected", expected=True)

    passed, alone = assess([expected, column("age", 0.0)]), assess([expected])

    named = "not judged, one value in both windows as expected: item:genre=unknown"
    assert (passed.verdict, passed.reasons[-1]) == (Verdict.PASS, named)
    assert (alone.verdict, alone.reasons) == (Verdict.INCONCLUSIVE, ("no column to compare", named))


@pytest.mark.parametrize(
    ("side", "reason"),
    [
        (Side("current", WindowSize(0, 0), 0.0), "current window is empty"),
        (
            Side("current", WindowSize(499, 200), 99.0),
            "current window has 499 rows; the policy asks for at least 500",
        ),
        (
            Side("current", WindowSize(500, 199), 99.0),
            "current window has 199 requests; the policy asks for at least 200",
        ),
        (Side("current", ENOUGH, 9.4), "current window has 9 effective users; the policy asks for at least 10"),
        (Side("current", WindowSize(900, 300, repeated=4), 99.0), "current window has 4 of 900 rows twice"),
        (Side("current", ENOUGH, 99.0, ("3 answers have no propensities",)), "current window: 3 answers have no "),
    ],
)
def test_a_thin_or_damaged_window_is_inconclusive_however_far_the_columns_are(side: Side, reason: str) -> None:
    assessment = assess([column("age", 3.0)], current=side)

    assert assessment.verdict is Verdict.INCONCLUSIVE
    assert assessment.reasons[0].startswith(reason)


def test_a_column_that_could_not_be_compared_is_never_green() -> None:
    assessment = assess([column("age", 0.0), column("hour", None, "holds no value in the current window")])

    assert assessment.verdict is Verdict.INCONCLUSIVE
    assert assessment.reasons[0] == "hour: holds no value in the current window"


def test_drift_fails_beside_a_column_that_could_not_be_compared_and_both_are_said() -> None:
    assessment = assess([column("age", 1.0), column("hour", None, "missing from the current window")])

    assert assessment.verdict is Verdict.FAIL
    assert assessment.reasons[-1] == "hour: missing from the current window"


def test_quiet_is_no_evidence_where_half_of_the_columns_could_have_moved_unseen() -> None:
    blind = [ColumnResult(name, 0.0, 1.4, 0.0, 1.4) for name in ("age", "hour")]

    assessment = assess(blind)

    assert assessment.verdict is Verdict.INCONCLUSIVE
    assert assessment.reasons[0].startswith("half of the columns could shift by 1.40 sd of the reference unseen; ")


sizes = st.builds(WindowSize, rows=st.integers(0, 2_000), requests=st.integers(0, 800), repeated=st.integers(0, 1))
columns_of_any_kind = st.lists(
    st.builds(
        column,
        st.text(max_size=5),
        st.none() | st.floats(-2, 2),
        st.none() | st.just("constant in both windows"),
    ),
    max_size=12,
)


@given(columns=columns_of_any_kind, reference=sizes, current=sizes)
def test_green_always_stands_on_enough_rows_and_on_every_column_compared(
    columns: list[ColumnResult], reference: WindowSize, current: WindowSize
) -> None:
    assessment = assess(columns, reference=reference, current=Side("current", current, 99.0))

    assert assessment.reasons
    if assessment.verdict is Verdict.PASS:
        assert columns
        assert all(c.compared for c in columns)
        assert min(reference.rows, current.rows) >= POLICY.minimum_rows
        assert reference.repeated == current.repeated == 0


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"alarm_rate": 0.0}, "drift policy, alarm_rate: Input should be greater than 0; got 0.0"),
        ({"draws": 10}, "drift policy, draws: Input should be greater than or equal to 100; got 10"),
        ({"smallest_shift": float("nan")}, "drift policy, smallest_shift: Input should be "),
        ({"treshold": 0.1}, "drift policy, treshold: Extra inputs are not permitted; got 0.1"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(setting: dict[str, object], sentence: str) -> None:
    with pytest.raises(SettingsRefused) as error:
        DriftPolicy.of(setting)

    assert str(error.value).startswith(sentence)

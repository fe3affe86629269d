import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.drift.policy import DriftPolicy
from monitoring.drift.profile import finding, profile, same_constant

POLICY = DriftPolicy()


def finding_of(reference: object, current: object, column: str = "age") -> str | None:
    sides = [profile(pa.chunked_array([values])) for values in (reference, current)]
    return finding(column, reference=sides[0], current=sides[1], policy=POLICY)


def test_a_profile_counts_only_finite_values_as_present() -> None:
    described = profile(pa.chunked_array([[1.0, None, float("nan"), float("inf"), 3.0]]))

    assert (described.rows, described.present, described.low, described.high) == (5, 2, 1.0, 3.0)
    assert described.spread == 1.0
    assert described.missing_share == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("reference", "current"),
    [
        ([1.0, 2.0], [2.0, 5.0]),
        ([1, 2], [1.5, 2.5]),
        ([True, False], [False, True]),
        ([1, 2, None], [2, 3, None]),
        (["a", "b"], ["b", "b", "a"]),
    ],
)
def test_columns_of_the_same_kind_that_vary_are_comparable(reference: object, current: object) -> None:
    assert finding_of(reference, current) is None


@pytest.mark.parametrize(
    ("reference", "current", "reason"),
    [
        ([1.0, 2.0], ["a", "b"], "changed type from number to text"),
        ([1.0, 2.0], [True, False], "changed type from number to boolean"),
        ([["a"], ["b"]], [["a"], ["c"]], "neither a number nor a boolean nor a text"),
        (["a", "b"], ["a", "c"], "50% of the rows hold a category that the reference does not have: 'c'"),
        (["a", "b"], ["a", "a"], "constant: 2 values in the reference, always 'a' in the current window"),
        (["a", "a"], ["a", "a"], "constant in both windows (always 'a'), so its distance says nothing"),
        ([1.0, 2.0], [float("nan"), float("inf")], "holds no value in the current window"),
        (
            pa.nulls(2, pa.float64()),
            pa.nulls(2, pa.float64()),
            "holds no value in the reference and the current window",
        ),
        ([3, 3], [3, 3], "constant in both windows (always 3), so its distance says nothing"),
        ([1, 2], [3, 3], "constant: 1 to 2 in the reference, always 3 in the current window"),
        ([3, 3], [1, 2], "constant: always 3 in the reference, 1 to 2 in the current window"),
        ([3, 3], [4, 4], "constant: always 3 in the reference, always 4 in the current window"),
        ([1.0, 2.0], [1.0, 2.0, None], "missing in 33% of the rows, 0% in the reference"),
    ],
)
def test_a_column_that_cannot_be_compared_says_why(reference: object, current: object, reason: str) -> None:
    assert finding_of(reference, current) == reason


def test_a_column_that_only_one_window_has_says_which() -> None:
    described = profile(pa.chunked_array([[1.0, 2.0]]))

    gone = finding("age", reference=described, current=None, policy=POLICY)
    new = finding("age", reference=None, current=described, policy=POLICY)

    assert gone == "missing from the current window"
    assert new == "not in the reference, so there is nothing to compare it with"


RARE, COMMON, NEVER, ALWAYS = [1] + [0] * 99, [1] * 30 + [0] * 70, [0] * 100, [1] * 100


@pytest.mark.parametrize("sides", [(RARE, NEVER), (NEVER, RARE), (NEVER, ALWAYS)])
def test_a_rare_flag_may_be_constant_in_one_window_and_stays_comparable(
    sides: tuple[list[int], list[int]],
) -> None:
    assert finding_of(*sides, column="item:genre=Western") is None
    assert finding_of(*sides, column="item_events") is not None


@pytest.mark.parametrize("sides", [(COMMON, NEVER), (NEVER, COMMON), (NEVER, NEVER), ([7, 7], [7, 8])])
def test_a_flag_that_is_constant_and_was_not_rare_is_a_finding(sides: tuple[list[int], list[int]]) -> None:
    found = finding_of(*sides, column="item:genre=Drama")

    assert found is not None
    assert found.startswith("constant")


def test_a_column_that_one_window_lacks_is_no_shared_constant() -> None:
    constant = profile(pa.chunked_array([[1.0, 1.0]]))

    assert same_constant(constant, constant)
    assert not same_constant(constant, None)
    assert not same_constant(constant, profile(pa.chunked_array([[True, True]])))


@given(st.lists(st.none() | st.floats(width=32), min_size=1, max_size=30))
def test_any_column_is_either_described_by_its_range_or_has_no_value(values: list[float | None]) -> None:
    described = profile(pa.chunked_array([pa.array(values, pa.float64())]))

    if described.present:
        assert described.low <= described.high
        assert np.isfinite(described.spread)
    else:
        assert described.missing_share == 1.0

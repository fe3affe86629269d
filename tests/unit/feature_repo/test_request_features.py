from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from tiny_log import DAY, at

from feature_repo.features.columns import as_columns, pad_lists, row_as_columns
from feature_repo.features.frames import user_frame
from feature_repo.features.request import USER_STATE, WINDOWS, amounts_at, context_at, state_at

TYPES: dict[str, pa.DataType] = {
    name: pa.list_(pa.int64()) if name.endswith(("_days", "_counts")) else pa.int64() for name in USER_STATE
}
TODAY = at(0) // DAY


def state(**values: Any) -> dict[str, Any]:
    row = {"user_event_count": 6, "user_first_event": at(-40), "user_last_event": at(-0.25)}
    return {**row, "user_days": [TODAY - 40, TODAY - 6, TODAY - 1], "user_counts": [1, 2, 3], **values}


def test_windows_count_calendar_days_that_end_with_the_day_of_the_request() -> None:
    columns = row_as_columns(state(), TYPES)

    found = state_at("user", columns, np.array([at(0.5)]))

    assert found["user_events_1d"].tolist() == [0]
    assert found["user_events_7d"].tolist() == [5]
    assert found["user_events_30d"].tolist() == [5]
    assert found["user_events_90d"].tolist() == [6]
    assert found["user_events"].tolist() == [6]
    assert found["user_recency_days"].tolist() == [0.75]
    assert found["user_age_days"].tolist() == [40.5]
    assert found["user_frequency"].tolist() == [np.float32(6 / 40.5)]
    assert found["user_trend"].tolist() == [np.float32(np.log((5 / 7 + 1 / 30) / (5 / 30 + 1 / 30)))]


def test_a_day_that_is_still_to_come_is_in_no_window() -> None:
    columns = row_as_columns(state(user_days=[TODAY, TODAY + 1], user_counts=[2, 7]), TYPES)

    found = state_at("user", columns, np.array([at(0.5)]))

    assert [found[f"user_events_{days}d"].tolist() for days in WINDOWS] == [[2]] * len(WINDOWS)


def test_sums_of_counts_in_few_bytes_do_not_overflow() -> None:
    counts = np.array([[30_000, 30_000, 30_000]], np.int16)

    found = state_at("user", {**row_as_columns(state(), TYPES), "user_counts": counts}, np.array([at(0.5)]))

    assert found["user_events_7d"].tolist() == [60_000]
    assert found["user_events_90d"].tolist() == [90_000]


def test_a_user_without_state_has_no_events_and_an_unknown_recency() -> None:
    found = state_at("user", row_as_columns({}, TYPES), np.array([at(0)]))

    assert found["user_events_90d"].tolist() == found["user_events"].tolist() == [0]
    assert np.isnan(found["user_recency_days"]).all()
    assert np.isnan(found["user_age_days"]).all()


def test_one_user_meets_many_moments_as_many_users_would() -> None:
    many = as_columns(pa.Table.from_pylist([state()] * 3, schema=pa.schema(TYPES.items())), USER_STATE)
    moments = np.array([at(0), at(1), at(50)])

    one = state_at("user", row_as_columns(state(), TYPES), moments)
    other = state_at("user", many, moments)

    assert {name: values.tolist() for name, values in one.items()} == {n: v.tolist() for n, v in other.items()}


def test_amounts_are_summed_and_averaged_in_units_of_the_value() -> None:
    columns = {
        **row_as_columns(state(), TYPES),
        "user_amount": np.array([9_000.0]),
        "user_amounts": np.array([[1_000, 2_500, 5_500]]),
    }

    found = amounts_at(columns, np.array([at(0.5)]))

    assert found["user_amount_30d"].tolist() == [8]
    assert found["user_amount_total"].tolist() == [9]
    assert found["user_amount_mean"].tolist() == [1.5]


def test_a_user_without_events_has_no_mean_amount() -> None:
    columns = {**row_as_columns({}, TYPES), "user_amount": np.array([np.nan]), "user_amounts": np.array([[0]])}

    found = amounts_at(columns, np.array([at(0)]))

    assert found["user_amount_total"].tolist() == [0]
    assert np.isnan(found["user_amount_mean"]).all()


def test_time_is_a_circle() -> None:
    before, after_midnight, noon = at(1) - 1, at(1), at(1.5)

    found = context_at(np.array([before, after_midnight, noon]))

    points = np.stack([found["hour_sin"], found["hour_cos"]], axis=1)
    assert np.linalg.norm(points[0] - points[1]) < 1e-6
    assert np.isclose(np.linalg.norm(points[1] - points[2]), 2)
    np.testing.assert_allclose(found["weekday_sin"] ** 2 + found["weekday_cos"] ** 2, 1, rtol=1e-6)


def test_hour_and_weekday_are_utc() -> None:
    found = context_at(np.array([at(0), at(0) - 1, 0]))  # 2026-01-01 was a Thursday, as was 1970-01-01

    assert found["hour"].tolist() == [0, 23, 0]
    assert found["weekday"].tolist() == [3, 2, 3]


def test_the_on_demand_view_gives_what_the_function_gives_even_for_a_frame_without_types() -> None:
    moment = at(0.5)
    frame = pd.DataFrame([{**state(), "moment_us": moment}, {**dict.fromkeys(USER_STATE), "moment_us": moment}])

    found = user_frame(frame)

    expected = state_at("user", row_as_columns(state(), TYPES), np.array([moment]))
    assert {name: found[name][0] for name in found} == {name: values[0] for name, values in expected.items()}
    assert found["user_events"][1] == 0
    assert np.isnan(found["user_recency_days"][1])


KINDS: dict[str, pa.DataType] = {
    "number": pa.float64(),
    "count": pa.int64(),
    "text": pa.string(),
    "numbers": pa.list_(pa.int64()),
    "texts": pa.list_(pa.string()),
}
rows = st.fixed_dictionaries(
    {
        "number": st.none() | st.floats(-1e6, 1e6),
        "count": st.none() | st.integers(-(2**50), 2**50),
        "text": st.none() | st.text(max_size=5),
        "numbers": st.none() | st.lists(st.integers(-(2**60), 2**60), max_size=4),
        "texts": st.none() | st.lists(st.text(max_size=5), max_size=4),
    }
)


@given(row=rows)
def test_a_single_row_becomes_the_same_columns_as_a_table_of_one(row: dict[str, Any]) -> None:
    table = pa.Table.from_pylist([row], schema=pa.schema(KINDS.items()))

    single, whole = row_as_columns(row, KINDS), as_columns(table, KINDS)

    for name in KINDS:
        assert single[name].shape == whole[name].shape
        assert single[name].dtype == whole[name].dtype
        np.testing.assert_array_equal(single[name], whole[name])


def test_lists_of_different_lengths_become_one_matrix() -> None:
    padded = pad_lists(pa.chunked_array([pa.array([[1, 2], None, [], [3]], pa.list_(pa.int64()))]))

    assert padded.tolist() == [[1, 2], [0, 0], [0, 0], [3, 0]]

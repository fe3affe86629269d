from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.core.errors import RecommenderError
from monitoring.drift.policy import DriftPolicy
from monitoring.drift.window import WindowSize, read_window, window_of

POLICY = DriftPolicy(sample_rows=100)


def table(requests: int = 50) -> pa.Table:
    """Slates of ten rows; `row` is a feature that tells where a row stands in the file."""
    rows = range(requests * 10)
    return pa.table(
        {
            "request_id": [f"r{row // 10}" for row in rows],
            "user_id": ["u"] * len(rows),
            "moment": pa.array([row // 10 for row in rows], pa.timestamp("us", "UTC")),
            "label": [0.0] * len(rows),
            "row": list(rows),
        }
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    pq.write_table(table(), tmp_path / "window.parquet")
    return tmp_path / "window.parquet"


def test_the_size_counts_every_row_and_what_tells_rows_apart_is_no_feature(file: Path) -> None:
    window = read_window(file, POLICY)

    assert window.size == WindowSize(rows=500, requests=50)
    assert window.features.column_names == ["row"]


def test_the_sample_takes_whole_requests_and_the_same_ones_on_every_run(file: Path) -> None:
    first, second = read_window(file, POLICY), read_window(file, POLICY)

    assert first.sample.equals(second.sample)
    assert 0 < first.sample.num_rows < 500
    assert set(first.sample["request_id"].value_counts().field("counts").to_pylist()) == {10}


def test_another_seed_draws_another_sample(file: Path) -> None:
    other = DriftPolicy(sample_rows=100, seed=POLICY.seed + 1)

    assert not read_window(file, POLICY).sample.equals(read_window(file, other).sample)


def test_a_window_in_memory_is_the_same_window_and_samples_whole_requests_too(file: Path) -> None:
    whole, sampled = window_of(table(), DriftPolicy()), window_of(table(), POLICY)

    assert whole.size == read_window(file, DriftPolicy()).size
    assert whole.sample.drop_columns("moment").equals(read_window(file, DriftPolicy()).sample.drop_columns("moment"))
    assert set(sampled.sample["request_id"].value_counts().field("counts").to_pylist()) == {10}


def test_rows_that_are_there_twice_are_counted_in_a_file_and_in_memory(tmp_path: Path) -> None:
    twice = pa.concat_tables([table(), table().slice(0, 30)])
    pq.write_table(twice, tmp_path / "twice.parquet")

    assert read_window(tmp_path / "twice.parquet", POLICY).size.repeated == 30
    assert window_of(twice, POLICY).size.repeated == 30


def test_rows_without_a_user_are_a_flaw_of_the_window() -> None:
    nameless = table(requests=1).set_column(1, "user_id", pa.array([None] * 2 + ["u"] * 8, pa.string()))

    assert window_of(nameless, POLICY).flaws == ("2 of 10 rows have no user_id",)


def test_a_file_that_is_no_parquet_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "current.parquet"
    path.write_text("not a table")

    with pytest.raises(RecommenderError, match=r"^current\.parquet: expected a parquet file .*; got .*$"):
        read_window(path, POLICY)


def test_a_window_without_the_columns_that_tell_rows_apart_is_refused(tmp_path: Path) -> None:
    bare = pa.table({"age": [1.0]})
    pq.write_table(bare, tmp_path / "current.parquet")

    with pytest.raises(RecommenderError, match=r"expected a parquet file with columns request_id, .*; got "):
        read_window(tmp_path / "current.parquet", POLICY)
    with pytest.raises(RecommenderError, match=r"^window: expected .*; got none of request_id, user_id, moment$"):
        window_of(bare, POLICY)

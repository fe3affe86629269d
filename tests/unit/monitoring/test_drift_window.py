from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.core.errors import RecommenderError
from monitoring.drift import DriftPolicy, WindowSize
from monitoring.window import read_window

POLICY = DriftPolicy(sample_rows=100, minimum_rows=10)


@pytest.fixture
def slates(tmp_path: Path) -> Path:
    """Fifty slates of ten rows; `row` is a feature that tells where a row stands in the file."""
    table = pa.table(
        {
            "request_id": [f"r{row // 10}" for row in range(500)],
            "user_id": ["u"] * 500,
            "moment": pa.array([row // 10 for row in range(500)], pa.timestamp("us", "UTC")),
            "row": list(range(500)),
        }
    )
    path = tmp_path / "window.parquet"
    pq.write_table(table, path)
    return path


def test_the_size_counts_every_row_and_the_sample_holds_features_only(slates: Path) -> None:
    window = read_window(slates, POLICY)

    assert window.size == WindowSize(rows=500, requests=50)
    assert window.sample.column_names == ["row"]
    assert window.sample.num_rows == 100


def test_the_sample_is_the_same_on_every_run_and_keeps_the_order_of_the_file(slates: Path) -> None:
    first, second = read_window(slates, POLICY), read_window(slates, POLICY)

    assert first.sample.equals(second.sample)
    rows = first.sample["row"].to_pylist()
    assert rows == sorted(rows)


def test_another_seed_draws_another_sample(slates: Path) -> None:
    other = DriftPolicy(sample_rows=100, minimum_rows=10, seed=POLICY.seed + 1)

    assert not read_window(slates, POLICY).sample.equals(read_window(slates, other).sample)


def test_a_window_smaller_than_the_sample_is_taken_whole(slates: Path) -> None:
    assert read_window(slates, DriftPolicy()).sample["row"].to_pylist() == list(range(500))


def test_a_file_that_is_no_parquet_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "current.parquet"
    path.write_text("not a table")

    with pytest.raises(RecommenderError, match=r"^current\.parquet: expected a parquet file .*; got .*$"):
        read_window(path, POLICY)


def test_a_window_without_request_ids_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "current.parquet"
    pq.write_table(pa.table({"age": [1.0]}), path)

    with pytest.raises(RecommenderError, match=r"expected a parquet file with a column request_id; got "):
        read_window(path, POLICY)

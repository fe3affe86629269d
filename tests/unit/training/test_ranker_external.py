from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import xgboost as xgb
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.core.errors import DatasetError, SettingsRefused
from training.ranking import external, lambdamart
from training.ranking.query_groups import QueryGroups
from training.settings import Objective, RankerSettings

Array = np.ndarray[Any, Any]

NAMES = ("price", "genre[0]", "noise")
SETTINGS = RankerSettings(rounds=20, depth=4, learning_rate=0.2, subsample=1, column_share=1, min_child_weight=1)


def unheard(number: int, score: float) -> None:
    del number, score


def candidates(requests: int = 300, seed: int = 0) -> QueryGroups:
    """Requests of 1 to 12 candidates; some have no relevant one."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(requests), rng.integers(1, 13, requests))
    x = rng.normal(size=(len(groups), 3)).astype(np.float32)
    return QueryGroups(x, (x[:, 0] + 0.5 * rng.normal(size=len(groups)) > 0.8).astype(np.float32), groups)


def cut(rows: QueryGroups, size: int) -> list[QueryGroups]:
    return [rows.take(np.arange(at, min(at + size, len(rows)))) for at in range(0, len(rows), size)]


def in_memory(rows: QueryGroups, settings: RankerSettings = SETTINGS, **more: Any) -> xgb.Booster:
    return lambdamart.train(
        rows.matrix,
        rows.relevance,
        rows.groups,
        feature_names=NAMES,
        settings=settings,
        seed=1,
        on_round=unheard,
        positions=rows.positions,
        champion=rows.champion,
        **more,
    )


def from_disk(files: list[Path], cache: Path, settings: RankerSettings = SETTINGS, **more: Any) -> xgb.Booster:
    return external.train(files, cache=cache, feature_names=NAMES, settings=settings, seed=1, on_round=unheard, **more)


def test_a_ranker_trained_from_disk_is_the_one_trained_in_memory_though_row_groups_cut_requests(
    tmp_path: Path,
) -> None:
    rows, held_out = candidates(), candidates(60, seed=1)
    half = rows.groups < 140
    for name, part in (("a", rows.take(half)), ("b", rows.take(~half))):
        external.write(tmp_path / name, cut(part, 101), NAMES)
    (tmp_path / "cache").mkdir()

    disk = from_disk([tmp_path / "a", tmp_path / "b"], tmp_path / "cache", validation=held_out)
    memory = in_memory(rows, validation=held_out)

    assert lambdamart.facts(disk) == lambdamart.facts(memory)
    assert disk.inplace_predict(rows.matrix) == pytest.approx(memory.inplace_predict(rows.matrix), abs=1e-4)


def test_positions_and_the_champions_scores_travel_through_the_files(tmp_path: Path) -> None:
    plain = candidates()
    rng = np.random.default_rng(5)
    rows = QueryGroups(
        plain.matrix, plain.relevance, plain.groups, rng.permutation(len(plain)) + 1, rng.random(len(plain))
    )
    settings = SETTINGS.model_copy(update={"position_bias": True, "distillation": 0.3})
    external.write(tmp_path / "rows", cut(rows, 77), NAMES)

    disk = from_disk([tmp_path / "rows"], tmp_path, settings).inplace_predict(rows.matrix)

    assert disk == pytest.approx(in_memory(rows, settings).inplace_predict(rows.matrix), abs=1e-4)
    assert disk != pytest.approx(in_memory(rows, SETTINGS).inplace_predict(rows.matrix), abs=1e-2)


@given(st.integers(1, 40), st.integers(1, 60))
def test_no_part_ends_within_a_request(requests: int, size: int) -> None:
    rows = candidates(requests)

    parts = list(external.whole_requests(cut(rows, size)))

    assert np.concatenate([part.matrix for part in parts]).tolist() == rows.matrix.tolist()
    seen = [set(part.groups.tolist()) for part in parts]
    assert sum(map(len, seen)) == len(set().union(*seen))


def test_every_part_is_a_row_group_of_its_own_or_more(tmp_path: Path) -> None:
    external.write(tmp_path / "rows", cut(candidates(), 100), NAMES)

    assert pq.ParquetFile(tmp_path / "rows").num_row_groups == len(cut(candidates(), 100))


def test_files_without_any_order_are_refused_with_a_sentence(tmp_path: Path) -> None:
    rows = candidates(20)
    external.write(tmp_path / "rows", [rows.with_gains(np.zeros(len(rows)))], NAMES)

    with pytest.raises(DatasetError, match="1 files have 20 requests and none is so"):
        from_disk([tmp_path / "rows"], tmp_path)


def test_an_infinite_feature_in_a_file_is_refused_with_its_name(tmp_path: Path) -> None:
    rows = candidates(20)
    rows.matrix[3, 1] = np.inf
    external.write(tmp_path / "rows", [rows], NAMES)

    with pytest.raises(DatasetError, match=r"infinite in genre\[0\]"):
        from_disk([tmp_path / "rows"], tmp_path)


def test_no_candidates_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="rows: the ranker's training set needs candidates; got none"):
        external.write(tmp_path / "rows", [], NAMES)


def test_a_ranker_for_each_objective_is_refused_from_disk(tmp_path: Path) -> None:
    two = tuple(Objective(name=name, weights={}) for name in "ab")

    with pytest.raises(SettingsRefused, match="set blend to labels"):
        from_disk([], tmp_path, SETTINGS.model_copy(update={"objectives": two, "blend": "models"}))

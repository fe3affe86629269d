"""The quality benchmark: its data at the door, its cuts, and which figures hold."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench import quality_data, quality_run
from bench.quality_data import LCFN, lcfn, split_of
from bench.quality_protocols import PROTOCOLS
from bench.quality_rows import Contest, rows_of
from bench.quality_run import Run, RunFailed, run_of
from bench.quality_table import quality_table
from bench.rows import Row, table_of
from rich.console import Console

from feature_repo.core.errors import DatasetError, MissingArtifact
from feature_repo.core.workspace import Workspace

Array = np.ndarray[Any, Any]

USERS = 200
PROTOCOL = PROTOCOLS[LCFN]


def runs(two_stage: float, *, tower: float = 0.2, seconds: float = 60) -> list[Run]:
    """Three seeds in which EASE has 0.25 and the two stages `two_stage`, nearly the same for every user."""
    rng = np.random.default_rng(0)

    def of_users(level: float) -> dict[str, Array]:
        return {name: (level + 0.002 * rng.normal(size=USERS)).clip(0, 1) for name in ("recall", "ndcg")}

    levels = {"ease": 0.25, "two-tower": tower, "two-stage": two_stage}
    return [Run(seconds, 900.0, {name: of_users(level) for name, level in levels.items()}) for _ in range(3)]


def judged(split: str, found: list[Run]) -> dict[str, Row]:
    contest = Contest.of(found, rng=np.random.default_rng(0))
    return {row.name.removeprefix(f"{LCFN} {split}, "): row for row in rows_of(PROTOCOL, split, contest)}


def test_a_better_second_stage_holds_its_floors_and_on_validation_a_goal_relative_to_ease() -> None:
    rows = judged("validation", runs(0.27))

    assert rows["recall@20: two-stage floor"].holds
    assert rows["ndcg@20: two-stage floor"].holds
    assert rows["recall@20: goal"].holds
    assert rows["recall@20: goal"].bound == "ratio >= 1.0511"
    assert rows["recall@20: two-stage against every other"].yardstick == "ease"
    assert not rows["recall@20: two-tower floor"].holds
    assert rows["two-stage end to end"].holds


def test_on_the_test_the_goal_is_the_figure_itself() -> None:
    rows = judged("test", runs(0.27, tower=0.3, seconds=601))

    assert not rows["recall@20: goal"].holds
    assert rows["recall@20: goal"].bound == ">= 0.2900"
    assert rows["recall@20: two-tower goal"].holds
    assert not rows["recall@20: two-stage against every other"].holds
    assert rows["recall@20: two-stage against every other"].yardstick == "two-tower"
    assert not rows["two-stage end to end"].holds


def test_a_second_stage_that_is_like_ease_holds_no_floor_that_asks_for_more() -> None:
    rows = judged("validation", runs(0.2499))

    assert not rows["recall@20: two-stage floor"].holds
    assert rows["recall@20: two-stage against every other"].holds


def test_the_table_shows_every_model_with_intervals_and_the_difference_to_ease() -> None:
    contest = Contest.of(runs(0.27), rng=np.random.default_rng(0))
    console = Console(width=200, record=True, file=io.StringIO())

    console.print(quality_table(PROTOCOL, "validation", contest))
    console.print(table_of(rows_of(PROTOCOL, "validation", contest)))
    text = console.export_text()

    assert "two-stage" in text
    assert "200 users and 3 seeds" in text
    assert "+0.02" in text


def test_split_is_validation_unless_it_says_test() -> None:
    assert split_of({}) == "validation"
    assert split_of({"SPLIT": "test"}) == "test"
    with pytest.raises(DatasetError, match="SPLIT is validation or test; got 'train'"):
        split_of({"SPLIT": "train"})


def test_pairs_are_read_by_user_and_the_test_file_is_opened_for_a_test_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lcfn_in(tmp_path, monkeypatch, {"train.txt": "0 0 1 2 3 4 5\n1 6 7 8\n"})

    part = lcfn(folder, "validation")

    whole = (part.known.met + part.held).toarray()
    np.testing.assert_array_equal(np.flatnonzero(whole[0]), np.arange(6))
    np.testing.assert_array_equal(np.flatnonzero(whole[1]), [6, 7, 8])
    with pytest.raises(MissingArtifact, match=r"test\.txt is not there; BENCH_DATA= names the folder"):
        lcfn(folder, "test")


def test_a_file_of_other_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / LCFN).mkdir()
    (tmp_path / LCFN / "train.txt").write_text("0 1\n")

    with pytest.raises(DatasetError, match=r"train\.txt: expected SHA-256 f088986b.*; got "):
        lcfn(tmp_path, "validation")


def test_a_finished_run_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(root=tmp_path, store=tmp_path / "store")
    name = f"{LCFN}-validation-1-{quality_run.fingerprint(PROTOCOL, 'validation')}.json"
    (tmp_path / "quality").mkdir()
    kept = {"seconds": 1.0, "peak_mb": 2.0, "values": {"ease": {"ndcg": [0.5, 1.0]}}}
    (tmp_path / "quality" / name).write_text(json.dumps(kept))

    found = run_of(PROTOCOL, "validation", 1, workspace, on_step=lambda _step: None)

    np.testing.assert_array_equal(found.values["ease"]["ndcg"], [0.5, 1.0])
    monkeypatch.setattr(quality_run, "MODULE", "bench.no_such_module")
    with pytest.raises(RunFailed, match=r"ml-1m-lcfn validation 2: .*no_such_module"):
        run_of(PROTOCOL, "validation", 2, workspace, on_step=lambda _step: None)


def test_the_fingerprint_tells_splits_and_settings_apart() -> None:
    one, other = PROTOCOLS.values()

    prints = {quality_run.fingerprint(p, split) for p in (one, other) for split in ("validation", "test")}

    assert len(prints) == 4


def lcfn_in(folder: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> Path:
    (folder / LCFN).mkdir()
    sums = dict(quality_data.LCFN_SHA256)
    for name, content in files.items():
        (folder / LCFN / name).write_text(content)
        sums[name] = hashlib.sha256(content.encode()).hexdigest()
    monkeypatch.setattr(quality_data, "LCFN_SHA256", sums)
    return folder

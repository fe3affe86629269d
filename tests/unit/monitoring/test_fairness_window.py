"""The fairness job over the files that evaluation leaves behind, in a workspace with real tables."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from generated_shop import write_shop

from feature_repo.core.errors import MissingArtifact, SettingsRefused
from feature_repo.core.workspace import Workspace, write_json
from feature_repo.dataset.declaration import load_dataset
from feature_repo.dataset.prepare import prepare
from feature_repo.dataset.split import from_microseconds, to_microseconds
from feature_repo.store.id_rows import IdRows
from monitoring.fairness.job import check_fairness, read_policy
from monitoring.fairness.policy import FairnessPolicy
from monitoring.fairness.window import read_fairness_window
from training.evaluation.protocols import asked_of
from training.evaluation.slate_rows import slate_rows, slates_name
from training.replay import Moment, moments

NOW = datetime(2026, 5, 1, tzinfo=UTC)
POLICY = FairnessPolicy(least_users=15, resamples=200)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("fair")
    workspace = Workspace(root=folder / "build", store=folder / "build" / "store")
    prepare(load_dataset(str(write_shop(folder))), workspace, now=NOW)
    return workspace


@pytest.fixture
def workspace(shop: Workspace, tmp_path: Path) -> Workspace:
    """The shop with a window that two versions were replayed over, their slates drawn by chance."""
    found = Workspace(root=tmp_path, store=shop.store)
    asked, start, end = window_of(shop)
    for version in ("1", "2"):
        write_slates(found, version, asked, seed=int(version))
    window = {"start": start.isoformat(), "end": end.isoformat()}
    about = {"champion": "1", "challenger": "2", "data_fingerprint": "f", "window": window}
    write_json(found.reports / "evaluation.json", about)
    write_json(found.reports / "data.json", {"fingerprint": "f"})
    return found


def window_of(workspace: Workspace) -> tuple[list[Moment], datetime, datetime]:
    stamps = np.sort(pq.read_table(workspace.events, columns=["timestamp"])["timestamp"].to_numpy().astype("M8[us]"))
    start, end = (from_microseconds(int(stamps[at].astype(np.int64))) for at in (len(stamps) * 3 // 4, -1))
    return moments(workspace, start, end), start, end


def write_slates(workspace: Workspace, version: str, asked: list[Moment], *, seed: int, twice: bool = False) -> None:
    ids = np.array(sorted({item for moment in asked for item in moment.items}), object)
    answer = asked_of(asked, IdRows(ids), np.random.default_rng(seed))
    slates = np.random.default_rng(seed).random((len(asked), len(ids))).argpartition(6, axis=1)[:, :6]
    slates[0, 4:] = -1
    segments = np.where(np.arange(len(asked)) % 2, "light", "heavy")
    table = slate_rows(asked, slates, answer, segments=segments, item_ids=ids)
    workspace.reports.mkdir(parents=True, exist_ok=True)
    table = table.take([0, *range(table.num_rows)]) if twice else table
    pq.write_table(table, workspace.reports / slates_name(version))


def edges(workspace: Workspace) -> tuple[int, int]:
    window = json.loads((workspace.reports / "evaluation.json").read_text())["window"]
    start, end = (to_microseconds(datetime.fromisoformat(window[edge])) for edge in ("start", "end"))
    return start, end


def test_the_window_knows_groups_history_and_categories(workspace: Workspace) -> None:
    start_us, end_us = edges(workspace)

    window = read_fairness_window(workspace, ("1", "2"), POLICY, start_us=start_us, end_us=end_us)

    labels = {grouping.attribute: sorted(set(grouping.labels.tolist())) for grouping in window.groupings}
    assert labels["activity"] == ["heavy", "light"]
    assert labels["city"] == ["Rome", "not declared"]
    assert all(name.startswith(("up to", "above", "other", "not")) for name in labels.get("age", []))
    assert window.vectors is not None
    assert window.vectors.shape[1] == 4 + 4  # makers m0 to m3; kinds k0 to k2 and new
    assert window.shown["1"].slates[0, 4:].tolist() == [-1, -1]


def test_the_history_of_a_request_is_what_its_user_met_before_that_moment(workspace: Workspace) -> None:
    start_us, end_us = edges(workspace)
    events = pq.read_table(workspace.events).to_pylist()
    asked = pq.read_table(workspace.reports / slates_name("1")).to_pylist()

    window = read_fairness_window(workspace, ("1",), POLICY, start_us=start_us, end_us=end_us)

    for number in (0, len(asked) // 2, len(asked) - 1):
        one = asked[number]
        before = [e for e in events if e["user_id"] == one["user_id"] and e["timestamp"] < one["moment"]]
        assert window.history[[number]].sum() == min(len(before), POLICY.history_items)


def test_the_job_writes_a_report_with_both_versions_and_a_page(workspace: Workspace) -> None:
    report = check_fairness(workspace, POLICY, now=NOW)

    saved: dict[str, Any] = json.loads((workspace.reports / "fairness.json").read_text())
    assert saved == json.loads(json.dumps(report))
    assert (saved["champion"], saved["challenger"], saved["made_at"]) == ("1", "2", NOW.isoformat())
    assert saved["verdict"] in {"PASS", "FAIL", "INCONCLUSIVE"}
    assert {row["group"] for row in saved["groups"] if row["attribute"] == "city"} == {"Rome", "not declared"}
    assert "Fairness of version 2" in (workspace.reports / "fairness.html").read_text()


def test_a_request_that_is_there_twice_makes_the_verdict_inconclusive(workspace: Workspace) -> None:
    asked, _, _ = window_of(workspace)
    for version in ("1", "2"):
        write_slates(workspace, version, asked, seed=1, twice=True)

    report = check_fairness(workspace, POLICY, now=NOW)

    assert report["verdict"] == "INCONCLUSIVE"
    assert report["reasons"] == [f"fairness needs one row for each request; got 1 of {len(asked) + 1} twice"]
    assert "INCONCLUSIVE" in (workspace.reports / "fairness.html").read_text()


def test_versions_that_answered_different_requests_are_not_compared(workspace: Workspace) -> None:
    asked, _, _ = window_of(workspace)
    write_slates(workspace, "2", asked[:-5], seed=1)

    report = check_fairness(workspace, POLICY, now=NOW)

    counts = f"{len(asked)} of version 1, {len(asked) - 5} of version 2"
    assert report["reasons"] == [f"fairness compares versions on the same requests; got {counts} that differ"]


def test_an_empty_window_is_inconclusive(workspace: Workspace) -> None:
    for version in ("1", "2"):
        path = workspace.reports / slates_name(version)
        pq.write_table(pq.read_table(path).slice(0, 0), path)

    report = check_fairness(workspace, POLICY, now=NOW)

    assert report["reasons"] == ["fairness needs a window with requests; got an empty one"]


def test_an_evaluation_of_other_data_and_slates_that_are_not_there_are_sentences(workspace: Workspace) -> None:
    (workspace.reports / slates_name("2")).unlink()
    with pytest.raises(MissingArtifact, match=r"^current-2\.slates\.parquet is not there: run `make evaluate` first"):
        check_fairness(workspace, POLICY, now=NOW)
    write_json(workspace.reports / "data.json", {"fingerprint": "other"})
    with pytest.raises(MissingArtifact, match=r"^evaluation\.json is about other data than there is now"):
        check_fairness(workspace, POLICY, now=NOW)


def test_a_policy_with_an_unknown_key_or_a_share_above_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    for text, sentence in (
        ("leest_share: 0.8", r"^policy\.yaml: leest_share: Extra inputs are not permitted; got 0\.8$"),
        ("least_share: 1.5", r"^policy\.yaml: least_share: Input should be less than 1; got 1\.5$"),
    ):
        path.write_text(text)
        with pytest.raises(SettingsRefused, match=sentence):
            read_policy(path)
    with pytest.raises(SettingsRefused, match=r"^a fairness policy must be a YAML file that can be read; got "):
        read_policy(tmp_path / "none.yaml")
    path.write_text("least_share: 0.9")

    assert read_policy(path).least_share == 0.9
    assert read_policy(None) == FairnessPolicy()

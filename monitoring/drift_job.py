"""The drift job: the champion's reference sample against the newest window, one verdict, three files."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace, write_json
from monitoring.drift import Assessment, ColumnResult, DriftPolicy, assess_drift
from monitoring.evidently_report import HTML, JSON, compare_windows, write_report
from monitoring.window import Window, read_window

REPORT = "drift.json"


def check_drift(workspace: Workspace, policy: DriftPolicy) -> Mapping[str, Any]:
    """Judge the current window against the reference of the champion, resolved to one version here."""
    from training.registry import download_bundle, log_report, version_of_alias

    champion = version_of_alias(workspace, "champion")
    if champion is None:
        raise MissingArtifact("no version is champion, so there is no reference: run `make train` first")
    reference = _required(download_bundle(workspace, champion) / "reference.parquet", "make train")
    # What this very version recommended: another one's scores and slates would be another distribution.
    current = _required(workspace.reports / f"current-{champion}.parquet", "make evaluate")
    report = judge_windows(reference, current, policy, champion=champion, folder=workspace.reports)
    files = (REPORT, report["html"], report["evidently"])
    log_report(workspace, champion, *(workspace.reports / name for name in files if name))
    return report


def _required(path: Path, made_by: str) -> Path:
    if not path.exists():
        raise MissingArtifact(f"{path.name} is not there: run `{made_by}` first (looked in {path.parent})")
    return path


def judge_windows(
    reference: Path, current: Path, policy: DriftPolicy, *, champion: str, folder: Path
) -> Mapping[str, Any]:
    """Compare two parquet files and write drift.html, drift.evidently.json and drift.json into `folder`."""
    before, after = read_window(reference, policy), read_window(current, policy)
    comparison = compare_windows(before, after, policy)
    assessment = assess_drift(comparison.columns, policy, reference=before.size, current=after.size)
    sizes = (_size_line("reference", before), _size_line("current", after))
    heading = (f"Champion: version {champion}. Verdict: {assessment.verdict}.", *assessment.reasons, *sizes)
    write_report(comparison.snapshot, folder, heading=heading)
    report = {
        "champion": champion,
        **_judgement(assessment, comparison.columns, policy),
        **_size(before, "reference"),
        **_size(after, "current"),
        "html": HTML if comparison.snapshot else None,
        "evidently": JSON if comparison.snapshot else None,
    }
    write_json(folder / REPORT, report)
    return report


def _judgement(assessment: Assessment, columns: tuple[ColumnResult, ...], policy: DriftPolicy) -> Mapping[str, object]:
    settings = asdict(policy) | {"constant_by_design": sorted(policy.constant_by_design)}
    return {
        "verdict": assessment.verdict.value,
        "reasons": list(assessment.reasons),
        "columns": [asdict(column) | {"drifted": column.drifted} for column in columns],
        "policy": settings,
    }


def _size(window: Window, name: str) -> Mapping[str, int]:
    return {
        f"{name}_rows": window.size.rows,
        f"{name}_requests": window.size.requests,
        f"{name}_sampled_rows": window.sample.num_rows,
    }


def _size_line(name: str, window: Window) -> str:
    size, sampled = window.size, window.sample.num_rows
    return f"The {name} window: {size.rows:,} rows of {size.requests:,} requests; {sampled:,} rows sampled."

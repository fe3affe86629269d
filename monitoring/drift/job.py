"""The drift job: the champion's reference against what it recommends now; one verdict for people and machines."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from feature_repo.core.errors import MissingArtifact, SettingsRefused
from feature_repo.core.workspace import Workspace, write_json
from monitoring.drift.columns import rows_of
from monitoring.drift.embeddings import Embeddings
from monitoring.drift.evidently_report import HTML, JSON, distances_of, evidently_snapshot, write_report
from monitoring.drift.exposition import PROMETHEUS, write_exposition
from monitoring.drift.judge import Judge, Judgement
from monitoring.drift.log_window import log_windows
from monitoring.drift.policy import DriftPolicy
from monitoring.drift.slates import coverage
from monitoring.drift.sustained import judge_newest
from monitoring.drift.window import Window, read_window

REPORT = "drift.json"
LOG, WINDOW, AUTO = "log", "window", "auto"


def check_drift(workspace: Workspace, policy: DriftPolicy, *, source: str = AUTO, now: datetime) -> Mapping[str, Any]:
    """Judge what is recommended now against the reference of the champion, resolved to one version here.

    Raises:
        SettingsRefused: `source` is none of log, window and auto.
        MissingArtifact: there is no champion, or nothing that it recommended.
    """
    from training.registry import download_bundle, log_report, version_of_alias

    if source not in (LOG, WINDOW, AUTO):
        raise SettingsRefused(f"source is {LOG}, {WINDOW} or {AUTO}; got {source!r}")
    champion = version_of_alias(workspace, "champion")
    if champion is None:
        raise MissingArtifact("no version is champion, so there is no reference: run `make train` first")
    bundle = download_bundle(workspace, champion)
    reference = read_window(_required(bundle / "reference.parquet", "make train"), policy)
    current, previous = current_windows(workspace, champion, policy, source)
    report = judge_windows(
        reference,
        current,
        policy,
        version=champion,
        folder=workspace.reports,
        now=now,
        previous=previous,
        embeddings=_embeddings(bundle) if reference.has_items and current.has_items else None,
    )
    files = (REPORT, PROMETHEUS, report["html"], report["evidently"])
    log_report(workspace, champion, *(workspace.reports / name for name in files if name))
    return report


def current_windows(
    workspace: Workspace, version: str, policy: DriftPolicy, source: str
) -> tuple[Window, Window | None]:
    """What this very version recommended, newest, and before that where the log holds it.

    Another version's scores and slates would be another distribution.

    Raises:
        MissingArtifact: there is no such log, or no such file.
    """
    logged, before = log_windows(workspace, version, policy) if source != WINDOW else (None, None)
    if source == LOG and logged is None:
        raise MissingArtifact(f"the request log holds no answer of version {version}: run `make serve` first")
    enough = logged is not None and logged.size.requests >= policy.minimum_requests
    if logged is not None and (source == LOG or enough):
        return logged, before
    return read_window(_required(workspace.reports / f"current-{version}.parquet", "make evaluate"), policy), None


def judge_windows(
    reference: Window,
    current: Window,
    policy: DriftPolicy,
    *,
    version: str,
    folder: Path,
    now: datetime,
    embeddings: Embeddings | None = None,
    previous: Window | None = None,
) -> Mapping[str, Any]:
    """Compare two windows, with `previous` if it is there: the one before the current one.

    Writes drift.html, drift.evidently.json, drift.prom and drift.json into `folder`.
    """
    judge = Judge(reference, policy, embeddings)
    judged = judge_newest(judge, current, previous, policy)
    snapshot = evidently_snapshot(judge, current, judged.columns, policy)
    report = _report(judge, judged, current, policy, distances_of(snapshot)) | {
        "champion": version,
        "version": version,
        "made_at": now.isoformat(),
        "previous_rows": previous.size.rows if previous else 0,
        "html": HTML if snapshot else None,
        "evidently": JSON if snapshot else None,
    }
    write_report(snapshot, folder, heading=heading(report))
    write_exposition(report, folder)
    write_json(folder / REPORT, report)
    return report


def heading(report: Mapping[str, Any]) -> tuple[str, ...]:
    """The lines that open the page."""
    sizes = (
        f"The {side} window: {report[f'{side}_rows']:,} rows of {report[f'{side}_requests']:,} requests, "
        f"{report[f'{side}_users']:.0f} effective users; {report[f'{side}_sampled_rows']:,} rows judged."
        for side in ("reference", "current")
    )
    policy = report["policy"]
    draws = f"Evidently draws at most {policy['evidently_rows']:,} rows of each, seed {policy['seed']}."
    colours = "Its colours follow the distance alone; the verdict follows the shift of the mean as well."
    opening = f"Champion: version {report['version']}. Verdict: {report['verdict']}. Source: {report['source']}."
    return (opening, *report["reasons"], *sizes, f"{draws} {colours}")


def _report(
    judge: Judge, judged: Judgement, current: Window, policy: DriftPolicy, evidently: Mapping[str, float]
) -> dict[str, Any]:
    columns = [
        asdict(c) | {"drifted": c.drifted, "excess": c.excess, "evidently": evidently.get(c.column)}
        for c in judged.columns
    ]
    return {
        "verdict": judged.assessment.verdict.value,
        "reasons": list(judged.assessment.reasons),
        "columns": columns,
        "policy": policy.model_dump(mode="json") | {"constant_by_design": sorted(policy.constant_by_design)},
        "source": current.source,
        "slates": _slates(judge, current, policy),
        **{
            key: value
            for side, window in zip(judged.sides, (judge.reference, current), strict=True)
            for key, value in _size(side.name, window, side.users).items()
        },
    }


def _size(name: str, window: Window, users: float) -> Mapping[str, float]:
    return {
        f"{name}_rows": window.size.rows,
        f"{name}_requests": window.size.requests,
        f"{name}_sampled_rows": window.sample.num_rows,
        f"{name}_users": users,
    }


def _slates(judge: Judge, current: Window, policy: DriftPolicy) -> Mapping[str, float | None]:
    """Distinct items in equally many slates of both windows: no mean over rows, so it is told and not judged."""
    after, _ = rows_of(current, policy, judge.ready.basis)
    both = {"reference": judge.ready.rows, "current": after}
    requests = min(len(set(rows.request.tolist())) for rows in both.values())
    return {f"{name}_coverage": coverage(rows, requests, seed=policy.seed) for name, rows in both.items()}


def _embeddings(bundle: Path) -> Embeddings:
    from training.bundle import load_bundle

    loaded = load_bundle(bundle)
    return Embeddings.of(loaded.encoder.item_ids.labels, loaded.index.vectors)


def _required(path: Path, made_by: str) -> Path:
    if not path.exists():
        raise MissingArtifact(f"{path.name} is not there: run `{made_by}` first (looked in {path.parent})")
    return path

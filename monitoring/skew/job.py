"""The skew job: the request log of one version against point-in-time retrieval; one verdict, two files."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace, write_json
from feature_repo.dataset.request_log import read_request_log, request_log_files
from feature_repo.dataset.split import from_microseconds
from feature_repo.store.coverage import read_coverage
from feature_repo.store.open import open_store, quiet_feast
from monitoring.skew.measure import Measured, measure
from monitoring.skew.page import PAGE, page_of
from monitoring.skew.people import people_of
from monitoring.skew.report import report_of
from monitoring.skew.retrieved import Retrieval, histories
from monitoring.skew.served import READ, Opened, open_served, type_findings
from monitoring.skew.settings import SkewPolicy
from monitoring.skew.state import FOREVER
from training.encoder import Encoder

REPORT = "skew.json"
NOTHING: Mapping[str, int] = {}


def check_skew(workspace: Workspace, policy: SkewPolicy, *, version: str, now: datetime) -> Mapping[str, Any]:
    """Judge the requests that `version`, a number or an alias, has served; writes skew.json and skew.html."""
    from training.registry import download_bundle, version_of_alias

    number = version if version.isdigit() else version_of_alias(workspace, version)
    if number is None:
        raise MissingArtifact(f"no version is {version}, so nothing that it served can be judged: run `make train`")
    return judge_log(workspace, download_bundle(workspace, number), policy, version=number, now=now)


def judge_log(
    workspace: Workspace, bundle: Path, policy: SkewPolicy, *, version: str, now: datetime
) -> Mapping[str, Any]:
    """Judge what the version in the folder `bundle` served."""
    opened, left_out, measured, findings = None, NOTHING, None, type_findings(request_log_files(workspace))
    covered_us = _covered_us(workspace)
    if not findings:
        opened, left_out, measured = _measured(workspace, bundle, policy, version=version, covered_us=covered_us)
        findings = opened.findings
    report = report_of(
        opened,
        measured,
        policy,
        left_out=left_out,
        findings=findings,
        version=version,
        now=now,
        covered=from_microseconds(covered_us) if covered_us < FOREVER else None,
    )
    write_json(workspace.reports / REPORT, report)
    _write_whole(workspace.reports / PAGE, page_of(report))
    return report


def _measured(
    workspace: Workspace, bundle: Path, policy: SkewPolicy, *, version: str, covered_us: int
) -> tuple[Opened, Mapping[str, int], Measured | None]:
    """The log of the version, who of it cannot be compared for the users' sake, and what the rest differs in."""
    from training.bundle import read_manifest

    quiet_feast()
    manifest = read_manifest(bundle)
    names = manifest.ranker_features
    log = read_request_log(workspace, READ)
    opened = open_served(log, version=version, feature_names=names, newest=policy.requests)
    if not len(opened.served):
        return opened, NOTHING, None
    people = people_of(workspace, opened.served)
    served, user_ids = opened.served.of(np.flatnonzero(people.comparable)), people.user_ids[people.comparable]
    if not len(served):
        return opened, people.left_out, None
    encoder = Encoder.from_json(json.loads((bundle / "encoder.json").read_text(encoding="utf-8")))
    users = histories(workspace, "user_id", user_ids.tolist())
    items = histories(workspace, "item_id", served.item_ids.tolist())
    retrieval = Retrieval(open_store(workspace), encoder, manifest.retrievers)
    measured = measure(served, user_ids, retrieval, names, policy, users=users, items=items, covered_us=covered_us)
    return opened, people.left_out, measured


def _covered_us(workspace: Workspace) -> int:
    """Before when the stores say they hold every event; without end where nothing is on record, so that all is due."""
    try:
        return read_coverage(workspace).until_us
    except MissingArtifact:
        return FOREVER


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)

"""A person's decision on an experiment, put on record beside what was seen when it was made."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from feature_repo.core.errors import SettingsRefused
from feature_repo.core.workspace import Workspace, read_json, write_json
from monitoring.experiments.page import page_of

Choice = Literal["ship", "stop", "go on"]


def report_path(workspace: Workspace, name: str) -> Path:
    return workspace.reports / f"experiment-{name}.json"


def write_report(workspace: Workspace, report: Mapping[str, Any]) -> Path:
    """Write the JSON and the page; a decision that is on record stays. Returns the page's path."""
    path = report_path(workspace, str(report["name"]))
    if path.exists() and report["decision"] is None:
        report = {**report, "decision": json.loads(path.read_text(encoding="utf-8")).get("decision")}
    write_json(path, report)
    page = path.with_suffix(".html")
    page.write_text(page_of(report), encoding="utf-8")
    return page


def decide(report: Mapping[str, Any], *, choice: Choice, by: str, because: str, now: datetime) -> dict[str, Any]:
    """The report with a decision.

    Raises:
        SettingsRefused: nobody stands for it, it has no reason, or it ships what did not pass without saying why.
    """
    if not by.strip() or not because.strip():
        raise SettingsRefused(f"a decision names a person and a reason; got {by!r} and {because!r}")
    against = choice == "ship" and report["verdict"] != "PASS"
    if against and "against the verdict" not in because:
        raise SettingsRefused(
            f"shipping needs the verdict PASS; got {report['verdict']}: to ship all the same, the reason has to hold "
            "the words 'against the verdict'"
        )
    decision = {
        "choice": choice,
        "by": by,
        "because": because,
        "at": now.isoformat(),
        "verdict": report["verdict"],
        "seen_at": report["made_at"],
    }
    return {**report, "decision": decision}


def record(
    workspace: Workspace, name: str, *, choice: Choice, by: str, because: str, now: datetime
) -> Mapping[str, Any]:
    """Record a decision in the report, and as a line of `<store>/audit/experiments.jsonl`, only ever appended to.

    Raises:
        MissingArtifact: the experiment was not analysed yet.
        SettingsRefused: as `decide`.
    """
    made_by = "python -m monitoring experiment analyse FILE"
    report = decide(
        read_json(report_path(workspace, name), made_by=made_by), choice=choice, by=by, because=because, now=now
    )
    audit = workspace.store / "audit" / "experiments.jsonl"
    audit.parent.mkdir(parents=True, exist_ok=True)
    with audit.open("a", encoding="utf-8") as log:
        log.write(json.dumps({"experiment": name, **report["decision"]}, ensure_ascii=False) + "\n")
    write_report(workspace, report)
    return report

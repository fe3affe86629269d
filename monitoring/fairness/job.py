"""`python -m monitoring fairness`: the window that `make evaluate` replayed, to fairness.json and fairness.html."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from feature_repo.core.errors import MissingArtifact, NotMeasurable, SettingsRefused
from feature_repo.core.workspace import Workspace, read_json, write_json
from feature_repo.dataset.split import to_microseconds
from monitoring.fairness.assess import assess_fairness, empty_report
from monitoring.fairness.page import render
from monitoring.fairness.policy import FairnessPolicy
from monitoring.fairness.window import read_fairness_window

REPORT, PAGE = "fairness.json", "fairness.html"


def check_fairness(workspace: Workspace, policy: FairnessPolicy, *, now: datetime) -> Mapping[str, Any]:
    """Judge the pair that was evaluated last; writes both files and attaches them to the newer version's run."""
    report = fairness_of(workspace, policy, now=now)
    write_json(workspace.reports / REPORT, report)
    page = workspace.reports / PAGE
    partial = page.with_name(f".{PAGE}.partial")
    partial.write_text(render(report), encoding="utf-8")
    partial.replace(page)
    return report


def attach(workspace: Workspace, report: Mapping[str, Any]) -> None:
    """Log both files to the run that made the version in question."""
    from training.registry import log_report

    files = (workspace.reports / name for name in (REPORT, PAGE))
    log_report(workspace, str(report["challenger"] or report["champion"]), *files)


def read_policy(path: Path | None) -> FairnessPolicy:
    """The policy of a YAML file, the defaults where there is none.

    Raises:
        SettingsRefused: the file is not there, or breaks a rule.
    """
    if path is None:
        return FairnessPolicy()
    try:
        return FairnessPolicy.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except (OSError, yaml.YAMLError) as error:
        raise SettingsRefused(f"a fairness policy must be a YAML file that can be read; got {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "policy"
        raise SettingsRefused(f"{path.name}: {place}: {first['msg']}; got {first['input']!r}") from error


def fairness_of(workspace: Workspace, policy: FairnessPolicy, *, now: datetime) -> Mapping[str, Any]:
    """The report, INCONCLUSIVE with its reason where the window cannot be judged.

    Raises:
        MissingArtifact: nothing was evaluated, or what was is about other data than the workspace holds now.
    """
    evaluation = read_json(workspace.reports / "evaluation.json", made_by="make evaluate")
    data = read_json(workspace.reports / "data.json", made_by="make data")
    if evaluation.get("data_fingerprint") != data["fingerprint"]:
        raise MissingArtifact("evaluation.json is about other data than there is now: run `make evaluate` first")
    champion, challenger = evaluation["champion"], evaluation["challenger"]
    versions = [version for version in (champion, challenger) if version]
    start, end = (_moment(evaluation["window"][edge]) for edge in ("start", "end"))
    try:
        window = read_fairness_window(
            workspace, versions, policy, start_us=to_microseconds(start), end_us=to_microseconds(end)
        )
        found = assess_fairness(window, policy)
    except NotMeasurable as error:
        found = empty_report(str(error), policy)
    return {
        "champion": champion,
        "challenger": challenger,
        "made_at": now.isoformat(),
        "data_fingerprint": data["fingerprint"],
        "window": {"start": start.isoformat(), "end": end.isoformat()},
        **found,
    }


def _moment(text: str) -> datetime:
    parsed = datetime.fromisoformat(text)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)

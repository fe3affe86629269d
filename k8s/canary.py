"""`python -m k8s canary`: release the challenger beside the champion on replayed events, and let the evidence
end it.
"""

import itertools
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from feature_repo.core.errors import RecommenderError
from feature_repo.core.workspace import Workspace, read_json, write_json
from k8s.conduct import Outcome, conduct
from k8s.fault import Fault
from k8s.loopback import loopback_client
from k8s.observe import Observer
from k8s.page import page_of
from k8s.policy import Policy
from k8s.release import Serve, Stage, Versions, serving_command, staged
from k8s.replay import PastEvent, Replay, ask, held_out_events
from k8s.report import report_of
from k8s.rollout import State
from k8s.screen import Screen, on_screen

REPORT = "canary.json"
# Requests under way at a time: enough to overlap, too few to make two cores queue.
CALLERS = 2
# Requests sent to each pod itself before the first window, so that neither is judged on its first, cold
# answers.
WARM_UP = 20


class ReleaseError(RecommenderError):
    """There is nothing that could be released."""


def versions_of(aliases: Mapping[str, str]) -> Versions:
    """Resolve the aliases once; from here on only numbers travel."""
    for alias in ("champion", "challenger"):
        if alias not in aliases:
            held = ", ".join(sorted(aliases)) or "none"
            raise ReleaseError(f"a canary needs a version with the alias {alias}; aliases now: {held}")
    if aliases["champion"] == aliases["challenger"]:
        raise ReleaseError(f"a canary needs two versions; champion and challenger are both {aliases['champion']}")
    return Versions(champion=str(aliases["champion"]), challenger=str(aliases["challenger"]))


def fetch_versions(workspace: Workspace, *, champion: str | None, challenger: str | None) -> Versions:
    """Read the aliases from the registry, where no version is named, and bring both bundles."""
    # MLflow takes seconds to import: the refusals that need no registry come first.
    from training.registry import aliases, download_bundle

    named = {"champion": champion, "challenger": challenger}
    held = aliases(workspace) | {alias: version for alias, version in named.items() if version}
    versions = versions_of(held)
    for version in (versions.champion, versions.challenger):
        download_bundle(workspace, version)
    return versions


def promoted_before(workspace: Workspace) -> dict[str, Any] | None:
    """The report of a rollout of these very versions that ended PROMOTED: it need not be run again."""
    path = workspace.reports / REPORT
    if not path.exists():
        return None
    from training.registry import aliases, compared_pair

    report = dict(read_json(path, made_by="make canary"))
    same = (report["champion"], report["challenger"]) == compared_pair(aliases(workspace))
    return report if same and report["end_state"] == State.PROMOTED else None


def run_canary(
    workspace: Workspace,
    versions: Versions,
    policy: Policy,
    *,
    fault: Fault = Fault.NONE,
    serve: Serve = serving_command,
) -> dict[str, Any]:
    """Run a rollout to its end and write canary.json and canary.html; the report comes back too."""
    events = held_out_events(workspace)
    with (
        on_screen() as screen,
        staged(versions, policy, folder=workspace.root, fault=fault, serve=serve) as stage,
    ):
        outcome = _rollout(stage, policy, events, screen)
    report = report_of(versions, outcome)
    write_json(workspace.reports / REPORT, report)
    write_page(workspace, report)
    return report


def _rollout(stage: Stage, policy: Policy, events: list[PastEvent], screen: Screen) -> Outcome:
    with ThreadPoolExecutor(CALLERS) as pool, loopback_client() as client:
        screen.say("warming both versions up")
        for event, pod in itertools.product(events[:WARM_UP], (stage.pods.stable, stage.pods.canary)):
            ask(client, pod, event)
        replay = Replay(events[WARM_UP:], client=client, pool=pool)
        looks = Observer(stage.pods, replay=replay, client=client, policy=policy, sent=screen.sent)
        screen.say("replaying held-out events")
        return conduct(stage.readiness, policy, plane=stage.plane, looks=looks, tell=screen.looked)


def write_page(workspace: Workspace, report: dict[str, Any]) -> None:
    """Write canary.html so that a reader sees the old page or the new one."""
    page = workspace.reports / "canary.html"
    partial = page.with_name(f".{page.name}.{os.getpid()}.partial")
    partial.write_text(page_of(report), encoding="utf-8")
    partial.replace(page)

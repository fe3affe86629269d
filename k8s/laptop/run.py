"""`python -m k8s canary`: release the challenger beside the champion, and let the evidence end it."""

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from feature_repo.core.workspace import Workspace, read_json, write_json
from k8s.evidence.log_pairs import LogPairs
from k8s.evidence.log_quality import LogQuality
from k8s.evidence.looks import EvidenceLooks
from k8s.evidence.pod_metrics import PodMetrics
from k8s.laptop.callers import Callers, Tally, ask
from k8s.laptop.choices import Fault, Users
from k8s.laptop.click_file import CLICK, ClickFiles
from k8s.laptop.conduct import LaptopLooks, conduct
from k8s.laptop.page import page_of
from k8s.laptop.records import Records
from k8s.laptop.report import canary_report, shadow_report
from k8s.laptop.screen import Screen, on_screen
from k8s.laptop.stage import Stage, staged
from k8s.laptop.versions import ReleaseError, Versions
from k8s.laptop.visits import Visit, held_out_visits, simulated_visits
from k8s.loopback import loopback_client
from k8s.policy.rules import RolloutPolicy
from k8s.release import Serve, serving_command
from k8s.rollout.command import local_store
from k8s.rollout.rollout import Rollout
from k8s.rollout.states import State

REPORT, SHADOW = "canary.json", "shadow.json"
# What a rehearsal writes in place of canary.json and canary.html, which a promotion is decided on.
REHEARSAL = "rehearsal.json"
# Requests under way at a time: enough to overlap, too few to make two cores queue.
CALLERS = 2
# Requests sent to each pod itself before the first window, so that neither is judged on its first, cold answers.
WARM_UP = 20
# From a slate to its clicks, and from an answer to its row in the log, on a laptop.
ATTRIBUTION, SETTLED = timedelta(seconds=1), timedelta(seconds=1)
SEED = 7


def folder_of(workspace: Workspace) -> Path:
    return workspace.root / "rollout"


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
    policy: RolloutPolicy,
    *,
    fault: Fault = Fault.NONE,
    users: Users = Users.SIMULATED,
    serve: Serve = serving_command,
) -> dict[str, Any]:
    """Run a rollout to its end, or on from where a kill left it; write its reports. The report comes back too.

    With a fault, or of versions that are decided on, it is a rehearsal: its report is rehearsal.json, and what a
    promotion reads stays as it was.
    """
    if fault is Fault.WORSE and users is Users.REPLAY:
        raise ReleaseError("FAULT=worse needs people who click: USERS=simulated; got USERS=replay")
    visits = held_out_visits(workspace)
    asked = policy if users is Users.SIMULATED else _operations_only(policy)
    rollout = begun(workspace, versions, asked, fault)
    folder = folder_of(workspace)
    env = {"SERVE_ROLLOUT": rollout.name, "SERVE_LOG_FLUSH_SECONDS": "0.3"}
    records = Records(folder / "records.json", rollout)
    with (
        on_screen() as screen,
        staged(rollout.champion, rollout.challenger, folder=workspace.root, env=env, fault=fault, serve=serve) as stage,
    ):
        end = _rolled(
            workspace, stage, rollout, records, _asking(workspace, visits, users), screen, lost=fault is Fault.WORSE
        )
    return _reported(workspace, end, records, users, rehearsal=_rehearsal(versions, fault))


def _rehearsal(versions: Versions, fault: Fault) -> str | None:
    """Why a rollout is a rehearsal; None where it is the release itself."""
    if fault is not Fault.NONE:
        return f"FAULT={fault}: {fault.told}"
    return f"version {versions.challenger} is champion already" if versions.decided else None


def _operations_only(policy: RolloutPolicy) -> RolloutPolicy:
    return policy.model_copy(update={"canary": policy.canary.model_copy(update={"clicks": None, "conversions": None})})


def begun(workspace: Workspace, versions: Versions, policy: RolloutPolicy, fault: Fault) -> Rollout:
    """The rollout that was interrupted, if it is of these versions, this policy and fault; else a new one."""
    store = local_store(workspace)
    held = store.load()
    pair = f"{versions.champion}-{versions.challenger}"
    label = pair if fault is Fault.NONE else f"{pair}-{fault}"
    if held and not held[0].ended:
        before = held[0]
        if (before.name.rpartition("-")[0], before.policy) == (label, policy):
            return before
    now = datetime.now(UTC)
    rollout = Rollout.begin(f"{label}-{now:%Y%m%d%H%M%S}", versions.champion, versions.challenger, policy, now=now)
    store.save(rollout, held[1] if held else None)
    return rollout


def _asking(workspace: Workspace, visits: list[Visit], users: Users) -> Callable[[], Iterator[Visit]]:
    if users is Users.REPLAY:
        return lambda: iter(visits[WARM_UP:])
    from monitoring.audience.audience import Audience

    audience, moments = Audience.of(workspace, SEED), [visit.moment for visit in visits]
    return lambda: simulated_visits(audience, moments, seed=SEED)


def _rolled(
    workspace: Workspace,
    stage: Stage,
    rollout: Rollout,
    records: Records,
    asking: Callable[[], Iterator[Visit]],
    screen: Screen,
    *,
    lost: bool,
) -> Rollout:
    clicks = ClickFiles(folder_of(workspace) / "clicks" / rollout.name)
    with ThreadPoolExecutor(CALLERS) as pool, loopback_client() as client:
        callers = Callers(asking(), client=client, pool=pool, clicks=clicks, worse_canary=lost)
        quality = LogQuality(workspace, clicks.files, window=ATTRIBUTION, clicks=(CLICK,))
        pairs = LogPairs(workspace, settled=SETTLED)
        looks = EvidenceLooks(
            stage.pods,
            PodMetrics(client),
            quality=quality if rollout.policy.canary.clicks else None,
            pairs=pairs,
        )

        def send(seconds: float, state: State) -> Tally:
            screen.say("sending requests")
            return callers.send(stage.plane.url, seconds=seconds, mirrored=state is State.SHADOW, tell=screen.sent)

        def warm_up(urls: Sequence[str]) -> None:
            screen.say("warming both versions up")
            for visit, url in itertools.product(itertools.islice(asking(), WARM_UP), urls):
                ask(client, url, visit)

        return conduct(
            local_store(workspace),
            plane=stage.plane,
            looks=LaptopLooks(looks, stage.pods, callers, warm_up=warm_up),
            send=send,
            records=records,
            clock=lambda: datetime.now(UTC),
            tell=screen.looked,
        )


def _reported(
    workspace: Workspace, end: Rollout, records: Records, users: Users, *, rehearsal: str | None
) -> dict[str, Any]:
    now = datetime.now(UTC)
    report = canary_report(end, records, users=users.value, now=now, rehearsal=rehearsal)
    shadow = shadow_report(end, records, now=now)
    if shadow and not rehearsal:
        write_json(workspace.reports / SHADOW, shadow)
    path = report_path(workspace, report)
    write_json(path, report)
    write_page(path.with_suffix(".html"), report, shadow)
    return report


def report_path(workspace: Workspace, report: Mapping[str, Any]) -> Path:
    """Where a rollout's report is; its page has the same name."""
    return workspace.reports / (REHEARSAL if report.get("rehearsal") else REPORT)


def write_page(page: Path, report: Mapping[str, Any], shadow: dict[str, Any] | None) -> None:
    """Write a page so that a reader sees the old one or the new one."""
    partial = page.with_name(f".{page.name}.{os.getpid()}.partial")
    partial.write_text(page_of(report, shadow), encoding="utf-8")
    partial.replace(page)

"""`make promote`: gather the evidence, decide by the policy, move the aliases only on PASS. `make rollback` undoes it.

Both hold the registry's lock from their first look to their last write, and both first end what another one left open.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace, write_json
from training import registry
from training.bundle import read_manifest
from training.deployer import Deployer
from training.promotion.decide import Decision, decide
from training.promotion.evidence import Absent, Evidence
from training.promotion.filed import Pair, read_report
from training.promotion.gather import REPORTS, Found, Trained, gather
from training.promotion.policy import PromotionPolicy
from training.registry import Kind, Move, Mover, Phase
from training.verdict import Verdict

EVALUATION, CANARY, PROMOTION = "evaluation.json", "canary.json", "promotion.json"
VERDICT_TAG, DECISION_TAG = "promotion_verdict", "promotion_decision"


@dataclass(frozen=True)
class Promotion:
    """How `promote` ended. `report` is what promotion.json says of this challenger; None where none was promoted."""

    report: Mapping[str, Any] | None
    decided: bool

    @property
    def moved(self) -> bool:
        return self.report is not None and bool(self.report["moved"])


def promote(workspace: Workspace, policy: PromotionPolicy, *, deployer: Deployer | None, now: datetime) -> Promotion:
    """Decide on the challenger and carry it out. Done again, it finds it done, and sees that the champion is served.

    Raises:
        MissingArtifact: there is no challenger, and never was one.
        MoveRefused: another mover holds the lock, or took it over.
        DeployFailed: nothing comes up, neither the new version nor the old one.
    """
    with registry.alias_lock(workspace) as held:
        mover = Mover(workspace, held, deployer)
        resumed = mover.resume()
        if resumed is not None and resumed.kind is Kind.PROMOTION:
            return Promotion(_ended(workspace, held, resumed), decided=True)
        aliases = registry.aliases(workspace)
        champion, challenger = aliases.get(registry.CHAMPION), aliases.get(registry.CHALLENGER)
        if champion is not None and challenger is None and registry.PREVIOUS in aliases:
            mover.serve(champion)
            return Promotion(_standing(workspace, held, champion), decided=False)
        if champion is None or challenger is None:
            raise MissingArtifact("there is no challenger to promote: run `make train` to train one")
        pair = Pair(champion, challenger)
        decision = decide(evidence_of(workspace, pair, policy, now=now), policy)
        report = _record(workspace, held, pair, decision, policy, now=now)
        if decision.verdict is not Verdict.PASS:
            return Promotion(_written(workspace, {**report, "moved": False}), decided=True)
        reason = {"decided_at": now.isoformat(), "verdict": str(decision.verdict)}
        move = mover.move(Kind.PROMOTION, old=champion, new=challenger, now=now, reason=reason)
        return Promotion(_ended(workspace, held, move), decided=True)


def rollback(workspace: Workspace, *, deployer: Deployer | None, now: datetime) -> Move:
    """Undo the last move, and serve what was champion before; returns the move that did. A second call finds it done.

    A promotion that is still open is given up instead.

    Raises:
        MissingArtifact: there is no move to undo.
        MoveRefused: another mover holds the lock, or took it over.
        DeployFailed: nothing comes up, neither the previous version nor the champion.
    """
    with registry.alias_lock(workspace) as held:
        mover = Mover(workspace, held, deployer)
        resumed = mover.resume(give_up="rolled back by command")
        if resumed is not None and (resumed.kind is Kind.ROLLBACK or resumed.phase is Phase.UNDONE):
            return resumed
        aliases, last = registry.aliases(workspace), registry.last_move(workspace)
        champion, previous = aliases.get(registry.CHAMPION), aliases.get(registry.PREVIOUS)
        if champion is None or previous is None or champion == previous:
            raise MissingArtifact("there is no previous champion to go back to: nothing was promoted")
        if last is not None and last.kind is Kind.ROLLBACK and last.new == champion:
            # A second call must not undo the first: what was rolled back would be served again.
            mover.serve(champion)
            return last
        reason = {"verdict": "rolled back by command", "at": now.isoformat()}
        return mover.move(Kind.ROLLBACK, old=champion, new=previous, now=now, reason=reason)


def evidence_of(workspace: Workspace, pair: Pair, policy: PromotionPolicy, *, now: datetime) -> Evidence:
    """Read what there is: the reports, both manifests, the fingerprint of the present data."""
    reports = {name: read_report(workspace.reports, name, made_by=made_by) for name, made_by in REPORTS.items()}
    data = read_report(workspace.reports, "data", made_by="make data")
    fingerprint = None if isinstance(data, Absent) else data.content.get("fingerprint")
    found = Found(reports, _trained(workspace, pair.champion), _trained(workspace, pair.challenger), fingerprint)
    return gather(found, pair, now=now, max_age_hours=policy.max_report_age)


def _trained(workspace: Workspace, version: str) -> Trained:
    manifest = read_manifest(registry.download_bundle(workspace, version))
    return Trained(manifest.window_end, manifest.metrics)


def _record(
    workspace: Workspace,
    held: registry.Held,
    pair: Pair,
    decision: Decision,
    policy: PromotionPolicy,
    *,
    now: datetime,
) -> dict[str, Any]:
    """The decision with its evidence, as the challenger's tags and a line of the audit log, before anything moves."""
    report = {
        "verdict": str(decision.verdict),
        "reasons": list(decision.reasons),
        "gates": [asdict(gate) for gate in decision.gates],
        "policy": policy.model_dump(mode="json"),
        "decided_at": now.isoformat(),
        "made_at": now.isoformat(),
        "challenger": pair.challenger,
        "champion": pair.champion,
        "previous": None,
    }
    held.check()
    tags = {f"gate_{gate.name}": f"{gate.verdict}" for gate in decision.gates}
    for name, value in {**tags, VERDICT_TAG: report["verdict"], DECISION_TAG: json.dumps(report)}.items():
        held.client.set_model_version_tag(registry.MODEL, pair.challenger, name, value)
    registry.audit(workspace, {"event": "promotion decided", "version": pair.challenger, "decision": report})
    return report


def _standing(workspace: Workspace, held: registry.Held, champion: str) -> dict[str, Any] | None:
    """The report of the promotion that made this champion, where that was the last move."""
    last = registry.last_move(workspace)
    made_it = last is not None and (last.kind, last.new) == (Kind.PROMOTION, champion)
    return _ended(workspace, held, last) if last is not None and made_it else None


def _ended(workspace: Workspace, held: registry.Held, move: Move) -> dict[str, Any]:
    """The report of a decision whose move ended: as it was recorded, with the aliases as they are now."""
    tags = held.client.get_model_version(registry.MODEL, move.new).tags
    undecided = {"verdict": str(Verdict.PASS), "reasons": [], "challenger": move.new, "champion": move.old}
    report = {**undecided, "previous": None, **json.loads(tags.get(DECISION_TAG, "{}"))}
    if move.phase is Phase.DONE:
        return _written(workspace, {**report, "champion": move.new, "previous": move.old, "moved": True})
    reasons = [*report["reasons"], f"deployment: {move.why}"]
    return _written(workspace, {**report, "verdict": str(Verdict.FAIL), "reasons": reasons, "moved": False})


def _written(workspace: Workspace, report: Mapping[str, Any]) -> dict[str, Any]:
    write_json(workspace.reports / PROMOTION, report)
    return dict(report)

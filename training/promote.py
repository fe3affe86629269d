"""`make promote`: gather the evidence, decide by the policy, move the alias only on PASS. `make rollback` undoes it."""

import json
from collections.abc import Mapping
from typing import Any

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace, write_json
from training import registry
from training.evaluation.bootstrap import Interval
from training.promotion import Decision, Evidence, PromotionPolicy, decide
from training.verdict import Verdict

EVALUATION, CANARY, PROMOTION = "evaluation.json", "canary.json", "promotion.json"


def promote(workspace: Workspace, policy: PromotionPolicy) -> dict[str, Any]:
    """Decide on the challenger; returns the report that is also in promotion.json."""
    now = registry.aliases(workspace)
    champion, challenger = now.get(registry.CHAMPION), now.get(registry.CHALLENGER)
    if champion is None or challenger is None:
        raise MissingArtifact("there is no challenger to promote: run `make train` to train one")
    evidence = gather(_reports(workspace), champion=champion, challenger=challenger)
    decision = decide(evidence, policy)
    moved = decision.verdict is Verdict.PASS
    report = _report(decision, champion=challenger if moved else champion, previous=champion if moved else None)
    if moved:
        registry.move_champion(workspace, to=challenger, expected=champion, reason=report)
    else:
        registry.audit(workspace, {"event": "promotion refused", "version": challenger, "reason": report})
    write_json(workspace.reports / PROMOTION, {**report, "moved": moved, "challenger": challenger})
    return {**report, "moved": moved}


def rollback(workspace: Workspace) -> tuple[str, str]:
    """Make the previous version champion again; returns (champion so far, champion now)."""
    now = registry.aliases(workspace)
    champion, previous = now.get(registry.CHAMPION), now.get(registry.PREVIOUS)
    if champion is None or previous is None or champion == previous:
        raise MissingArtifact("there is no previous champion to go back to: nothing was promoted")
    registry.move_champion(workspace, to=previous, expected=champion, reason={"verdict": "rolled back by command"})
    return champion, previous


def gather(reports: Mapping[str, Mapping[str, Any]], *, champion: str, challenger: str) -> Evidence:
    """Evidence from the reports that speak of exactly these two versions."""
    evaluation, canary = (
        report if (report.get("champion"), report.get("challenger")) == (champion, challenger) else {}
        for report in (reports.get("evaluation", {}), reports.get("canary", {}))
    )
    rows = {
        (row["version"], row["metric"]): row["value"]
        for row in evaluation.get("metrics", [])
        if row["model"] == "two-stage"
    }
    compared = evaluation.get("comparison")
    return Evidence(
        champion_ndcg=rows.get((champion, "ndcg@10")),
        difference=Interval(compared["value"], compared["low"], compared["high"]) if compared else None,
        champion_coverage=rows.get((champion, "coverage")),
        challenger_coverage=rows.get((challenger, "coverage")),
        canary_end_state=canary.get("end_state"),
        over_retriever={
            row["protocol"]: Interval(row["value"], row["low"], row["high"])
            for row in evaluation.get("over_retrievers", [])
            if row["version"] == challenger
        }
        or None,
    )


def _reports(workspace: Workspace) -> dict[str, Mapping[str, Any]]:
    paths = {"evaluation": workspace.reports / EVALUATION, "canary": workspace.reports / CANARY}
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items() if path.exists()}


def _report(decision: Decision, *, champion: str, previous: str | None) -> dict[str, Any]:
    return {
        "verdict": str(decision.verdict),
        "reasons": list(decision.reasons),
        "champion": champion,
        "previous": previous,
    }

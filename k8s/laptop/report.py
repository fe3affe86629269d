"""canary.json and shadow.json: what a rollout saw and decided, for people and for gates."""

from datetime import datetime
from typing import Any

from k8s.laptop.records import VERDICTS, Records
from k8s.rollout.rollout import Rollout
from k8s.rollout.states import State
from training.verdict import Verdict


def canary_report(
    rollout: Rollout, records: Records, *, users: str, now: datetime, rehearsal: str | None = None
) -> dict[str, Any]:
    """The whole rollout. `users` says who asked: "simulated" or "replay"; a replayed click is shown, never judged.

    `rehearsal` says why it is no evidence for a promotion; None where it is.
    """
    steps = records.steps(rollout, State.CANARY)
    return {
        **_about(rollout, now),
        "end_state": rollout.state.value,
        "verdict": VERDICTS.get(rollout.state, Verdict.INCONCLUSIVE).value,
        "reasons": list(rollout.reasons),
        "users": users,
        "rehearsal": rehearsal,
        "judged_on": "operations and clicks" if rollout.policy.canary.clicks else "operations",
        "sticky_share": next((step["quality"]["sticky_share"] for step in reversed(steps) if "quality" in step), None),
        "steps": steps,
        "history": [
            {"at": move.at.isoformat(), "event": move.event.value, "state": move.state.value, "reasons": move.reasons}
            for move in rollout.history
        ],
    }


def shadow_report(rollout: Rollout, records: Records, *, now: datetime) -> dict[str, Any] | None:
    """The shadow alone; None where the rollout had none."""
    steps = records.steps(rollout, State.SHADOW)
    return {**_about(rollout, now), **steps[-1]} if steps else None


def _about(rollout: Rollout, now: datetime) -> dict[str, Any]:
    return {
        "name": rollout.name,
        "attempt": rollout.attempt,
        "champion": rollout.champion,
        "challenger": rollout.challenger,
        "policy": rollout.policy.model_dump(mode="json"),
        "made_at": now.isoformat(),
    }

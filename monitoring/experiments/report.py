"""experiment-<name>.json: the decision record of an experiment, as plain data."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from monitoring.experiments.analysis import Analysis
from monitoring.experiments.declaration import Experiment


def report_of(experiment: Experiment, analysis: Analysis, *, now: datetime) -> dict[str, Any]:
    """Hypothesis, plan, what was seen and the verdict. `decision` stays null until a person records one."""
    adjusted = iter(analysis.discoveries)
    return {
        "name": experiment.name,
        "hypothesis": experiment.hypothesis,
        "verdict": analysis.verdict.value,
        "reasons": list(analysis.reasons),
        "made_at": now.isoformat(),
        "champion": _one(analysis.versions.get(experiment.control, ())),
        "challenger": _one(analysis.versions.get(experiment.treatments[0], ())),
        "declaration": experiment.model_dump(mode="json"),
        "plan": {"users": dict(analysis.plan.users), "effect": analysis.plan.effect},
        "seen": {
            "users": dict(analysis.users),
            "users_in_several_variants": analysis.crossed,
            "requests_whose_window_is_not_over": analysis.immature,
            "requests_logged_again": analysis.duplicated,
            "versions": {name: list(versions) for name, versions in analysis.versions.items()},
        },
        "comparisons": [
            {**asdict(c), "adjusted_p_value": next(adjusted) if c.role == "secondary" else None}
            for c in analysis.comparisons
        ],
        "decision": None,
    }


def _one(versions: tuple[str, ...]) -> str | None:
    """The version, where exactly one answered."""
    return versions[0] if len(versions) == 1 else None

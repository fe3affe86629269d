"""Plans and analyses of experiments on a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from monitoring.drift_table import verdict_lines
from monitoring.experiments.baseline import Baseline
from monitoring.experiments.declaration import Experiment
from monitoring.experiments.metrics import METRICS
from monitoring.experiments.plan import Plan


def plan_table(experiment: Experiment, plan: Plan) -> RenderableType:
    """Users a variant needs, and what they are needed for."""
    table = Table("variant", "share", "users needed", title=f"Plan of {experiment.name}", title_justify="left")
    for name, users in plan.users.items():
        table.add_row(name, f"{experiment.variants[name]:.0%}", f"{users:,}")
    primary = experiment.primary
    found = f"{primary.minimum_effect:.1%} of {primary.mean:g} ({plan.effect:.3g} {METRICS[primary.metric].words})"
    looks = "read once, at the end" if experiment.looks == "once" else "read at any time; here at the latest"
    return Group(
        table,
        Text(f"{plan.total:,} users find a change of {found} with a chance of {experiment.power:.0%}"),
        Text(f"and see one that is not there with a chance of {experiment.alpha:.0%}; {looks}"),
    )


def baseline_line(experiment: Experiment, found: Baseline) -> Text:
    """What the log says beside what was declared."""
    primary = experiment.primary
    return Text(
        f"the log before the start, {found.users:,} users of {experiment.control}: mean {found.mean:.4g}, standard "
        f"deviation {found.standard_deviation:.4g}; declared {primary.mean:.4g} and {primary.standard_deviation:.4g}"
    )


def analysis_table(report: Mapping[str, Any]) -> RenderableType:
    """Every comparison, then the verdict and its reasons; `report` is experiment-<name>.json."""
    table = Table(title=f"Experiment {report['name']}", title_justify="left")
    for heading in ("metric", "role", "control", "treatment", "lift", "interval", "p"):
        table.add_column(heading, justify="left" if heading in ("metric", "role") else "right")
    several = len({c["treatment"] for c in report["comparisons"]}) > 1
    for c in report["comparisons"]:
        p = c["p_value"] if c["adjusted_p_value"] is None else c["adjusted_p_value"]
        table.add_row(
            METRICS[c["metric"]].words + (f", {c['treatment']}" if several else ""),
            c["role"],
            f"{c['control_value']:.4g}",
            f"{c['treatment_value']:.4g}",
            f"{c['lift']:+.2%}",
            f"{c['lift_low']:+.2%} to {c['lift_high']:+.2%}",
            f"{p:.3g}",
        )
    users = ", ".join(f"{name} {count:,}" for name, count in report["seen"]["users"].items())
    shown: list[RenderableType] = [table] if report["comparisons"] else []
    return Group(*shown, Text(f"users: {users}"), *verdict_lines(report, of=f"Experiment {report['name']}"))

"""`python -m monitoring simulator-report`: how like the real log a simulated one is, and what feedback does."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace, write_json
from feature_repo.dataset.prepare import active_dataset
from monitoring.simulator.feedback import Loop, feedback_loop
from monitoring.simulator.like import fitted_to, sized_like
from monitoring.simulator.log import simulate
from monitoring.simulator.make import make_world
from monitoring.simulator.marginals import Marginals, distances, marginals
from monitoring.simulator.settings import SimulatorSettings

REAL, DEFAULT, FITTED = "real", "default settings", "fitted settings"
MOST_EVENTS = 100_000  # of a simulated log that is compared
EXPLORATION = 0.1  # places drawn at random, in the second way through the feedback loop
FILE = "simulator.json"
PAGE = "simulator.html"


@dataclass(frozen=True)
class Compared:
    """The real log and two simulated ones, by name, and how far each of these is from the real one."""

    dataset: str
    logs: Mapping[str, Marginals]
    settings: Mapping[str, SimulatorSettings]
    distances: Mapping[str, Mapping[str, float]]


def compare(workspace: Workspace, *, seed: int, on_stage: Callable[[str], None] = lambda _: None) -> Compared:
    """Simulate as many events as the workspace's log has, up to a limit, and compare the shapes.

    Raises:
        MissingArtifact: no data are prepared.
    """
    if not workspace.events.exists():
        raise MissingArtifact(f"{workspace.events} is not there: run `make data` first")
    on_stage("measuring the real log")
    real = marginals(pq.read_table(workspace.events, columns=["user_id", "item_id", "timestamp", "event_type"]))
    on_stage("fitting settings to it")
    settings = {
        DEFAULT: sized_like(real, most_events=MOST_EVENTS),
        FITTED: fitted_to(real, most_events=MOST_EVENTS, seed=seed),
    }
    logs = {REAL: real}
    for name, chosen in settings.items():
        on_stage(f"simulating with {name}")
        logs[name] = marginals(simulate(make_world(chosen, seed=seed), seed=seed).events)
    apart = {name: distances(real, logs[name]) for name in settings}
    return Compared(active_dataset(workspace).name, logs, settings, apart)


def loops_of(*, seed: int, rounds: int) -> tuple[Loop, Loop, Loop]:
    """The feedback loop of the default world: without exploration, with it, and with Thompson sampling."""
    world = make_world(SimulatorSettings(), seed=seed)
    return (
        feedback_loop(world, exploration=0.0, seed=seed, rounds=rounds),
        feedback_loop(world, exploration=EXPLORATION, seed=seed, rounds=rounds),
        feedback_loop(world, exploration=0.0, seed=seed, thompson=True, rounds=rounds),
    )


def write_report(
    workspace: Workspace,
    *,
    seed: int,
    now: datetime,
    rounds: int = 40,
    on_stage: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Write simulator.json and simulator.html; returns what the JSON holds."""
    compared = compare(workspace, seed=seed, on_stage=on_stage)
    on_stage("living through the feedback loop")
    loops = loops_of(seed=seed, rounds=rounds)
    report = {
        "dataset": compared.dataset,
        "made_at": now.isoformat(),
        "seed": seed,
        "logs": {name: _summary(log) for name, log in compared.logs.items()},
        "settings": {name: settings.model_dump(mode="json") for name, settings in compared.settings.items()},
        "distances": compared.distances,
        "feedback": [_told(loop) for loop in loops],
    }
    write_json(workspace.reports / FILE, report)
    _write_page(workspace.reports / PAGE, report, compared.logs, loops)
    return report


def _summary(log: Marginals) -> dict[str, float]:
    return {
        "events": log.events,
        "users": log.users,
        "items": log.items,
        "days": log.days,
        "events of a median user": float(np.median(log.per_user)),
        "events of a mean visit": float(log.visit_lengths.mean()),
        "median seconds between events": float(np.median(log.gaps)) if len(log.gaps) else 0.0,
        "Gini of items": log.gini,
        "repeat share": log.repeat_share,
    }


def _told(loop: Loop) -> dict[str, Any]:
    """A loop in JSON's own types; what a round did not have is null."""
    series = {
        name: [None if np.isnan(value) else float(value) for value in values]
        for name, values in asdict(loop).items()
        if name not in ("exploration", "thompson")
    }
    endings = {name: loop.ending(name) for name in series if name != "day"}
    return {
        "name": loop.name,
        "exploration": loop.exploration,
        "thompson": loop.thompson,
        "by_round": series,
        "last_quarter": endings,
    }


def _write_page(path: Path, report: Mapping[str, Any], logs: Mapping[str, Marginals], loops: Sequence[Loop]) -> None:
    from markupsafe import Markup

    from monitoring.pages import render_page
    from monitoring.simulator.plots import feedback_plots, marginal_plots

    page = render_page(
        "simulator.html",
        report=report,
        shapes=[(caption, Markup(plot)) for caption, plot in marginal_plots(logs)],
        feedback=[(caption, Markup(plot)) for caption, plot in feedback_plots(loops)],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")

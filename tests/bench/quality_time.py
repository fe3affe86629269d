"""Quality with time: MovieLens-100K on the global split and in replay, two stages beside every baseline.

SPLIT=validation trains on 70 % of the events and asks the next 10 %; SPLIT=test trains on 80 % and asks the rest. The
best baseline is always chosen on validation, by the mean of its first seed.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from bench.quality_data import split_of
from bench.quality_protocols import SEEDS
from bench.rows import Row, not_measured
from feature_repo.core.console import console
from feature_repo.core.errors import RecommenderError
from feature_repo.core.workspace import PROJECT, Workspace
from training.evaluation.bootstrap import Interval, mean_interval, user_weights
from training.evaluation.compare import MARGIN, difference
from training.evaluation.protocols import REPLAY
from training.evaluation.replayed import TWO_STAGE
from training.settings import TrainingSettings

Array = np.ndarray[Any, Any]

DATA = "MovieLens-100K"
GOAL = 1.1
CODE = ("training", "feature_repo")
# Our own retrievers are part of the two stages; the simple models that others publish are what has to be beaten.
OWN = ("two-tower", "next-item", "edlae")


class ContenderFailed(RecommenderError):
    """A training run of the benchmark ended without a result."""


@dataclass(frozen=True)
class Contest:
    """NDCG@10 [seeds, requests] by model under one protocol; user and segment of each request."""

    values: Mapping[str, Array]
    user: Array
    segment: Array
    weights: Array

    def mean(self, model: str, segment: str | None = None) -> Interval:
        kept = np.ones(len(self.user), bool) if segment is None else self.segment == segment
        _, numbers = np.unique(self.user[kept], return_inverse=True)
        weights = self.weights if segment is None else user_weights(int(numbers.max()) + 1, np.random.default_rng(0))
        return mean_interval(self.values[model].mean(axis=0)[kept], numbers, weights)

    def gap(self, model: str, other: str) -> Interval:
        return difference(self.values[model], self.values[other], self.user, self.weights)


def rows(workspace: Workspace) -> list[Row]:
    """Both protocols; what fails is a row that says so."""
    split = split_of(os.environ)
    root = workspace.root / "quality" / "movielens"
    try:
        _prepare(root)
        found = [_run(root, split, seed) for seed in SEEDS]
        chosen_on = found[0] if split == "validation" else _run(root, "validation", SEEDS[0])
    except ContenderFailed as error:
        return [not_measured("quality", f"{DATA} with time, {split}", str(error))]
    made = []
    for protocol in found[0]["protocols"]:
        contest = _contest([one["protocols"][protocol] for one in found])
        values = chosen_on["protocols"][protocol]["values"]
        means = {model: float(np.mean(of)) for model, of in values.items() if model != TWO_STAGE}
        baseline = max((m for m in means if m not in OWN), key=lambda m: means[m])
        best = max((m for m in found[0]["retrievers"]), key=lambda m: means[m])
        console.print(_table(f"{DATA}, {protocol}, {split}", contest, baseline))
        made += _rows(f"{DATA} {protocol} {split}", contest, baseline, best, certain=protocol == REPLAY)
    return made


def _rows(name: str, contest: Contest, baseline: str, best: str, *, certain: bool) -> list[Row]:
    """Figures of all models, then the floors and the goal."""
    base = contest.mean(baseline).value

    def row(what: str, value: float, beside: tuple[str, float], bound: str, *, holds: bool) -> Row:
        return Row("quality", f"{name}, ndcg@10: {what}", value, "", *beside, bound, bool(holds))

    def figure(model: str, segment: str | None = None) -> Row:
        found = contest.mean(model, segment)
        beside = (baseline, contest.mean(baseline, segment).value)
        what = model if segment is None else f"{model}, {segment} users"
        return row(what, found.value, beside, f"95 %: {found.low:.4f} to {found.high:.4f}", holds=True)

    made = [figure(model) for model in contest.values]
    made += [figure(TWO_STAGE, segment) for segment in np.unique(contest.segment)]
    found, gap = contest.mean(TWO_STAGE).value, contest.gap(TWO_STAGE, baseline)
    if certain:
        bound, holds = f"lower limit {gap.low:+.4f} > 0", gap.low > 0
    else:
        bound, holds = f"lower limit {gap.low:+.4f} > -{MARGIN}", gap.low > -MARGIN
    made.append(row("two-stage floor", found, (baseline, base), bound, holds=holds))
    made.append(row("two-stage goal", found, (baseline, base), f"ratio >= {GOAL}", holds=found >= GOAL * base))
    own = contest.gap(TWO_STAGE, best)
    bound = f"lower limit {own.low:+.4f} > -{MARGIN}"
    beside = (best, contest.mean(best).value)
    made.append(row("two-stage against its best retriever", found, beside, bound, holds=own.low > -MARGIN))
    return made


def _table(title: str, contest: Contest, baseline: str) -> Table:
    seeds, requests = next(iter(contest.values.values())).shape
    table = Table("model", "ndcg@10", f"minus {baseline}", title=f"{title}: {requests:,} requests, {seeds} seeds")
    for model in sorted(contest.values, key=lambda one: contest.mean(one).value):
        found = contest.mean(model)
        gap = contest.gap(model, baseline) if model != baseline else None
        beside = f"{gap.value:+.4f} \\[{gap.low:+.4f}, {gap.high:+.4f}]" if gap else ""
        table.add_row(model, f"{found.value:.4f} \\[{found.low:.4f}, {found.high:.4f}]", beside)
    return table


def _contest(found: list[dict[str, Any]]) -> Contest:
    first = found[0]
    values = {model: np.stack([np.array(one["values"][model]) for one in found]) for model in first["values"]}
    user = np.array(first["user"])
    weights = user_weights(int(user.max()) + 1, np.random.default_rng(0))
    return Contest(values, user, np.array(first["segment"]), weights)


def _prepare(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for command in ("data", "apply"):
        _finished([sys.executable, "-m", "feature_repo", command], root, f"{DATA}: {command}", lambda _: None)


def _run(root: Path, split: str, seed: int) -> dict[str, Any]:
    """What a finished run of the same code has left, or a new run."""
    path = root / f"{split}-{seed}-{_fingerprint()}.json"
    if not path.exists():
        command = [sys.executable, "-m", "bench.quality_time_contender", split, str(seed), str(path), str(root)]
        with console.status(f"{DATA} with time") as status:
            _finished(command, root, f"{split}, seed {seed}", lambda stage: status.update(f"{split} {seed}: {stage}"))
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _finished(command: list[str], root: Path, what: str, on_line: Callable[[str], None]) -> None:
    environment = {**os.environ, "BUILD": str(root), "STORE_URL": str(root / "store"), "DATASET": "movielens-100k"}
    log = root / "last.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            on_line(line.strip())
    if process.returncode != 0:
        said = log.read_text().strip().splitlines() or [f"exit status {process.returncode}"]
        raise ContenderFailed(f"{what}: {said[-1][:300]}")


def _fingerprint() -> str:
    """A hash over the code and settings that the figures come from."""
    digest = hashlib.sha256(TrainingSettings().model_dump_json().encode())
    for folder in CODE:
        for path in sorted((PROJECT / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]

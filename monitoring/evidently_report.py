"""Edge to Evidently: two windows in, a distance per column out, a page for people and a file for machines.

The distance is the first Wasserstein distance divided by the reference's standard deviation. It means the
same for every column and every number of rows (0.2: values lie a fifth of a standard deviation from where
they lay), needs no bins, and goes on growing after two distributions parted, where Jensen-Shannon saturates.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite
from pathlib import Path
from typing import Any

import pyarrow as pa

from monitoring.column_profile import ColumnProfile, finding, numbers, profile, same_constant
from monitoring.drift import ColumnResult, DriftPolicy
from monitoring.window import Window

HTML, JSON = "drift.html", "drift.evidently.json"
# Evidently divides by max(standard deviation, 0.001). A column below that is scaled to 1 in both windows,
# which changes no distance; without it a column of small shares would always score 0.
SMALLEST_SPREAD = 0.001


@dataclass(frozen=True)
class Comparison:
    """The columns compared, and Evidently's snapshot of them: None when no column could be compared."""

    columns: tuple[ColumnResult, ...]
    snapshot: Any


def compare_windows(reference: Window, current: Window, policy: DriftPolicy) -> Comparison:
    """Compare every column that either window has."""
    before, after = _profiles(reference.sample), _profiles(current.sample)
    names = list(dict.fromkeys([*before, *after]))
    findings = {
        name: finding(name, reference=before.get(name), current=after.get(name), policy=policy) for name in names
    }
    scales = {name: _scale(before[name]) for name, reason in findings.items() if reason is None}
    snapshot = _run(reference, current, scales, policy) if scales else None
    distances = _distances(snapshot) if snapshot else {}
    expected = {
        name for name in names if policy.expects_constant(name) and same_constant(before.get(name), after.get(name))
    }
    columns = (
        ColumnResult(name, *_rule(name, distances, policy), findings[name], expected=name in expected) for name in names
    )
    return Comparison(tuple(columns), snapshot)


def write_report(snapshot: Any, folder: Path, *, heading: Sequence[str]) -> None:
    """Write the page, opened by `heading`, and the JSON; without a snapshot, clear away an earlier run's."""
    if snapshot is None:
        for stale in (folder / HTML, folder / JSON):
            stale.unlink(missing_ok=True)
        return
    lines = "".join(f"<p>{escape(line)}</p>" for line in heading)
    opening = f'<section style="font: 16px sans-serif; margin: 2em"><h1>Drift</h1>{lines}</section>'
    page = snapshot.get_html_str(as_iframe=False)
    _write_whole(folder / HTML, page.replace("<body>", f"<body>{opening}", 1))
    _write_whole(folder / JSON, snapshot.json())


def _rule(name: str, distances: Mapping[str, float], policy: DriftPolicy) -> tuple[str, float | None, float]:
    method, threshold = policy.rule(name)
    return method, distances.get(name), threshold


def _profiles(table: pa.Table) -> dict[str, ColumnProfile]:
    return {name: profile(table[name]) for name in table.column_names}


def _scale(reference: ColumnProfile) -> float:
    return 1.0 / reference.spread if 0 < reference.spread < SMALLEST_SPREAD else 1.0


def _run(reference: Window, current: Window, scales: dict[str, float], policy: DriftPolicy) -> Any:
    """Run Evidently over the comparable columns; method and threshold are spelled out for each."""
    os.environ.setdefault("EVIDENTLY_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    # Imported here: it takes seconds, and a window that cannot be compared does not need it.
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import DriftedColumnsCount, RowCount, ValueDrift

    rules = {name: policy.rule(name) for name in scales}
    flags = [name for name in scales if policy.is_flag(name)]
    definition = DataDefinition(
        numerical_columns=[name for name in scales if name not in flags], categorical_columns=flags
    )
    counted = DriftedColumnsCount(
        columns=list(scales),
        drift_share=policy.fail_share,
        per_column_method={name: method for name, (method, _) in rules.items()},
        per_column_threshold={name: threshold for name, (_, threshold) in rules.items()},
    )
    drifts = (ValueDrift(column=name, method=rule[0], threshold=rule[1]) for name, rule in rules.items())
    report = Report([RowCount(), counted, *drifts])
    return report.run(
        Dataset.from_pandas(_frame(current, scales), definition),
        Dataset.from_pandas(_frame(reference, scales), definition),
    )


def _frame(window: Window, scales: dict[str, float]) -> Any:
    import pandas as pd

    return pd.DataFrame({name: numbers(window.sample[name]) * scale for name, scale in scales.items()})


def _distances(snapshot: Any) -> dict[str, float]:
    """Return the columns' distances; a column for which Evidently has no finite number is left out."""
    drifts = (m for m in snapshot.dict()["metrics"] if m["config"]["type"].endswith(":ValueDrift"))
    distances = {metric["config"]["column"]: float(metric["value"]) for metric in drifts}
    return {name: distance for name, distance in distances.items() if isfinite(distance)}


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)

"""The verdict for Prometheus: a file for the node exporter's textfile collector."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from monitoring.drift.evidently_report import write_whole
from training.verdict import Verdict

PROMETHEUS = "drift.prom"
PREFIX = "recommender_drift"
WINDOWS = ("reference", "current")


def exposition(report: Mapping[str, Any]) -> str:
    """Text of drift.json's figures in the exposition format; a column that was not compared has no sample."""
    version = str(report["version"])
    verdicts = [({"version": version, "verdict": v.value}, float(v.value == report["verdict"])) for v in Verdict]
    made = datetime.fromisoformat(report["made_at"]).timestamp()
    compared = [c for c in report["columns"] if c["shift"] is not None]
    by_column = {
        "shift": "Shift of a column's mean since the reference, in standard deviations of the reference.",
        "shift_threshold": "Shift that quiet windows stay within.",
        "distance": "Normed Wasserstein distance of a column from the reference.",
        "distance_threshold": "Distance that quiet windows stay within.",
    }
    families = [
        _family("verdict", "1 for the verdict of the last run, 0 for the others.", verdicts),
        _family("made_timestamp_seconds", "When the last run ended.", [({"version": version}, made)]),
        _family("rows", "Rows of each window.", [({"window": w}, float(report[f"{w}_rows"])) for w in WINDOWS]),
        _family(
            "columns",
            "Columns by what came of them.",
            [({"state": state}, float(n)) for state, n in _states(report["columns"]).items()],
        ),
    ]
    for field, text in by_column.items():
        samples = [({"version": version, "column": c["column"]}, c[field]) for c in compared if c[field] is not None]
        if samples:
            families.append(_family(field, text, samples))
    return "".join(families)


def write_exposition(report: Mapping[str, Any], folder: Path) -> None:
    """Whole or not at all: the collector may read at any moment."""
    write_whole(folder / PROMETHEUS, exposition(report))


def _states(columns: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    states = dict.fromkeys(("quiet", "drifted", "broken", "not_judged"), 0)
    for column in columns:
        if column["expected"]:
            states["not_judged"] += 1
        elif column["shift"] is None:
            states["broken"] += 1
        else:
            states["drifted" if column["drifted"] else "quiet"] += 1
    return states


def _family(name: str, text: str, samples: Sequence[tuple[Mapping[str, str], float]]) -> str:
    lines = [f"# HELP {PREFIX}_{name} {text}", f"# TYPE {PREFIX}_{name} gauge"]
    lines += [f"{PREFIX}_{name}{{{_labels(labels)}}} {value!r}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    escaped = {k: v.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") for k, v in labels.items()}
    return ",".join(f'{name}="{value}"' for name, value in escaped.items())

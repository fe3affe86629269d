"""`ours FOLDER`: the drift job's judgement with page and files; `evidently FOLDER`: its report on all rows."""

import importlib
import os
import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from bench.contender import report
from monitoring.drift.job import judge_windows
from monitoring.drift.policy import DriftPolicy
from monitoring.drift.window import read_window
from training.reference import IDENTITY

SIDES = ("reference", "current")


def ours(folder: Path) -> int:
    policy = DriftPolicy()
    reference, current = (read_window(folder / f"{side}.parquet", policy) for side in SIDES)
    now = datetime.now(UTC)
    found = judge_windows(reference, current, policy, version="1", folder=folder / "reports", now=now)
    return int(found["reference_rows"] + found["current_rows"])


def evidently(folder: Path) -> int:
    """Its normed Wasserstein distance of every feature, and its page."""
    from evidently import Dataset, Report
    from evidently.metrics import ValueDrift

    frames = [_frame(folder / f"{side}.parquet") for side in SIDES]
    drifts = [ValueDrift(column=name, method="wasserstein", threshold=0.1) for name in frames[0].columns]
    snapshot = Report(drifts).run(Dataset.from_pandas(frames[1]), Dataset.from_pandas(frames[0]))
    (folder / "evidently.html").write_text(snapshot.get_html_str(as_iframe=False))
    return sum(len(frame) for frame in frames)


def _frame(path: Path) -> Any:
    names = [name for name in pq.read_schema(path).names if name not in IDENTITY]
    return pq.read_table(path, columns=names).to_pandas()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    os.environ.setdefault("EVIDENTLY_DISABLE_TELEMETRY", "1")
    importlib.import_module("evidently.metrics")  # seconds that both need, and that are no work
    who, where = {"ours": ours, "evidently": evidently}[sys.argv[1]], Path(sys.argv[2])
    report(lambda: who(where), int)

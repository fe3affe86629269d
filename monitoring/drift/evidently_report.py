"""Edge to Evidently: the page for people, its JSON for machines, and its distances beside the ones that decided.

Method and threshold are set for every column, since Evidently's own choice changes with the number of rows; the
thresholds are those of the bootstrap. Evidently sees a sample of whole requests.
"""

import os
from collections.abc import Mapping, Sequence
from html import escape
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from monitoring.drift.columns import Rows, rows_of
from monitoring.drift.distance import jensen_shannon
from monitoring.drift.judge import Judge
from monitoring.drift.policy import DriftPolicy
from monitoring.drift.ready import Ready
from monitoring.drift.verdict import ColumnResult
from monitoring.drift.window import LABEL, Window

Array = np.ndarray[Any, Any]

HTML, JSON = "drift.html", "drift.evidently.json"
NUMBERS, FLAGS = "wasserstein", "jensenshannon"
# Evidently divides by max(standard deviation, 0.001). A column below that is scaled to 1 in both windows, which changes
# no distance; without it a column of small shares would always score 0.
SMALLEST_SPREAD = 0.001
K = 10
SCORE = "score"


def evidently_snapshot(judge: Judge, current: Window, columns: Sequence[ColumnResult], policy: DriftPolicy) -> Any:
    """Run Evidently over the columns that were compared; None where there are none."""
    furthest = sorted(columns, key=lambda column: -column.excess)
    compared = {column.column: column for column in furthest if column.compared}
    if not compared:
        return None
    before, (after, _) = judge.ready, rows_of(current, policy, judge.ready.basis)
    both = ((before.rows, True), (after, False))
    sides = tuple(_frame(before, rows, list(compared), policy, own=own) for rows, own in both)
    rules = {name: _rule(before, column, after, policy) for name, column in compared.items()}
    return _run(sides, rules, before.flags, ranked=before.rows.items is not None and after.items is not None)


def distances_of(snapshot: Any) -> dict[str, float]:
    """Evidently's distance of each column; one for which it has no finite number is left out."""
    if snapshot is None:
        return {}
    drifts = (m for m in snapshot.dict()["metrics"] if m["config"]["type"].endswith(":ValueDrift"))
    distances = {metric["config"]["column"]: float(metric["value"]) for metric in drifts}
    return {name: distance for name, distance in distances.items() if isfinite(distance)}


def write_report(snapshot: Any, folder: Path, *, heading: Sequence[str]) -> None:
    """Write the page, opened by `heading`, and the JSON; without a snapshot, clear away an earlier run's."""
    if snapshot is None:
        for stale in (folder / HTML, folder / JSON):
            stale.unlink(missing_ok=True)
        return
    first, *others = (escape(line) for line in heading)
    lines = "".join([f"<p><strong>{first}</strong></p>", *(f"<p>{line}</p>" for line in others)])
    opening = f'<section style="font: 16px sans-serif; margin: 2em"><h1>Drift</h1>{lines}</section>'
    page = snapshot.get_html_str(as_iframe=False)
    write_whole(folder / HTML, page.replace("<body>", f"<body>{opening}", 1))
    write_whole(folder / JSON, snapshot.json())


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _rule(before: Ready, column: ColumnResult, after: Rows, policy: DriftPolicy) -> tuple[str, float]:
    """Evidently's method and threshold for a column: where its own colour changes as ours does."""
    name, limit = column.column, column.shift_threshold or 0.0
    scale = float(before.calibration.scale[before.names.index(name)])
    if name in before.flags:
        share = before.means[name]
        other = share + limit * scale * (1 if (column.shift or 0.0) >= 0 else -1)
        pair = (np.array([share, 1 - share]), np.clip([other, 1 - other], 0, 1))
        return FLAGS, max(float(jensen_shannon(*pair)), 1e-9)
    if policy.is_age(name):
        return NUMBERS, limit + max(0.0, after.mean_day - before.rows.mean_day) / scale
    return NUMBERS, column.distance_threshold or limit


def _frame(before: Ready, rows: Rows, names: Sequence[str], policy: DriftPolicy, *, own: bool) -> Any:
    import pandas as pd

    values = before.own_columns() if own else before.columns(rows)
    taken = _taken(rows, policy)
    scales = dict(zip(before.names, before.calibration.scale, strict=True))
    frame = {name: values[name][taken] / (scales[name] if scales[name] < SMALLEST_SPREAD else 1.0) for name in names}
    frame["request"] = rows.request[taken].astype(str)
    if SCORE in values:
        frame["shown"] = values[SCORE][taken]
    if rows.items is not None:
        frame["item"] = rows.items[taken].astype(str)
    if LABEL in values:
        frame["went_on"] = np.nan_to_num(values[LABEL][taken]).astype(int)
    return pd.DataFrame(frame)


def _taken(rows: Rows, policy: DriftPolicy) -> Array:
    """Rows of randomly drawn requests, with the policy's seed: up to `evidently_rows` of them."""
    if len(rows) <= policy.evidently_rows:
        return np.arange(len(rows))
    requests = int(rows.request.max()) + 1
    kept = round(requests * policy.evidently_rows / len(rows))
    return np.flatnonzero(np.isin(rows.request, np.random.default_rng(policy.seed).permutation(requests)[:kept]))


def _run(sides: Sequence[Any], rules: Mapping[str, tuple[str, float]], flags: frozenset[str], *, ranked: bool) -> Any:
    os.environ.setdefault("EVIDENTLY_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    # Imported here: it takes seconds, and a window that cannot be compared does not need it.
    from evidently import DataDefinition, Dataset, Recsys, Report
    from evidently.metrics import RowCount, ValueDrift

    reference, current = sides
    places = min(_places(side) for side in sides) if ranked else 0
    categories = [name for name in rules if name in flags]
    definition = DataDefinition(
        numerical_columns=[name for name in rules if name not in flags],
        categorical_columns=categories,
        ranking=[Recsys(user_id="request", item_id="item", prediction="shown", target="went_on")] if places else None,
    )
    drifts = [ValueDrift(column=name, method=rule[0], threshold=rule[1]) for name, rule in rules.items()]
    # What moved furthest is what a reader came for.
    report = Report([RowCount(), *drifts, *(_of_slates(min(K, places)) if places else ())])
    return report.run(Dataset.from_pandas(current, definition), Dataset.from_pandas(reference, definition))


def _places(side: Any) -> int:
    """Places of the longest slate that was gone on from: Evidently's metrics know no others, and fail beyond."""
    if "went_on" not in side or "shown" not in side:
        return 0
    asked = side.groupby("request")["went_on"].agg(["size", "max"])
    return int(asked.loc[asked["max"] > 0, "size"].max() if asked["max"].any() else 0)


def _of_slates(k: int) -> tuple[Any, ...]:
    """What serves of Evidently's preset for recommenders: its tables of single users' cases have no place on a page."""
    from evidently.metrics import HitRate, Personalization, PrecisionTopK

    return (PrecisionTopK(k=k), HitRate(k=k), Personalization(k=k))

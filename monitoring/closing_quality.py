"""The closing table's part on quality: metrics, the lift over popular, the challenger, the promotion."""

from collections.abc import Mapping
from datetime import datetime
from math import isfinite
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from monitoring.drift_table import verdict_lines

METRICS = {"ndcg@10": "NDCG@10", "recall@10": "Recall@10", "mrr@10": "MRR@10", "coverage": "coverage"}
POPULAR = "popular-30d"
MODELS = (POPULAR, "two-tower", "two-stage")


def data_part(data: Mapping[str, Any]) -> tuple[RenderableType, ...]:
    """One line on the data set, and one on the rows that cleaning refused."""
    refused = ", ".join(f"{count:,} {reason}" for reason, count in data["refused"].items() if count) or "none"
    sizes = f"{data['events']:,} events, {data['users']:,} users, {data['items']:,} items"
    return (Text(f"Data: {data['dataset']}, {sizes}. Refused in cleaning: {refused}."),)


def evaluation_part(evaluation: Mapping[str, Any]) -> tuple[RenderableType, ...]:
    """The metrics table, whether two-stage beats popular, and the challenger beside the champion."""
    return (_metrics_table(evaluation), _lift_line(evaluation["lift"]), _comparison_line(evaluation))


def _metrics_table(evaluation: Mapping[str, Any]) -> Table:
    start, end = (_minute(evaluation["window"][edge]) for edge in ("start", "end"))
    counts = f"{evaluation['requests']:,} requests of {evaluation['users']:,} users"
    title = Text(f"Quality in replay, {start} to {end}: {counts}; value [interval]")
    table = Table(title=title, title_justify="left")
    table.add_column("model")
    for label in METRICS.values():
        table.add_column(label, justify="right", no_wrap=True)
    measured = {(row["model"], str(row["version"]), row["metric"]): row for row in evaluation["metrics"]}
    for model, version, label in _rows(evaluation, measured):
        table.add_row(Text(label), *(Text(interval(measured.get((model, version, metric)))) for metric in METRICS))
    return table


def _rows(evaluation: Mapping[str, Any], measured: Mapping[tuple[str, str, str], object]) -> list[tuple[str, str, str]]:
    """Model, version and label of each row: popularity once, since every version counts it alike, then by version."""
    champion = str(evaluation["champion"])
    found = dict.fromkeys([*((model, champion) for model in MODELS), *((model, v) for model, v, _ in measured)])
    pairs = [(model, version) for model, version in found if model != POPULAR or version == champion]
    return [(model, v, model if model == POPULAR else f"{model} v{v}") for model, v in pairs]


def _minute(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M}"


def interval(row: Mapping[str, Any] | None) -> str:
    """Write `value [low, high]`; what was not measured says so instead of reading as zero."""
    if row is None or not _known(row["value"]):
        return "not measured"
    if not (_known(row["low"]) and _known(row["high"])):
        return f"{row['value']:.3f} [no interval]"
    return f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def _known(value: float | None) -> bool:
    return value is not None and isfinite(value)


def _lift_line(lift: Mapping[str, Any]) -> Text:
    """Say in one sentence whether the two stages earn their keep, and on what interval that stands."""
    what = f"{lift['over']} on {METRICS.get(lift['metric'], lift['metric'])} in replay: lift {interval(lift)}"
    if not (_known(lift["low"]) and _known(lift["high"])):
        return Text(f"It is not known whether two-stage beats {what}.", style="yellow")
    if lift["low"] > 0:
        return Text(f"Two-stage beats {what}, an interval that excludes zero.", style="green")
    if lift["high"] < 0:
        return Text(f"Two-stage is worse than {what}, an interval that excludes zero.", style="red")
    return Text(f"Two-stage does not beat {what}, an interval that includes zero.", style="yellow")


def _comparison_line(evaluation: Mapping[str, Any]) -> Text:
    comparison = evaluation["comparison"]
    if comparison is None:
        return Text(f"Champion: version {evaluation['champion']}. No challenger was compared with it.")
    metric = METRICS.get(comparison["metric"], comparison["metric"])
    pair = f"Challenger {evaluation['challenger']} minus champion {evaluation['champion']}"
    return Text(f"{pair} on {metric}, same window, paired by user: {interval(comparison)}.")


def promotion_part(promotion: Mapping[str, Any]) -> tuple[RenderableType, ...]:
    """The policy's verdict on the challenger, its reasons, and where the alias points now."""
    moved = "the alias moved" if promotion["moved"] else "the alias stayed"
    now = f"champion is version {promotion['champion']}, previous {promotion['previous'] or 'none'}"
    return (Text(f"Promotion: {moved}; {now}."), *verdict_lines(promotion, of="Promotion"))

"""All feature tables of 1.47 million events, beside sorting and copying the same events."""

from bench.contender import run_contender
from bench.journey import journey_in, prepare
from bench.rows import Row, not_measured, within
from feature_repo.core.console import console
from feature_repo.core.workspace import Workspace

MODULE = "bench.transforms_contender"
SECONDS, MEGABYTES = 60, 4_000


def rows(workspace: Workspace) -> list[Row]:
    """Time and peak memory of both, each in a process of its own."""
    journey = journey_in(workspace)
    failed = prepare(journey)
    if failed:
        return [not_measured("transforms", "completejourney", failed)]
    with console.status("transforms"):
        ours, copy = (run_contender(MODULE, kind, str(journey.root)) for kind in ("ours", "copy"))
    if isinstance(ours, str) or isinstance(copy, str):
        return [not_measured("transforms", "all tables", f"failed: {ours if isinstance(ours, str) else copy}")]
    name, beside = f"all tables, {ours.rows:,} events", "events sorted twice and copied"
    return [
        within("transforms", name, ours.seconds, unit="s", yardstick=(beside, copy.seconds), limit=SECONDS),
        within(
            "transforms", f"{name}, peak", ours.peak_mb, unit="MB", yardstick=(beside, copy.peak_mb), limit=MEGABYTES
        ),
    ]

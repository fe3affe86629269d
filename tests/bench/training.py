"""Training: both stages' speed beside a plain pipeline, and training sets that are larger than the memory they get."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import training_ranker
from bench import training_towers_contender as world
from bench.contender import run_contender
from bench.rows import Row, at_most, not_measured, within
from feature_repo.core.console import console
from feature_repo.core.workspace import Workspace

MODULE = "bench.training_towers_contender"
KINDS = ("ours", "tutorial")
ROUNDS = 3
FASTER = 1.5  # times the examples a second of the plain pipeline
SHARE_OF_DATA = 1 / 3  # most that streaming may add to the process, of what the data are as arrays


def rows(workspace: Workspace) -> Iterator[Row]:
    """The two towers' rows, then the ranker's."""
    yield speed()
    yield memory()
    yield from training_ranker.rows(workspace)


def speed() -> Row:
    """Examples a second of the same data, batch size, tables and dimension, each in a process of its own.

    Other work on the machine only ever takes time, and takes it from both in turn: so each figure is its best round's.
    """
    name = f"two-tower, {world.REQUESTS:,} requests, {world.EPOCHS} epochs, best of {ROUNDS}"
    best: dict[str, float] = {}
    for number in range(ROUNDS):
        with console.status(f"training: two-tower, round {number + 1} of {ROUNDS}"):
            for kind in KINDS:
                measured = run_contender(MODULE, kind)
                if isinstance(measured, str):
                    return not_measured("training", name, f"failed: {measured}")
                best[kind] = min(best.get(kind, float("inf")), measured.seconds / measured.rows * 1e6)
    taken, beside = (best[kind] for kind in KINDS)
    yardstick = ("TFRS as in its tutorials", beside)
    return at_most("training", name, taken, unit="s a million examples", yardstick=yardstick, ratio=1 / FASTER)


def memory() -> Row:
    """What a process grows by while it streams one epoch from Parquet, beside the same data as arrays."""
    name = f"two-tower from Parquet, {world.LARGE_REQUESTS:,} requests, growth"
    with TemporaryDirectory() as folder, console.status("training: larger than memory"):
        grown = run_contender(MODULE, "stream", str(Path(folder) / "requests.parquet"))
    if isinstance(grown, str):
        return not_measured("training", name, f"failed: {grown}")
    whole = world.LARGE_REQUESTS * world.LARGE_ROW_BYTES / 1e6
    limit = whole * SHARE_OF_DATA
    return within("training", name, grown.peak_mb, unit="MB", yardstick=("as arrays", whole), limit=round(limit))

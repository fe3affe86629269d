"""Quality on the published random protocols: every baseline and the two stages in one run, against floors and goals.

SPLIT=validation (default) scores a cut of the training part, SPLIT=test the test, which settings are never chosen on.
Three seeds; intervals are 95 %, users resampled, seeds averaged, differences paired.
"""

import os
from collections.abc import Callable, Iterator

import numpy as np
from rich.status import Status

from bench import quality_time
from bench.quality_data import split_of
from bench.quality_protocols import PROTOCOLS, SEEDS, Protocol
from bench.quality_rows import Contest, rows_of
from bench.quality_run import RunFailed, run_of
from bench.quality_table import quality_table
from bench.rows import Row, not_measured
from feature_repo.core.console import console
from feature_repo.core.errors import DatasetError, MissingArtifact
from feature_repo.core.workspace import Workspace


def rows(workspace: Workspace) -> Iterator[Row]:
    """All protocols, those with time as well."""
    split = split_of(os.environ)
    console.print(f"quality on {split}" + (": the test part is scored" if split == "test" else ""))
    for protocol in PROTOCOLS.values():
        yield from _rows(protocol, split, workspace)
    yield from quality_time.rows(workspace)


def _rows(protocol: Protocol, split: str, workspace: Workspace) -> list[Row]:
    try:
        protocol.part(workspace, split)
        runs = []
        with console.status(protocol.name) as status:
            for number, seed in enumerate(SEEDS):
                label = f"{protocol.name} {split}, seed {number + 1} of {len(SEEDS)}"
                runs.append(run_of(protocol, split, seed, workspace, on_step=_shown(status, label)))
                console.print(f"{label}: {runs[-1].seconds:.0f} s, {runs[-1].peak_mb:,.0f} MB")
    except (MissingArtifact, DatasetError, RunFailed) as error:
        return [not_measured("quality", f"{protocol.name} {split}", str(error))]
    contest = Contest.of(runs, rng=np.random.default_rng(0))
    console.print(quality_table(protocol, split, contest))
    return rows_of(protocol, split, contest)


def _shown(status: Status, label: str) -> Callable[[str], None]:
    return lambda step: status.update(f"{label}: {step}")

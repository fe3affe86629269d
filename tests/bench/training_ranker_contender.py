"""`python -m bench.training_ranker_contender write|memory|disk FOLDER [MEGABYTES]`: a ranker, in memory or from disk.

MEGABYTES caps what the process may write to in memory (RLIMIT_DATA: heap and private writable mappings, stacks of
threads included). Pages of files that are mapped for reading are the page cache's, can be dropped at any time and are
not counted. Beyond the cap an allocation fails, and with it the process.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb

from training.ranking import external, lambdamart
from training.ranking.query_groups import QueryGroups
from training.settings import RankerSettings

Array = np.ndarray[Any, Any]

FEATURES, CANDIDATES = 300, 100
REQUESTS_A_PART = 128
NAMES = tuple(f"feature_{number}" for number in range(FEATURES))
SETTINGS = RankerSettings(rounds=5, learning_rate=0.3, max_bin=32, patience=0)


def part(number: int, requests: int = REQUESTS_A_PART) -> QueryGroups:
    """Requests of 100 candidates whose relevance is a noisy function of the first four features."""
    rng = np.random.default_rng(number)
    x = rng.standard_normal((requests * CANDIDATES, FEATURES), np.float32)
    liking = x[:, 0] + x[:, 1] * x[:, 2] + np.abs(x[:, 3]) + rng.standard_normal(len(x), np.float32)
    first = number * REQUESTS_A_PART
    return QueryGroups(x, (liking > 3).astype(np.float32), np.repeat(np.arange(first, first + requests), CANDIDATES))


def write(folder: Path, requests: int) -> int:
    """Write a training set; returns its size in memory in bytes."""
    parts: Iterator[QueryGroups] = (part(number) for number in range(requests // REQUESTS_A_PART))
    return external.write(folder / "rows.parquet", parts, NAMES) * FEATURES * 4


def memory(folder: Path) -> xgb.Booster:
    """All rows at once."""
    parts = list(external.read([folder / "rows.parquet"], NAMES))
    columns = [np.concatenate([getattr(p, name) for p in parts]) for name in ("matrix", "relevance", "groups")]
    parts.clear()
    return lambdamart.train(*columns, feature_names=NAMES, settings=SETTINGS, seed=1, on_round=_unheard)


def disk(folder: Path) -> xgb.Booster:
    """A row group at a time."""
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        return external.train(
            [folder / "rows.parquet"],
            cache=Path(cache),
            feature_names=NAMES,
            settings=SETTINGS,
            seed=1,
            on_round=_unheard,
        )


def found_first(booster: xgb.Booster) -> float:
    """Share of unseen requests whose first candidate is relevant."""
    rows = part(1_000_000, requests=100)
    best = booster.inplace_predict(rows.matrix).reshape(-1, CANDIDATES).argmax(axis=1)
    return float(rows.relevance.reshape(-1, CANDIDATES)[np.arange(len(best)), best].mean())


def main(kind: str, root: str, limit: str = "0") -> None:
    folder, megabytes = Path(root), int(limit)
    if kind == "write":
        sys.stdout.write(json.dumps({"bytes": write(folder, requests=megabytes)}) + "\n")
        return
    if megabytes:
        resource.setrlimit(resource.RLIMIT_DATA, (megabytes * 2**20,) * 2)
    started = time.perf_counter()
    booster = {"memory": memory, "disk": disk}[kind](folder)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"seconds": seconds, "peak_mb": peak, "found": found_first(booster)}) + "\n")


def _unheard(number: int, score: float) -> None:
    del number, score


if __name__ == "__main__":
    main(*sys.argv[1:])

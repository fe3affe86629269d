"""The request log as a window: what a version was logged to answer, one row for each place of its slates."""

from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.request_log import read_request_log
from monitoring.drift.policy import DriftPolicy
from monitoring.drift.window import Window, window_of
from training.reference import recommended_rows

Array = np.ndarray[Any, Any]

SMALL = ("request_id", "received_at", "moment", "user_id", "model_version", "degraded", "user_features", "slate")
WIDE = ("propensities", "candidates", "scores", "features", "feature_names")


def log_windows(workspace: Workspace, version: str, policy: DriftPolicy) -> tuple[Window | None, Window | None]:
    """The newest `log_days` of what `version` answered and as many before; None where it answered nothing."""
    log = read_request_log(workspace, [*SMALL, *WIDE])
    log = log.filter(pc.equal(log["model_version"], version))
    if not log.num_rows:
        return None, None
    span = timedelta(days=policy.log_days)
    begins = pc.max(log["received_at"]).as_py() - span
    newest = pc.greater(log["received_at"], begins)
    before = log.filter(pc.and_not(pc.greater(log["received_at"], begins - span), newest))
    return logged_window(log.filter(newest), policy), logged_window(before, policy) if before.num_rows else None


def logged_window(log: pa.Table, policy: DriftPolicy) -> Window:
    """Rows of the log as a window; what is wrong with them as a whole is among its flaws."""
    names, flaws = _names(log)
    most = max(1, policy.sample_rows // 10)
    sample = log
    if log.num_rows > most:
        sample = log.take(np.sort(np.random.default_rng(policy.seed).choice(log.num_rows, most, replace=False)))
    rows = _rows(sample, names)
    window = window_of(rows, policy, name="request log")
    repeated = log.num_rows - pc.count_distinct(log["request_id"]).as_py()
    twice = (f"{repeated:,} of {log.num_rows:,} answers are logged twice",) if repeated else ()
    return Window(window.size, window.sample, (*flaws, *twice, *_damage(log, policy)), source="log")


def _names(log: pa.Table) -> tuple[list[str], tuple[str, ...]]:
    """The feature names of the newest answer, and whether all others have the same."""
    every = {tuple(names) for names in log["feature_names"].to_pylist()} if log.num_rows else set()
    newest = log["feature_names"][log.num_rows - 1].as_py() if log.num_rows else []
    return newest, (f"answers hold {len(every)} different lists of features",) if len(every) > 1 else ()


def _damage(log: pa.Table, policy: DriftPolicy) -> tuple[str, ...]:
    rows = max(log.num_rows, 1)
    no_chance = pc.sum(pc.is_null(log["propensities"])).as_py() or 0
    no_user = pc.sum(pc.is_null(log["user_features"])).as_py() or 0
    late = pc.subtract(log["received_at"].cast(pa.int64()), log["moment"].cast(pa.int64()))
    behind = pc.sum(pc.greater(late, 86_400_000_000)).as_py() or 0
    shares = (
        (no_chance, 0.0, "have no propensities"),
        (no_user, policy.missing_rise, "were made without the user's features"),
        (behind, policy.missing_rise, "were made with features of more than a day before"),
    )
    return tuple(f"{n:,} of {rows:,} answers {what}" for n, most, what in shares if n / rows > most)


def _rows(log: pa.Table, names: list[str]) -> pa.Table:
    """One row for each place of a slate whose item was a ranked candidate with these features."""
    columns = [log[name].to_pylist() for name in ("slate", "candidates", "feature_names")]
    matrices, scores = log["features"], log["scores"]
    request, features, shown, items = [], [], [], []
    for at, (slate, candidates, held) in enumerate(zip(*columns, strict=True)):
        place = {item: number for number, item in enumerate(candidates)}
        ranked = [item for item in slate if item in place] if held == names else []
        if not ranked:
            continue
        places = np.array([place[item] for item in ranked])
        matrix = matrices[at].values.flatten().to_numpy(zero_copy_only=False).reshape(len(candidates), -1)
        features.append(matrix[places])
        shown.append(scores[at].values.to_numpy(zero_copy_only=False)[places])
        items += ranked
        request += [at] * len(ranked)
    of = pa.array(request, pa.int64())
    taken = {name: log[name].take(of) for name in ("request_id", "user_id", "moment")}
    return recommended_rows(
        names,
        features=np.concatenate(features) if features else np.zeros((0, len(names)), np.float32),
        scores=np.concatenate(shown) if shown else np.zeros(0, np.float32),
        request_ids=taken["request_id"].to_pylist(),
        user_ids=taken["user_id"].to_pylist(),
        moments_us=taken["moment"].cast(pa.int64()).to_numpy(),
        item_ids=items,
    )

"""The shadow's pairs: both variants' answers to one request, found in the request log.

A mirrored copy gets a request id of its own. What identifies it is who asked, for how many items and when: the copy
leaves the gateway with the original, so it is the canary's row of the same user and k that was received nearest in
time, within a second or so. A row is used for one pair only.
"""

from datetime import datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from feature_repo.core.workspace import Workspace
from k8s.evidence.log_rows import LogRows
from k8s.evidence.pairs import Pairs
from k8s.evidence.window import Missing
from k8s.rollout.rollout import Rollout
from monitoring.experiments.impressions import EPOCH, MICROSECOND

COLUMNS = ("user_id", "k", "slate", "candidates", "scores")
# Between the original's arrival and the copy's.
NEAR = timedelta(seconds=2)
# A request counts when both rows have had this long to reach the log.
SETTLED = timedelta(seconds=5)
_PAIRED = """
    WITH numbered AS (
        SELECT *, epoch_us(received_at) AS at FROM shown
    ), near AS (
        SELECT s.request_id AS original, c.request_id AS copy, abs(s.at - c.at) AS apart
        FROM numbered s JOIN numbered c
          ON s.variant = 'stable' AND c.variant = 'canary' AND s.user_id = c.user_id AND s.k = c.k
         AND abs(s.at - c.at) <= $near
         AND s.at <= $until
    ), best AS (
        SELECT * FROM near
        QUALIFY row_number() OVER (PARTITION BY original ORDER BY apart, copy) = 1
            AND row_number() OVER (PARTITION BY copy ORDER BY apart, original) = 1
    )
    SELECT s.slate AS theirs, c.slate AS ours, s.candidates AS their_items, s.scores AS their_scores,
           c.candidates AS our_items, c.scores AS our_scores
    FROM best JOIN numbered s ON s.request_id = original JOIN numbered c ON c.request_id = copy
    ORDER BY original
"""


class LogPairs:
    """Compares the answers to every mirrored request of the current shadow."""

    def __init__(self, workspace: Workspace, *, settled: timedelta = SETTLED) -> None:
        self._workspace = workspace
        self._settled = settled
        self._shadow: tuple[str, datetime] | None = None

    def read(self, rollout: Rollout, *, now: datetime) -> Pairs | Missing:
        log = self._so_far(rollout)
        until = now - self._settled
        mirrored = sum(
            variant == "stable" and at <= until
            for variant, at in zip(log["variant"].to_pylist(), log["received_at"].to_pylist(), strict=True)
        )
        if not mirrored:
            return Missing("the request log holds no mirrored request that is old enough yet")
        return _compared(_paired(log, until), mirrored)

    def _so_far(self, rollout: Rollout) -> pa.Table:
        if self._shadow != (rollout.name, rollout.entered_at):
            self._shadow = rollout.name, rollout.entered_at
            self._rows = LogRows(self._workspace, COLUMNS, rollout, since=rollout.entered_at)
            self._log = self._rows.schema.empty_table()
        self._log = pa.concat_tables([self._log, self._rows.unread()])
        return self._log


def _paired(log: pa.Table, until: datetime) -> pa.Table:
    """One row a pair whose original was received by `until`."""
    flat = log.set_column(
        log.column_names.index("received_at"), "received_at", log["received_at"].cast("timestamp[us]")
    )
    with duckdb.connect() as db:
        db.register("shown", flat)
        named = {"near": NEAR // MICROSECOND, "until": (until - EPOCH) // MICROSECOND}
        return db.sql(_PAIRED, params=named).to_arrow_table()


def _compared(found: pa.Table, mirrored: int) -> Pairs:
    rows = found.to_pylist()
    if not rows:
        return Pairs(mirrored, 0, 0.0, 0.0, None, None)
    both = [_pair(row) for row in rows]
    taus = [tau for _, _, tau, _ in both if tau is not None]
    shifts = [shift for _, _, _, shift in both if shift is not None]
    return Pairs(
        mirrored=mirrored,
        answered=len(rows),
        overlap=float(np.mean([overlap for overlap, *_ in both])),
        same_first=float(np.mean([same for _, same, *_ in both])),
        rank_correlation=float(np.mean(taus)) if taus else None,
        score_shift=float(np.mean(shifts)) if shifts else None,
    )


def _pair(row: dict[str, Any]) -> tuple[float, bool, float | None, float | None]:
    """Overlap, equal first items, Kendall's tau of the shared items, mean shift of the shared items' scores."""
    theirs, ours = row["theirs"], row["ours"]
    shared = [item for item in theirs if item in set(ours)]
    overlap = len(shared) / len(theirs) if theirs else 1.0
    scores = dict(zip(row["their_items"], row["their_scores"], strict=True))
    new = dict(zip(row["our_items"], row["our_scores"], strict=True))
    shifts = [new[item] - scores[item] for item in shared if item in new and item in scores]
    tau = _tau([ours.index(item) for item in shared]) if len(shared) > 1 else None
    return overlap, theirs[:1] == ours[:1], tau, float(np.mean(shifts)) if shifts else None


def _tau(ranks: list[int]) -> float:
    """Kendall's tau of a ranking against 0, 1, 2, ... (no ties)."""
    order = np.sign(np.subtract.outer(ranks, ranks))
    pairs = len(ranks) * (len(ranks) - 1)
    upper = np.sign(np.subtract.outer(range(len(ranks)), range(len(ranks))))
    return float((order * upper).sum() / pairs)

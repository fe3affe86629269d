"""Quality from the request log joined to events: clicks and conversions an impression, summed by user.

An impression belongs to the step in which its request was received, and takes its weight (see RateSums). Requests of
the shadow and of pauses between attempts are left out. Users are told apart by their pseudonyms. Users who stay on a
variant because their bucket decides are counted as units of the split; where few send one, the requests without are.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from k8s.evidence.lists import compare_lists
from k8s.evidence.log_rows import LogRows
from k8s.evidence.rates import Allotted, Quality, Rate, RateSums
from k8s.evidence.window import Missing
from k8s.rollout.rollout import Rollout
from k8s.rollout.states import State
from monitoring.experiments.impressions import impressions

Array = np.ndarray[Any, Any]

COLUMNS = ("user_id", "bucket", "slate", "moment")
# From this share of requests on, users count as units of the split.
STICKY = 0.9


class LogQuality:
    """Reads the log and the events at each look.

    `events` gives the unified events that answer slates, with request_id; `clicks` and `conversions` are the event
    types that count for either rate.
    """

    def __init__(
        self,
        rows: LogRows,
        events: Callable[[], pa.Table],
        *,
        window: timedelta,
        clicks: tuple[str, ...],
        conversions: tuple[str, ...] = (),
    ) -> None:
        self._rows = rows
        self._events = events
        self._window = window
        self._kinds = {"clicks": clicks, "conversions": conversions}

    def read(self, rollout: Rollout, *, now: datetime) -> Quality:
        log = self._rows.since(rollout.started_at, rollout)
        weights = _weights(log["received_at"], rollout)
        log = log.append_column("weight", pa.array(weights)).filter(pa.array(weights > 0))
        if not log.num_rows:
            nothing = Missing("the request log holds no request of a step yet")
            return Quality(nothing, nothing, nothing)
        events = self._events()
        rates = {kind: self._rate(log, events, types, now) for kind, types in self._kinds.items()}
        sticky = 1 - log["bucket"].null_count / log.num_rows
        in_step = log.filter(pc.greater_equal(log["received_at"], pa.scalar(rollout.entered_at)))
        age = (now - pc.max(log["received_at"]).as_py()) / timedelta(seconds=1)
        return Quality(
            clicks=rates["clicks"],
            conversions=rates["conversions"],
            allotted=_allotted(in_step, sticky),
            sticky_share=sticky,
            lists=compare_lists(in_step),
            age_seconds=age,
        )

    def _rate(self, log: pa.Table, events: pa.Table, types: tuple[str, ...], now: datetime) -> Rate | Missing:
        if not types:
            return Missing("no type of event counts for it")
        shown = impressions(log, events, window=self._window, now=now, rewarded=types)
        if not shown.num_rows:
            return Missing("no impression is old enough to count yet")
        keyed = shown.select(["request_id", "user_id", "variant", "clicked"]).join(
            log.select(["request_id", "weight"]), "request_id"
        )
        return Rate(canary=_sums(keyed, "canary"), stable=_sums(keyed, "stable"))


def _weights(received: pa.ChunkedArray, rollout: Rollout) -> Array:
    """The canary's weight when each request was received, as a share; 0 outside of the attempt's steps."""
    moves = [move for move in rollout.history if move.at >= rollout.started_at]
    steps = rollout.policy.canary.steps
    shares = [0.0, *(steps[move.index] / 100 if move.state is State.CANARY else 0.0 for move in moves)]
    since = np.array([int(move.at.timestamp() * 1e6) for move in moves], dtype=np.int64)
    moments = received.cast(pa.int64()).to_numpy()
    found: Array = np.asarray(shares)[np.searchsorted(since, moments, side="right")]
    return found


def _sums(shown: pa.Table, variant: str) -> RateSums:
    """Sums over the users of one variant. An impression of the canary weighs what the stable's share is, and v.v."""
    mine = shown.filter(pc.equal(shown["variant"], variant))
    share = mine["weight"].to_numpy()
    weight = 1 - share if variant == "canary" else share
    users = mine["user_id"].combine_chunks().dictionary_encode()
    rows, count = users.indices.to_numpy(), len(users.dictionary)
    clicked = mine["clicked"].to_numpy()
    a, b = (np.bincount(rows, weights=weights, minlength=count) for weights in (weight * clicked, weight))
    raw = (float(count), float(len(clicked)), float(clicked.sum()))
    return RateSums(*raw, *map(float, (a.sum(), b.sum(), a @ a, a @ b, b @ b)))


def _allotted(log: pa.Table, sticky: float) -> Allotted | Missing:
    """Users where buckets decide; else the requests without a bucket, which alone fall under the weight."""
    if not log.num_rows:
        return Missing("the request log holds no request of this step yet")
    if sticky < STICKY:
        rows = log.filter(pc.is_null(log["bucket"]))
        return Allotted(float(pc.sum(pc.equal(rows["variant"], "canary")).as_py() or 0), rows.num_rows, "requests")
    rows = log.filter(pc.is_valid(log["bucket"]))
    users = {
        variant: float(pc.count_distinct(rows.filter(pc.equal(rows["variant"], variant))["user_id"]).as_py())
        for variant in ("canary", "stable")
    }
    return Allotted(users["canary"], users["canary"] + users["stable"])

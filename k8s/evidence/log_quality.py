"""Quality from the request log joined to events: clicks and conversions an impression, summed by user.

An impression belongs to the step in which its request was received, and takes its weight (see RateSums). Requests of
the shadow and of pauses between attempts are left out. Users are told apart by their pseudonyms. Users who stay on a
variant because their bucket decides are counted as units of the split; where few send one, the requests without are.

A look reads and joins what came since the last one. A controller that was killed reads the attempt's files once more
and goes on with the same figures.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.core.workspace import Workspace
from k8s.evidence.event_rows import EventRows
from k8s.evidence.joined import Joined
from k8s.evidence.lists import compare_lists
from k8s.evidence.log_rows import LogRows
from k8s.evidence.rates import Allotted, Quality, Rate
from k8s.evidence.window import Missing
from k8s.rollout.rollout import Rollout
from k8s.rollout.states import State

Array = np.ndarray[Any, Any]

COLUMNS = ("user_id", "bucket", "slate", "moment")
# From this share of requests on, users count as units of the split.
STICKY = 0.9


class LogQuality:
    """Follows the log and the events.

    `files` lists those that hold unified events that answer slates, with request_id; `clicks` and `conversions` are the
    event types that count for either rate.
    """

    def __init__(
        self,
        workspace: Workspace,
        files: Callable[[], list[Path]],
        *,
        window: timedelta,
        clicks: tuple[str, ...],
        conversions: tuple[str, ...] = (),
    ) -> None:
        self._workspace = workspace
        self._files = files
        self._window = window
        self._types = {"clicks": clicks, "conversions": conversions}
        self._attempt: _Attempt | None = None

    def read(self, rollout: Rollout, *, now: datetime) -> Quality:
        attempt = self._of(rollout)
        attempt.follow(rollout, now=now)
        joined = attempt.joined
        newest, units = joined.newest(), joined.units()
        if newest is None:
            nothing = Missing("the request log holds no request of a step yet")
            return Quality(nothing, nothing, nothing)
        unsticky, total = (sum(each[part] for each in units.values()) for part in (1, 0))
        sticky = 1 - unsticky / total
        return Quality(
            clicks=self._rate(joined, "clicks"),
            conversions=self._rate(joined, "conversions"),
            allotted=_allotted(joined.units(rollout.entered_at), sticky),
            sticky_share=sticky,
            lists=compare_lists(*joined.slates(rollout.entered_at)),
            age_seconds=(now - newest) / timedelta(seconds=1),
        )

    def _of(self, rollout: Rollout) -> "_Attempt":
        """The attempt's own rows; those of another are of no use to it."""
        if self._attempt is None or self._attempt.key != _key(rollout):
            if self._attempt:
                self._attempt.joined.close()
            every = (*self._types["clicks"], *self._types["conversions"])
            self._attempt = _Attempt(
                rollout,
                LogRows(self._workspace, COLUMNS, rollout, since=rollout.started_at),
                EventRows(self._files, every, since=rollout.started_at),
                Joined(window=self._window, types=self._types),
            )
        return self._attempt

    def _rate(self, joined: Joined, kind: str) -> Rate | Missing:
        if not self._types[kind]:
            return Missing("no type of event counts for it")
        return joined.rate(kind) or Missing("no impression is old enough to count yet")


class _Attempt:
    """What has been read of one attempt."""

    def __init__(self, rollout: Rollout, rows: LogRows, events: EventRows, joined: Joined) -> None:
        self.key = _key(rollout)
        self.joined = joined
        self._rows = rows
        self._events = events
        self._early = rows.schema.empty_table()

    def follow(self, rollout: Rollout, *, now: datetime) -> None:
        """Take what is new. What was received after `now`, by another clock, may be of a step that is not known yet."""
        rows = pa.concat_tables([self._early, self._rows.unread()])
        known = pc.less(rows["received_at"], pa.scalar(now))
        self._early, rows = rows.filter(pc.invert(known)), rows.filter(known)
        weights = _weights(rows["received_at"], rollout)
        rows = rows.append_column("weight", pa.array(weights)).filter(pa.array(weights > 0))
        self.joined.add(rows, self._events.unread(), now=now)


def _key(rollout: Rollout) -> tuple[str, datetime]:
    return rollout.name, rollout.started_at


def _weights(received: pa.ChunkedArray, rollout: Rollout) -> Array:
    """The canary's weight when each request was received, as a share; 0 outside of the attempt's steps."""
    moves = [move for move in rollout.history if move.at >= rollout.started_at]
    steps = rollout.policy.canary.steps
    shares = [0.0, *(steps[move.index] / 100 if move.state is State.CANARY else 0.0 for move in moves)]
    since = np.array([int(move.at.timestamp() * 1e6) for move in moves], dtype=np.int64)
    moments = received.cast(pa.int64()).to_numpy()
    found: Array = np.asarray(shares)[np.searchsorted(since, moments, side="right")]
    return found


def _allotted(units: dict[bool, tuple[int, int, int]], sticky: float) -> Allotted | Missing:
    """Users where buckets decide; else the requests without a bucket, which alone fall under the weight."""
    if not units:
        return Missing("the request log holds no request of this step yet")
    part, unit = (1, "requests") if sticky < STICKY else (2, "users")
    canary, stable = (float(units.get(one, (0, 0, 0))[part]) for one in (True, False))
    return Allotted(canary, canary + stable, unit)

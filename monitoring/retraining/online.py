"""The online metric: the share of requests that an event answers, of the newest days against the days before.

Both sides are requests of one version whose attribution windows are over. People differ more than their requests do, so
limits come from resampling users (a bootstrap over clusters), and somebody who is on both sides is drawn for both.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.prepare import active_dataset
from feature_repo.dataset.pseudonym import known_pseudonyms
from feature_repo.dataset.request_log import read_request_log, require_key
from monitoring.retraining.policy import ONLINE, RetrainingPolicy
from monitoring.retraining.signals import Signal
from training.ranking.attribution import NONE, Asked, Happened, answered_requests
from training.verdict import Verdict

Array = np.ndarray[Any, Any]

READ = ("request_id", "received_at", "moment", "user_id", "model_version")
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Answered:
    """r requests of one version: user of each [r], moment in UTC microseconds [r], whether an event answers it [r]."""

    user_ids: Array
    moments_us: Array
    answered: Array


def answered(workspace: Workspace, version: str, *, window: timedelta) -> Answered:
    """The version's requests and the events with a positive weight that answer them; each request_id counts once.

    A request whose window is not over when the event log ends has no complete answer, and is left out.
    """
    log = read_request_log(workspace, READ)
    log = log.filter(pc.equal(log["model_version"], version)).sort_by([("moment", "ascending")])
    pseudonyms = known_pseudonyms(workspace)
    require_key(workspace, pseudonyms)
    weights = active_dataset(workspace).weights
    names = ["user_id", "timestamp", "request_id", "event_type"]
    events = pq.read_table(workspace.events, columns=names)
    positive = pa.array([kind for kind, weight in weights.items() if weight > 0], pa.string())
    events = events.filter(pc.is_in(events["event_type"], positive))
    stamps = events["timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    people = pseudonyms.by_pseudonym(pc.unique(events["user_id"]).to_pylist()) if pseudonyms else {}
    users = np.array([people.get(name, name) for name in log["user_id"].to_pylist()], object)
    ids, moments = np.array(log["request_id"].to_pylist(), object), log["moment"].cast(pa.int64()).to_numpy()
    over = moments + window // MICROSECOND <= (stamps.max() if len(stamps) else 0)
    _, first = np.unique(ids.astype(str), return_index=True)
    kept = np.intersect1d(first, np.flatnonzero(over))
    asked = Asked(ids[kept], users[kept], moments[kept])
    texts = (np.array(events[name].to_pylist(), object) for name in ("user_id", "request_id"))
    event_users, request_ids = texts
    found = answered_requests(asked, Happened(event_users, stamps, request_ids), window_us=window // MICROSECOND)
    met = np.zeros(len(kept), bool)
    met[found[found != NONE]] = True
    return Answered(asked.user_ids, asked.moments_us, met)


def online_signal(found: Answered, policy: RetrainingPolicy, *, now: datetime) -> Signal:
    """FAIL where the rate has certainly fallen, and by `online_fall` as far as one can tell; PASS where a fall so large
    is ruled out, both with 95 %. `now` ends the newest days; of an older log its own end does."""
    end = min(int(found.moments_us.max(initial=0)) + 1, round(now.timestamp() * 1e6))
    newest = found.moments_us >= end - timedelta(days=policy.online_days) // MICROSECOND
    sizes = int(newest.sum()), int((~newest).sum())
    if min(sizes) < policy.online_requests:
        said = f"{sizes[0]} requests of the newest {policy.online_days:g} days and {sizes[1]} before them"
        return _signal(Verdict.INCONCLUSIVE, f"{said}; {policy.online_requests} are needed on either side")
    change, low, high = relative_change(found.user_ids, found.answered, newest, policy)
    if not np.isfinite([change, low, high]).all():
        return _signal(Verdict.INCONCLUSIVE, "before the newest days too few events answered a request")
    said = f"the share of answered requests changed by {change:+.1%} [{low:+.1%}, {high:+.1%}]"
    if high < 0 and change <= -policy.online_fall:
        return _signal(Verdict.FAIL, said)
    return _signal(Verdict.PASS if low > -policy.online_fall else Verdict.INCONCLUSIVE, said)


def relative_change(
    user_ids: Array, answered: Array, newest: Array, policy: RetrainingPolicy
) -> tuple[float, float, float]:
    """The newest rate over the earlier one less 1, with one-sided 95 % limits by resampling users; NaN where too few
    events answered."""
    _, user = np.unique(user_ids.astype(str), return_inverse=True)
    sides = [newest, newest & answered, ~newest, ~newest & answered]
    counts = np.stack([np.bincount(user, weights=side, minlength=user.max() + 1) for side in sides])
    rng = np.random.default_rng(policy.seed)
    people = counts.shape[1]
    drawn = rng.multinomial(people, np.full(people, 1 / people), size=policy.resamples)
    totals = drawn @ counts.T
    if not (totals[:, [0, 3]] > 0).all():  # nothing to divide by, at least for some of the people
        return np.nan, np.nan, np.nan
    several = (totals[:, 1] / totals[:, 0]) / (totals[:, 3] / totals[:, 2]) - 1
    whole = counts.sum(axis=1)
    change = (whole[1] / whole[0]) / (whole[3] / whole[2]) - 1
    low, high = np.quantile(several, [0.05, 0.95])
    return float(change), float(low), float(high)


def _signal(verdict: Verdict, reason: str) -> Signal:
    return Signal(ONLINE, verdict, reason)

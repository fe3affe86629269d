"""From impressions to users: what each one did in the experiment, and before it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from monitoring.experiments.declaration import Experiment
from monitoring.experiments.impressions import EPOCH, MICROSECOND, in_microseconds
from monitoring.experiments.metrics import SUMS

Array = np.ndarray[Any, Any]

_OF_USERS = """
    SELECT user_id, min(variant) AS variant, count(DISTINCT variant) AS variants, count(*) AS impressions,
           count(DISTINCT request_id) AS requests, sum(clicked::INTEGER)::DOUBLE AS clicks,
           count(DISTINCT request_id) FILTER (clicked) AS clicked_requests, sum(value) AS value
    FROM shown WHERE moment >= $since AND moment < $until AND variant IN (SELECT unnest($variants))
    GROUP BY user_id ORDER BY user_id
"""
_BEFORE = """
    SELECT user_id, count(*) AS impressions, count(DISTINCT request_id) AS requests,
           sum(clicked::INTEGER)::DOUBLE AS clicks, count(DISTINCT request_id) FILTER (clicked) AS clicked_requests,
           sum(value) AS value
    FROM shown WHERE moment >= $since AND moment < $until GROUP BY user_id
"""
_VERSIONS = """
    SELECT DISTINCT variant, model_version FROM shown
    WHERE moment >= $since AND moment < $until AND variant IN (SELECT unnest($variants)) ORDER BY ALL
"""


@dataclass(frozen=True)
class People:
    """Users who saw one variant only, and sums over what they saw."""

    variant: Array  # [users] names
    during: dict[str, Array]  # SUMS -> [users]
    before: dict[str, Array]  # the same from before the start; zeros for who was not there
    crossed: int  # users left out because they saw several variants
    versions: dict[str, tuple[str, ...]]  # variant -> model versions that answered for it

    def count(self, variant: str) -> int:
        return int((self.variant == variant).sum())


def people_of(impressions: pa.Table, experiment: Experiment) -> People:
    """The users of an experiment; `impressions` is what `impressions.join` gives, of any time."""
    variants = list(experiment.variants)
    during = {"since": _micro(experiment.starts), "until": _micro(experiment.ends), "variants": variants}
    earlier = {"since": _micro(experiment.before), "until": _micro(experiment.starts)}
    with duckdb.connect() as db:
        db.register("shown", in_microseconds(impressions, "moment"))
        users: pa.Table = db.sql(_OF_USERS, params=during).to_arrow_table()
        before: pa.Table = db.sql(_BEFORE, params=earlier).to_arrow_table()
        versions = db.sql(_VERSIONS, params=during).fetchall()
    alone = users["variants"].to_numpy() == 1
    names = np.array(users["user_id"].to_pylist(), object)[alone]
    return People(
        variant=np.array(users["variant"].to_pylist(), object)[alone],
        during={name: users[name].to_numpy().astype(np.float64)[alone] for name in SUMS},
        before=_looked_up(before, names),
        crossed=int((~alone).sum()),
        versions={name: tuple(v for variant, v in versions if variant == name) for name in variants},
    )


def _looked_up(before: pa.Table, names: Array) -> dict[str, Array]:
    """Sums of `names` in their order."""
    place = {name: at for at, name in enumerate(before["user_id"].to_pylist())}
    at = np.array([place.get(name, len(place)) for name in names.tolist()], np.int64)
    return {name: np.append(before[name].to_numpy().astype(np.float64), 0.0)[at] for name in SUMS}


def _micro(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND

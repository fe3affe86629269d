"""`python -m monitoring popularity`: popular items, as a file that may leave the house."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace, write_json
from feature_repo.dataset.prepare import active_dataset, entity_rows
from monitoring.privacy.budget import budget_of
from monitoring.privacy.counts import bounded_counts, mechanism, noisy, within

REPORT = "popularity.json"


class PublicationPolicy(BaseModel):
    """How much a release may tell. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epsilon: float = Field(default=1.0, gt=0)  # of one release, for each person
    contributions: int = Field(default=20, ge=1)  # items that one person counts for
    days: float = Field(default=30.0, gt=0)  # of events, up to the moment of the release
    budget: float = Field(default=12.0, gt=0)  # sum of the epsilons of all releases
    budget_days: float = Field(default=365.0, gt=0)  # in any span of so many days


def publish_popularity(
    workspace: Workspace, policy: PublicationPolicy, *, now: datetime, until: datetime | None = None
) -> dict[str, Any]:
    """Write popularity.json: noisy counts of the people who met each declared item, what they cost, how exact they are.

    The days end `until`, which is `now` unless somebody names it; it may not be read from the events.

    Raises:
        MissingArtifact: the data set has no table of items, so nothing but events would say which items there are.
        BudgetSpent: the account does not allow it; nothing is written.
    """
    how = mechanism(policy.epsilon, policy.contributions)
    items = _declared_items(workspace)
    users, met = _events(workspace, policy, until or now)
    left = budget_of(workspace, epsilon=policy.budget, days=policy.budget_days).spend(
        policy.epsilon, what=f"{REPORT}, {len(items)} items, {policy.days:g} days", now=now
    )
    counts = np.maximum(noisy(bounded_counts(users, met, items, policy.contributions), how), 0)
    order = np.lexsort((np.array(items), -counts))
    report = {
        "made_at": now.isoformat(),
        "epsilon": policy.epsilon,
        "mechanism": "discrete Laplace",
        "scale": how.scale,
        "contributions": policy.contributions,
        "days": policy.days,
        "until": (until or now).isoformat(),
        "within_95": within(how),
        "budget": {"epsilon": policy.budget, "days": policy.budget_days, "left": left},
        "items": [{"item_id": items[place], "people": int(counts[place])} for place in order.tolist()],
    }
    write_json(workspace.reports / REPORT, report)
    return report


def _declared_items(workspace: Workspace) -> list[str]:
    path = entity_rows(workspace, "item_id")
    if not path.exists():
        raise MissingArtifact(
            f"popularity is published over a declared table of items, and {active_dataset(workspace).name} has none: "
            "an item that only events name would give its first person away"
        )
    return sorted(set(pq.read_table(path, columns=["item_id"])["item_id"].to_pylist()))


def _events(workspace: Workspace, policy: PublicationPolicy, until: datetime) -> tuple[Any, Any]:
    weights = active_dataset(workspace).weights
    table = pq.read_table(workspace.events, columns=["user_id", "item_id", "timestamp", "event_type"])
    positive = pa.array([kind for kind, weight in weights.items() if weight > 0], pa.string())
    since = until - timedelta(days=policy.days)
    inside = pc.and_(pc.greater(table["timestamp"], since), pc.less_equal(table["timestamp"], until))
    kept = table.filter(pc.and_(pc.is_in(table["event_type"], positive), inside))
    return kept["user_id"].to_numpy(), kept["item_id"].to_numpy()

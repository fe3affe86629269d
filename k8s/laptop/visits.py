"""Who asks in a rollout on a laptop: simulated people who click, or real held-out events.

Both ask at moments of the held-out window, which no version was trained on. Simulated people click what they are
shown, so quality can be judged; a real event happened without the slate, so whether the slate holds its item is shown
and never judged.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.prepare import active_dataset
from feature_repo.dataset.split import load_split

if TYPE_CHECKING:
    from monitoring.audience.audience import Audience

# Items that a person clicked, as places of the slate from 0; from the slate's item ids.
Clicks = Callable[[Sequence[str]], Sequence[int]]


@dataclass(frozen=True)
class Visit:
    """One request that is to be sent. `chosen` is the item of a real event; `clicks` is how a simulated person acts."""

    user_id: str
    moment: datetime
    context: Mapping[str, str] = field(default_factory=dict)
    chosen: str | None = None
    clicks: Clicks | None = None


def held_out_visits(workspace: Workspace) -> list[Visit]:
    """The events of the held-out window, in time order."""
    if not workspace.events.exists():
        raise MissingArtifact(f"{workspace.events} is not there: run `make data` first")
    split = load_split(workspace)
    window = [("timestamp", ">=", split.challenger_end), ("timestamp", "<", split.test_end)]
    declared = active_dataset(workspace).events.context
    columns = ["user_id", "item_id", "timestamp", *declared]
    rows = pq.read_table(workspace.events, columns=columns, filters=window).to_pylist()
    return [
        Visit(
            user_id=row["user_id"],
            moment=row["timestamp"],
            context={name: row[name] for name in declared if row[name] is not None},
            chosen=row["item_id"],
        )
        for row in rows
    ]


def simulated_visits(audience: "Audience", moments: Iterable[datetime], *, seed: int) -> Iterator[Visit]:
    """Endless visits of simulated people at these moments, over and over."""
    people = audience.requests(np.random.default_rng([seed, 0]))
    for number, (person, moment) in enumerate(zip(people, itertools.cycle(moments), strict=False), start=1):

        def clicks(
            slate: Sequence[str], user: str = person.user_id, at: datetime = moment, draw: int = number
        ) -> Sequence[int]:
            # A generator for each visit: several are under way at a time.
            clicked = audience.clicks(user, slate, at, np.random.default_rng([seed, draw]))
            return [int(place) for place in np.flatnonzero(clicked)]

        yield Visit(person.user_id, moment, person.context, clicks=clicks)

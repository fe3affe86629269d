"""The global time split: one moment divides the past that a model may learn from, for every user alike."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from feature_repo.core.errors import DatasetError
from feature_repo.core.workspace import Workspace, read_json

CHAMPION_SHARE = 0.7  # of the events: what the first model learns from
CHALLENGER_SHARE = 0.8  # of the events: what the next one learns from; the rest is held out from both
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


@dataclass(frozen=True)
class Split:
    """Moments in UTC. A model trained until X sees events strictly before X; held out is [challenger_end, test_end)."""

    start: datetime
    champion_end: datetime
    challenger_end: datetime
    test_end: datetime


def split_by_time(events: pa.Table) -> Split:
    """Cut at the shares of events, at a moment's border: events of one moment are never divided."""
    moments = np.sort(events["timestamp"].cast(pa.int64()).to_numpy())
    champion, challenger = (moments[int(share * len(moments))] for share in (CHAMPION_SHARE, CHALLENGER_SHARE))
    if not moments[0] < champion < challenger < moments[-1]:
        raise DatasetError(
            f"a time split needs events at several moments; got {len(np.unique(moments))} moments "
            f"from {from_microseconds(moments[0])} to {from_microseconds(moments[-1])}"
        )
    return Split(*(from_microseconds(int(m)) for m in (moments[0], champion, challenger, moments[-1] + 1)))


def from_microseconds(moment: int) -> datetime:
    return datetime.fromtimestamp(int(moment) // 1_000_000, tz=UTC).replace(microsecond=int(moment) % 1_000_000)


def to_microseconds(moment: datetime) -> int:
    return (moment.astimezone(UTC) - EPOCH) // MICROSECOND


def parse_moment(text: str, *, option: str, words: str) -> datetime:
    """A moment that a user wrote: ISO 8601 with a zone. `words` are what the option takes besides."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise DatasetError(f"{option} is {words} or ISO 8601 with a zone; got {text!r}") from None
    if moment.tzinfo is None:
        raise DatasetError(f"{option} needs a time zone, as in 1998-03-01T00:00:00Z; got {text!r}")
    return moment


def load_split(workspace: Workspace) -> Split:
    """The split that `make data` wrote."""
    written = read_json(workspace.events.with_name("split.json"), made_by="make data")
    return Split(**{name: datetime.fromisoformat(moment) for name, moment in written.items()})

"""What the page shows beside an answer: people to pick from, and the event types that it can send."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.core.workspace import Workspace

MAX_PEOPLE = 5_000  # held in memory for the search; any other id can still be typed
SHOWN_PEOPLE = 20  # of one search
OFFERED_ATTRIBUTES, OFFERED_VALUES = 5, 24  # of each attribute the commonest values; more is no small form
SUPPRESSING = ("hide", "dislike")  # event types that every data set takes


@dataclass(frozen=True)
class Person:
    """A user as a line to pick: how many events there are until the data's end, and declared attributes as words."""

    user_id: str
    events: int
    about: str


@dataclass(frozen=True)
class PageData:
    """Read once, when the page is first opened. `people` are the latest active first."""

    people: tuple[Person, ...]
    event_types: tuple[str, ...]


def people_of(events: pa.Table, users: pa.Table | None, *, limit: int = MAX_PEOPLE) -> tuple[Person, ...]:
    """The `limit` users with the latest events (user_id, timestamp), and what a table of attributes says of them."""
    counted = events.group_by("user_id").aggregate([("timestamp", "count"), ("timestamp", "max")])
    newest = counted.sort_by([("timestamp_max", "descending"), ("user_id", "ascending")]).slice(0, limit)
    about = _attributes(users, newest["user_id"]) if users is not None else {}
    return tuple(
        Person(user_id, count, about.get(user_id, ""))
        for user_id, count in zip(newest["user_id"].to_pylist(), newest["timestamp_count"].to_pylist(), strict=True)
    )


def search(people: Sequence[Person], text: str, *, limit: int = SHOWN_PEOPLE) -> list[Person]:
    """People whose id begins with `text`, then those whose id or attributes hold it; all of them for an empty text."""
    wanted = text.strip().casefold()
    begins = [p for p in people if p.user_id.casefold().startswith(wanted)]
    if len(begins) < limit:
        first = {p.user_id for p in begins}
        begins += [p for p in people if p.user_id not in first and wanted in f"{p.user_id} {p.about}".casefold()]
    # The one whose id it is comes first, however lately others were active.
    return sorted(begins, key=lambda person: person.user_id.casefold() != wanted)[:limit]


def event_types_of(weights: Mapping[str, float]) -> tuple[str, ...]:
    """The data set's event types by rising weight, then those that suppress an item."""
    positive = sorted((name for name, weight in weights.items() if weight > 0), key=lambda name: (weights[name], name))
    return (*positive, *SUPPRESSING)


def history_of(user: Mapping[str, Any], *, limit: int) -> list[dict[str, Any]]:
    """The newest items of a raw user row, newest first, as item_id and a moment in ISO 8601."""
    items, times = user.get("history_items"), user.get("history_times")
    if items is None or times is None:
        return []
    newest = list(zip(items, times, strict=True))[-limit:]
    moments = (np.datetime64(int(microseconds), "us") for _, microseconds in newest)
    rows = [{"item_id": item, "at": f"{moment}Z"} for (item, _), moment in zip(newest, moments, strict=True)]
    return rows[::-1]


def offered_of(columns: Mapping[str, np.ndarray[Any, Any]]) -> list[dict[str, Any]]:
    """Attributes of items, texts [m] or lists of them [m, w], with the values that a person may pick, by name.

    An attribute whose commonest values are of less than half of the items, as a title's are, is left out.
    """
    found = []
    for name, column in columns.items():
        if column.dtype.kind != "O":
            continue
        cells = column if column.ndim == 2 else column[:, None]
        commonest = Counter(cell for cell in cells.ravel().tolist() if cell).most_common(OFFERED_VALUES)
        values = {value for value, items in commonest if items > 1}
        covered = sum(any(cell in values for cell in row) for row in cells.tolist())
        if len(values) > 1 and 2 * covered >= len(cells):
            found.append({"attribute": name, "values": sorted(values)})
    return found[:OFFERED_ATTRIBUTES]


def open_page_data(workspace: Workspace, *, until: datetime) -> PageData:
    """Read the event log up to `until`, the users table and the declaration; a part that is not there stays empty."""
    # Loaded long ago by the start; at the top of this file they would load DuckDB and pandas in Bento's supervisor.
    import pyarrow.dataset as ds

    from feature_repo.core.errors import MissingArtifact
    from feature_repo.dataset.prepare import active_dataset, entity_rows

    try:
        weights: Mapping[str, float] = active_dataset(workspace).weights
    except MissingArtifact:
        weights = {}
    people: tuple[Person, ...] = ()
    if workspace.events.exists():
        known = pc.field("timestamp") <= pa.scalar(until, pa.timestamp("us", tz="UTC"))
        events = ds.dataset(workspace.events).to_table(columns=["user_id", "timestamp"], filter=known)
        table = entity_rows(workspace, "user_id")
        people = people_of(events, pq.read_table(table) if table.exists() else None)
    return PageData(people, event_types_of(weights))


def as_json(people: Sequence[Person]) -> list[dict[str, Any]]:
    return [asdict(person) for person in people]


def _attributes(users: pa.Table, wanted: pa.ChunkedArray) -> dict[str, str]:
    """What is declared of each wanted user, as one line of words; of several rows the last."""
    table = users.filter(pc.is_in(users["user_id"], wanted.combine_chunks()))
    names = [name for name in table.column_names if name not in ("user_id", "valid_from", "recorded")]
    return {
        row["user_id"]: ", ".join(_words(name, row[name]) for name in names if row[name] not in (None, []))
        for row in table.to_pylist()
    }


def _words(name: str, value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(part) for part in value)
    # A number says nothing without its name; 24.0 is 24 to a reader.
    return f"{name.replace('_', ' ')} {value:g}" if isinstance(value, int | float) else str(value)

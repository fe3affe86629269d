"""How one view is joined, as SQL; nothing here touches a disk.

Feast's rule, for an entity row at time t: among the feature rows with the same keys and `time <= t` the one with the
greatest (time, created) counts, unless `time + ttl < t`. An ASOF join finds the greatest value of one expression that
does not exceed another, in one sorted pass, so the rule is put into that expression:

- without a created timestamp it is the time;
- with one it is the pair (time, created), asked for at (t, infinity);
- where only rows with `created <= t` count too, a row takes effect at `greatest(time, created)`. The row that counts at
  t is the greatest (time, created) among those in effect. A row that is not the greatest among those in effect when it
  takes effect itself never counts, since rows only ever join: without these, the last to take effect is the greatest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from feast import FeatureView
from feast.feature_view import DUMMY_ENTITY_ID

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class ViewJoin:
    """One view's part of the join. `keys` maps columns of the source to columns of the entity frame.

    `time`, `created` and `features` are columns of the source. A `ttl` of None means that rows do not grow old.
    `as_known` leaves out what was created after the entity row's time.
    """

    keys: Mapping[str, str]
    time: str
    created: str | None
    ttl: timedelta | None
    features: tuple[str, ...]
    as_known: bool


def view_join(view: FeatureView, features: tuple[str, ...], *, as_known: bool) -> ViewJoin:
    """The join of `features` of `view`, in the names of its source: a field mapping renames from those."""
    source = view.batch_source
    original = {new: old for old, new in source.field_mapping.items()}
    renamed = view.projection.join_key_map or {}
    keys = [column.name for column in view.entity_columns if column.name != DUMMY_ENTITY_ID]
    created = source.created_timestamp_column or None
    return ViewJoin(
        keys={original.get(key, key): renamed.get(key, key) for key in keys},
        time=original.get(source.timestamp_field, source.timestamp_field),
        created=created and original.get(created, created),
        ttl=view.ttl or None,
        features=tuple(original.get(feature, feature) for feature in features),
        as_known=as_known and created is not None,
    )


def asof_sql(join: ViewJoin, source: str) -> str:
    """One row for each row of the relation `asked`, ordered by its `place`, with the columns `value_0`, `value_1`, ...

    `asked` has a row for each entity row: `place`, `at` (its time) and its keys in their order, `key_0`, `key_1`, ...
    `source` is what SQL calls the view's table.
    """
    bound = "asked.at"
    if join.created and not join.as_known:
        # A struct with a null in it compares as the greatest, so a row without a time must ask for nothing.
        bound = "CASE WHEN asked.at IS NOT NULL THEN ROW(asked.at, 'infinity'::TIMESTAMPTZ) END"
    match = "".join(f"asked.key_{n} = state.key_{n} AND " for n in range(len(join.keys)))
    values = ", ".join(f"{_while_alive(join, f'state.value_{n}')} AS value_{n}" for n in range(len(join.features)))
    return f"""
        SELECT {values} FROM asked
        ASOF LEFT JOIN ({_state_sql(join, source)}) AS state ON {match} {bound} >= state.moment
        ORDER BY asked.place"""


def _while_alive(join: ViewJoin, value: str) -> str:
    if join.ttl is None:
        return value
    return f"CASE WHEN state.stamp >= asked.at - INTERVAL ({join.ttl // _MICROSECOND}) MICROSECONDS THEN {value} END"


def _state_sql(join: ViewJoin, source: str) -> str:
    """The view's rows, each with the `moment` by which the join finds it."""
    if not join.created:
        return f"SELECT {_columns(join)}, stamp AS moment FROM ({_dated(join, source)})"
    if not join.as_known:
        pair = "ROW(stamp, coalesce(created, '-infinity'::TIMESTAMPTZ)) AS moment"
        return f"SELECT {_columns(join)}, {pair} FROM ({_dated(join, source)})"
    keys = [f"key_{n}" for n in range(len(join.keys))]
    partition = f"PARTITION BY {', '.join(keys)}" if keys else ""
    # Read twice: the window sorts keys and times alone, and not every feature with them.
    narrow = f"SELECT {', '.join([*keys, 'stamp', 'created'])} FROM ({_dated(join, source)})"
    never_count = f"""{narrow} QUALIFY ROW(stamp, created) < max(ROW(stamp, created)) OVER (
        {partition} ORDER BY greatest(stamp, created) RANGE UNBOUNDED PRECEDING)"""
    return f"""
        SELECT {_columns(join)}, greatest(stamp, created) AS moment FROM ({_dated(join, source)})
        ANTI JOIN ({never_count}) USING ({", ".join([*keys, "stamp", "created"])})"""


def _columns(join: ViewJoin) -> str:
    keys = [f"key_{n}" for n in range(len(join.keys))]
    return ", ".join([*keys, "stamp", *(f"value_{n}" for n in range(len(join.features)))])


def _dated(join: ViewJoin, source: str) -> str:
    """The rows of `source` that have a time, under names that no column of a team's table can clash with."""
    time = _utc(join.time)
    # Feast hands out a view's own time, asked for as a feature, in UTC; so do its stores with the created timestamp.
    times = {name: _utc(name) for name in (join.time, join.created) if name}
    columns = [f"{quoted(key)} AS key_{n}" for n, key in enumerate(join.keys)]
    columns += [f"{times.get(name, quoted(name))} AS value_{n}" for n, name in enumerate(join.features)]
    present = [f"{_utc(name)} IS NOT NULL" for name in (join.time, join.created if join.as_known else None) if name]
    created = f", {_utc(join.created)} AS created" if join.created else ""
    return f"SELECT {', '.join(columns)}, {time} AS stamp{created} FROM {source} WHERE {' AND '.join(present)}"


def _utc(column: str) -> str:
    return f"CAST({quoted(column)} AS TIMESTAMPTZ)"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

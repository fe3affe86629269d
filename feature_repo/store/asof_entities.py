"""The entity frame as Arrow: its own columns for the answer, and its times for the join."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import pandas as pd
import pyarrow as pa
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df

from feature_repo.core.errors import JoinRefused


@dataclass(frozen=True)
class EntityRows:
    """What is asked. `times` is n UTC microseconds, `table` the n rows of the frame; `first` and `last` bound them."""

    table: pa.Table
    times: pa.ChunkedArray
    time_column: str
    first: datetime
    last: datetime


def entity_rows(frame: pd.DataFrame) -> EntityRows:
    """`frame` in its own order, without its index.

    Times without a zone are UTC. Fractions of a microsecond are cut off, so that a row never sees what came after it.

    Raises:
        EntityTimestampInferenceException: no column, or more than one, may be the time.
    """
    time_column = infer_event_timestamp_from_entity_df(dict(frame.dtypes))
    times = frame[time_column].infer_objects()
    if not pd.api.types.is_datetime64_any_dtype(times):
        times = pd.to_datetime(times, utc=True)
    # pandas goes down to the microsecond before, also before 1970, where Arrow would go up.
    times = times.astype(pd.DatetimeTZDtype("us", times.dt.tz) if times.dt.tz else "datetime64[us]")
    table = _as_duckdb_returns(pa.Table.from_pandas(frame.assign(**{time_column: times}), preserve_index=False))
    return EntityRows(
        # pandas' own description of the frame would claim types that the columns no longer have.
        table=table.replace_schema_metadata(None),
        times=table[time_column].cast(pa.timestamp("us", "UTC")),
        time_column=time_column,
        first=times.min().to_pydatetime(warn=False),
        last=times.max().to_pydatetime(warn=False),
    )


def require_frame(entity_df: object, unsupported: Iterable[str]) -> pd.DataFrame:
    """`entity_df`; raises JoinRefused where it is no frame, or an argument came that no store of ours knows."""
    if sorted(unsupported) or not isinstance(entity_df, pd.DataFrame):
        raise JoinRefused(
            f"expected an entity frame as a pandas DataFrame; got {type(entity_df).__name__} {sorted(unsupported)}"
        )
    return entity_df


def refuse_clashes(rows: EntityRows, views: Iterable[tuple[str, Iterable[str], Iterable[str]]]) -> None:
    """Raise JoinRefused where a view's key is no column of the frame, or a feature has the name of one.

    `views` gives each view's name, the frame's columns that hold its keys, and its columns in the answer.
    """
    present = rows.table.column_names
    for view, keys, columns in views:
        missing = [key for key in keys if key not in present]
        if missing:
            raise JoinRefused(f"expected a column for each key of the view {view!r}; got {present}, without {missing}")
        taken = [column for column in columns if column in present]
        if taken:
            raise JoinRefused(
                f"expected features of the view {view!r} to have names of their own; the entity frame has {taken} too: "
                "rename them, or use full_feature_names"
            )


def _as_duckdb_returns(table: pa.Table) -> pa.Table:
    """`table` with the types that come out of DuckDB: whole microseconds, and plain values for categories."""
    for place, field in enumerate(table.schema):
        column = table.column(place)
        if pa.types.is_dictionary(field.type):
            table = table.set_column(place, field.name, column.cast(field.type.value_type))
        elif pa.types.is_timestamp(field.type) and field.type.unit != "us":
            whole = column.cast(pa.timestamp("us", field.type.tz), safe=False)
            table = table.set_column(place, field.name, whole)
    return table

"""Time arithmetic that every state transform shares.

Transforms count in `moment_us`, an event's time as whole microseconds since 1970: engines disagree on what their own
functions make of a fraction of a second.
"""

import ibis
import pyarrow as pa
from ibis.expr.types import IntegerValue, TimestampValue

MICROSECONDS_A_DAY = 86_400_000_000


def with_microseconds(events: pa.Table) -> pa.Table:
    """`events` with the column `moment_us`."""
    return events.append_column("moment_us", events["timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()))


def after(timestamp: TimestampValue) -> TimestampValue:
    """The stamp of a state that includes the event at `timestamp`.

    Feast joins with `<=`: stamped with its event's own time, a state would show a label its own event.
    """
    return timestamp + ibis.interval(microseconds=1)


def days_of(moment_us: IntegerValue) -> IntegerValue:
    """Whole days since 1970, in UTC."""
    return (moment_us // MICROSECONDS_A_DAY).cast("int64")


def whole(total: IntegerValue) -> IntegerValue:
    """An integer sum as 64 bits: DuckDB sums integers into 128, which parquet would store as a double."""
    return total.cast("float64").cast("int64")

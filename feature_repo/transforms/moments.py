"""Time and amounts as whole numbers, which every state transform counts in.

`moment_us` is an event's time as microseconds since 1970, `thousandths` its value times 1,000: engines disagree on what
their own functions make of a fraction of a second, and sums of whole numbers do not depend on their order.
"""

import ibis
import pyarrow as pa
import pyarrow.compute as pc
from ibis.expr.types import IntegerColumn, IntegerValue, TimestampValue

from feature_repo.transforms.state import MICROSECONDS_A_DAY, THOUSANDTHS


def as_log(events: pa.Table) -> pa.Table:
    """`events` with the columns `moment_us`, and `thousandths`, which is null where there is no value."""
    moments = events["timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    values = events["value"] if "value" in events.column_names else pa.nulls(events.num_rows, pa.float64())
    rounded = pc.floor(pc.add(pc.multiply(values, float(THOUSANDTHS)), 0.5)).cast(pa.int64())
    return events.append_column("moment_us", moments).append_column("thousandths", rounded)


def after(timestamp: TimestampValue) -> TimestampValue:
    """The stamp of a state that includes the event at `timestamp`.

    Feast joins with `<=`: stamped with its event's own time, a state would show a label its own event.
    """
    return timestamp + ibis.interval(microseconds=1)


def days_of(moment_us: IntegerValue) -> IntegerValue:
    """Whole days since 1970, in UTC."""
    return (moment_us // MICROSECONDS_A_DAY).cast("int64")


def midnight(day: IntegerColumn) -> TimestampValue:
    """The first moment of a day since 1970, in UTC: the stamp of a state that includes all days before it."""
    return (day * (MICROSECONDS_A_DAY // 1_000_000)).as_timestamp("s").cast("timestamp('UTC', 6)")


def whole(total: IntegerValue) -> IntegerValue:
    """An integer sum as 64 bits: DuckDB sums integers into 128, which parquet would store as a double."""
    return total.cast("float64").cast("int64")

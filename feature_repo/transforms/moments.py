"""Time arithmetic that every state transform shares."""

import ibis
from ibis.expr.types import IntegerValue, TimestampValue

MICROSECONDS_A_DAY = 86_400_000_000


def after(timestamp: TimestampValue) -> TimestampValue:
    """The stamp of a state that includes the event at `timestamp`.

    Feast joins with `<=`: stamped with its event's own time, a state would show a label its own event.
    """
    return timestamp + ibis.interval(microseconds=1)


def microseconds_of(timestamp: TimestampValue) -> IntegerValue:
    return timestamp.epoch_seconds().cast("int64") * 1_000_000 + timestamp.microsecond().cast("int64")


def days_of(timestamp: TimestampValue) -> IntegerValue:
    """Whole days since 1970, in UTC."""
    return (timestamp.epoch_seconds().cast("int64") // 86_400).cast("int64")


def whole(total: IntegerValue) -> IntegerValue:
    """An integer sum as 64 bits: DuckDB sums integers into 128, which parquet would store as a double."""
    return total.cast("float64").cast("int64")

"""The unified event: what every row of the event log is, once it is through the door."""

from collections.abc import Callable
from datetime import UTC, datetime

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pandera
import pyarrow as pa
from pandera.errors import SchemaErrors

from feature_repo.core.errors import DatasetError
from feature_repo.dataset.declaration import Dataset
from feature_repo.dataset.event_id import ID_DIGITS

MOMENT = dt.Timestamp(timezone="UTC", scale=6)
FIRST_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)
REPLACED_OR_CONTROL = r"[\p{Cc}\x{FFFD}]"


def event_schema(dataset: Dataset) -> pandera.DataFrameSchema:
    """Columns, types and rules of `dataset`'s events, in their order; no column more and none less."""
    limits = dataset.cleaning
    low, high = limits.value_range
    # The platform's own event ids are hashes, however short the team's ids must be.
    own_id, name = _name(max(limits.id_characters, ID_DIGITS)), _name(limits.id_characters)
    columns = {
        "event_id": pandera.Column(dt.string, own_id),
        "user_id": pandera.Column(dt.string, name),
        "item_id": pandera.Column(dt.string, name),
        "timestamp": pandera.Column(MOMENT, _check(lambda c: c >= FIRST_MOMENT, "since 1970")),
        "event_type": pandera.Column(dt.string, pandera.Check.isin(sorted(dataset.weights))),
        "value": pandera.Column(dt.float64, pandera.Check.in_range(low, high), nullable=True),
        "request_id": pandera.Column(dt.string, name, nullable=True),
        "position": pandera.Column(dt.int32, pandera.Check.ge(0), nullable=True),
        "consent": pandera.Column(dt.boolean, nullable=True),
        **{column: pandera.Column(dt.string, nullable=True) for column in dataset.events.context},
        "score": pandera.Column(dt.float64, pandera.Check.isin(sorted(set(dataset.weights.values())))),
    }
    return pandera.DataFrameSchema(columns, strict=True, ordered=True)


def check_events(events: pa.Table, dataset: Dataset) -> None:
    """Prove that `events` are what the schema says.

    Raises:
        DatasetError: they are not; the sentence names column and rule.
    """
    broken = _first_broken_rule(events, dataset)
    if broken:
        raise DatasetError(f"the event log breaks its own schema: {broken}")


def _first_broken_rule(events: pa.Table, dataset: Dataset) -> str | None:
    try:
        event_schema(dataset).validate(ibis.memtable(events), lazy=True)
    except SchemaErrors as errors:
        first = errors.schema_errors[0]
        return f"{first.schema.name or 'the table'}: {first.check or first}"
    return None


def _name(most: int) -> pandera.Check:
    return _check(
        lambda c: c.length().between(1, most) & ~c.re_search(REPLACED_OR_CONTROL),
        f"1 to {most} characters of valid UTF-8 without control characters",
    )


def _check(holds: Callable[[ibis.expr.types.Column], ibis.expr.types.BooleanColumn], words: str) -> pandera.Check:
    return pandera.Check(lambda data: holds(data.table[data.key]), error=words)

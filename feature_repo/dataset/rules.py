"""What one event must be, whatever the others are: each rule as SQL over a row that was read."""

from collections.abc import Sequence

from feature_repo.dataset.cleaning import Cleaning
from feature_repo.dataset.declaration import Dataset
from feature_repo.dataset.sql import REPLACEMENT, literal

BROKEN_LINE = "line cannot be read as csv"
NOT_OF_TYPE = {
    "value": "value is not a number",
    "position": "position is not a whole number",
    "consent": "consent is not true or false",
}


def row_rules(dataset: Dataset, *, now: str) -> Sequence[tuple[str, str]]:
    """(reason, SQL that holds for a row to refuse), in the order of checking; `now` is SQL of that moment."""
    limits = dataset.cleaning
    low, high = limits.value_range
    types = ", ".join(literal(kind) for kind in sorted(dataset.weights))
    return (
        *key_rules("user_id", limits),
        ("item_id is missing", _blank("item_id")),
        ("item_id is malformed", _malformed("item_id", limits)),
        ("event_id is malformed", _malformed("event_id", limits)),
        ("request_id is malformed", _malformed("request_id", limits)),
        ("timestamp is missing", f"timestamp IS NULL AND ({_blank('raw_timestamp')})"),
        ("timestamp cannot be read", "timestamp IS NULL"),
        ("timestamp is before 1970", "timestamp < TIMESTAMPTZ '1970-01-01 00:00:00+00'"),
        ("timestamp is after now", f"timestamp > {now}"),
        ("event type is missing", _blank("event_type")),
        ("event type has no weight", f"event_type NOT IN ({types})"),
        *((reason, f"_unreadable = '{name}'") for name, reason in NOT_OF_TYPE.items()),
        (NOT_OF_TYPE["position"], "position < 0"),
        ("value is not finite", "NOT isfinite(value)"),
        ("value is out of range", f"value NOT BETWEEN {low!r} AND {high!r}"),
    )


def key_rules(key: str, limits: Cleaning) -> Sequence[tuple[str, str]]:
    """The rules that a row of a users or items table keeps."""
    return (
        (BROKEN_LINE, "_line IS NOT NULL"),
        (f"{key} is missing", _blank(key)),
        (f"{key} is malformed", _malformed(key, limits)),
    )


def _blank(column: str) -> str:
    return f"{column} IS NULL OR trim({column}) = ''"


def _malformed(column: str, limits: Cleaning) -> str:
    """Too long, with a control character, or from bytes that were no UTF-8."""
    signs = rf"[\p{{Cc}}{REPLACEMENT}]"
    return f"length({column}) > {limits.id_characters} OR regexp_matches({column}, '{signs}')"

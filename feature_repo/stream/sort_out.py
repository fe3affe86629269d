"""What becomes of each record of a batch, before anything is written."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from feature_repo.dataset.consent import NO_CONSENT
from feature_repo.dataset.split import to_microseconds
from feature_repo.stream.bus import Record
from feature_repo.stream.payload import Refused, Rules, StreamEvent, parse
from feature_repo.stream.quarantine import RefusedRecord, refused_record


@dataclass(frozen=True)
class Counts:
    """What became of records: read = applied + repeated + late + erased + refused, always."""

    read: int = 0
    applied: int = 0
    repeated: int = 0  # counted before, known by their ids
    late: int = 0  # before what the batch state covers: the next `make data` counts them
    erased: int = 0  # of users who were erased
    refused: int = 0  # in the quarantine, each with its reason, but for those without consent

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True)
class SortedOut:
    """`events` are new, each id once; `refused` are for the quarantine, without those of erased users and those that
    nobody agreed to."""

    counts: Counts
    events: tuple[StreamEvent, ...]
    refused: tuple[RefusedRecord, ...]


def sort_out(
    records: Sequence[Record],
    rules: Rules,
    *,
    now: datetime,
    horizon_us: int,
    known: Callable[[Sequence[str]], set[str]],
    erased: Callable[[Iterable[str]], list[str]],
) -> SortedOut:
    """Judge every record. `known` says which event ids were counted, `erased` which users are gone; events before
    `horizon_us` are the batch's to count."""
    now_us = to_microseconds(now)
    parsed = [parse(record.payload, rules, now_us=now_us) for record in records]
    refused = [
        refused_record(record.position, record.payload, reason=found.reason, at=now.isoformat())
        for record, found in zip(records, parsed, strict=True)
        if isinstance(found, Refused)
    ]
    valid = [found for found in parsed if isinstance(found, StreamEvent)]
    named = {event.user_id for event in valid} | {record.user_id for record in refused if record.user_id}
    gone = frozenset(erased(named))
    kept = [event for event in valid if event.user_id not in gone]
    timely = [event for event in kept if event.moment_us >= horizon_us]
    counted = known([event.event_id for event in timely])
    # Of several with one id in a batch the first to come counts.
    new = {event.event_id: event for event in reversed(timely) if event.event_id not in counted}
    counts = Counts(
        read=len(records),
        applied=len(new),
        repeated=len(timely) - len(new),
        late=len(kept) - len(timely),
        erased=len(valid) - len(kept),
        refused=len(refused),
    )
    kept_records = tuple(r for r in refused if r.user_id not in gone and r.reason != NO_CONSENT)
    return SortedOut(counts, tuple(new.values()), kept_records)

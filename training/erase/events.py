"""The event log: valid events, refused ones, and the rows of the users table."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.core.workspace import Workspace, read_json, write_json
from feature_repo.dataset.erased import ERASED
from feature_repo.dataset.prepare import entity_rows
from feature_repo.dataset.report import markdown_of
from training.erase.arrow import USER_COLUMN, replace_parquet, rewrite_without
from training.erase.person import Person
from training.erase.stores import count_below

DATA_REPORT, DATA_PAGE = "data.json", "data_report.md"
# A line that is no row may hold anybody's; so the door, too, empties it when somebody was erased.
LINE = "raw_line"


@dataclass(frozen=True)
class EventLog:
    """`store/events`, and the counts of it in `reports/data.json`."""

    workspace: Workspace
    person: Person
    name: str = "event log and quarantine"

    @property
    def roots(self) -> tuple[Path, ...]:
        return (self.workspace.events.parent,)

    def find(self) -> int:
        return count_below(self.roots, self.person)

    def erase(self) -> int:
        if not self.workspace.events.exists():
            return 0
        removed = rewrite_without(self.workspace.events, self.person)
        removed += self._empty_refused_rows()
        users = entity_rows(self.workspace, USER_COLUMN)
        return removed + (rewrite_without(users, self.person) if users.exists() else 0)

    def _empty_refused_rows(self) -> int:
        """Leave of each row its count and one reason, as `make data` does; returns how many rows were emptied."""
        report_path = self.workspace.reports / DATA_REPORT
        if not report_path.exists():
            return 0
        report = dict(read_json(report_path, made_by="make data"))
        quarantine = pq.read_table(self.workspace.quarantine)
        events = pq.read_table(self.workspace.events, columns=[USER_COLUMN, "item_id"])
        # As many empty rows as are missing from what was read: the same number however often this runs.
        rest = anonymous(quarantine, self.person)
        emptied = empty_rows(quarantine.schema, int(report["read"]) - events.num_rows - rest.num_rows)
        written = pa.concat_tables([rest, emptied])
        if not written.equals(quarantine):
            replace_parquet(written, self.workspace.quarantine)
        report = recounted(report, events=events, quarantine=written, keyed_hash=self.person.keyed_hash)
        (self.workspace.reports / DATA_PAGE).write_text(markdown_of(report), encoding="utf-8")
        write_json(report_path, report)
        return int(pc.sum(pc.equal(quarantine[USER_COLUMN], self.person.user_id)).as_py() or 0)


def anonymous(quarantine: pa.Table, person: Person) -> pa.Table:
    """The refused rows of others, without lines that could not be read."""
    mine = pc.fill_null(pc.equal(quarantine[USER_COLUMN], person.user_id), False)
    others = quarantine.filter(pc.and_(pc.invert(mine), pc.not_equal(quarantine["reason"], ERASED)))
    line = others.schema.field(LINE)
    return others.set_column(others.column_names.index(LINE), line, pa.nulls(others.num_rows, line.type))


def empty_rows(schema: pa.Schema, count: int) -> pa.Table:
    """`count` rows that say nothing but their reason."""
    columns = [pa.array([ERASED] * count) if f.name == "reason" else pa.nulls(count) for f in schema]
    return pa.table([column.cast(f.type) for column, f in zip(columns, schema, strict=True)], schema=schema)


def recounted(report: Mapping[str, Any], *, events: pa.Table, quarantine: pa.Table, keyed_hash: str) -> dict[str, Any]:
    """What data.json says of the rows that are left; other data have another fingerprint. Safe to repeat."""
    reasons = quarantine["reason"].value_counts().to_pylist()
    counts = {
        "events": events.num_rows,
        "users": len(events[USER_COLUMN].unique()),
        "items": len(events["item_id"].unique()),
        "quarantined": quarantine.num_rows,
        "refused": {row["values"]: row["counts"] for row in sorted(reasons, key=lambda row: str(row["values"]))},
    }
    erased = list(report.get("erased", []))
    if keyed_hash in erased:
        return {**report, **counts}
    fingerprint = hashlib.sha256(f"{report['fingerprint']} without {keyed_hash}".encode()).hexdigest()
    return {**report, **counts, "erased": sorted([*erased, keyed_hash]), "fingerprint": fingerprint}

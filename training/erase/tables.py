"""The feature tables: rows of the person go, tables of items are built again from the events that are left.

A row of another user depends on that user's own events alone, so it stays as it is.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.prepare import active_dataset
from feature_repo.transforms.build import build_tables
from training.erase.arrow import USER_COLUMN, rewrite_without
from training.erase.person import Person
from training.erase.stores import count_below


@dataclass(frozen=True)
class FeatureTables:
    """`store/tables`."""

    workspace: Workspace
    person: Person
    name: str = "feature tables"

    @property
    def roots(self) -> tuple[Path, ...]:
        return (self.workspace.tables,)

    def find(self) -> int:
        return count_below(self.roots, self.person)

    def erase(self) -> int:
        tables = sorted(self.workspace.tables.glob("*.parquet"))
        removed = sum(rewrite_without(table, self.person) for table in tables)
        if tables:
            rebuild_item_tables(self.workspace)
        return removed


def rebuild_item_tables(workspace: Workspace) -> None:
    """Count every item anew, each table put in its place whole; needs no file of the team's."""
    folder = workspace.tables.with_name(".tables.partial")
    shutil.rmtree(folder, ignore_errors=True)
    events = pq.read_table(workspace.events)
    # Without the tables of users and items: their attributes are no aggregates of events.
    build_tables(active_dataset(workspace), events, users=None, items=None, folder=folder)
    for built in sorted(folder.glob("*.parquet")):
        if USER_COLUMN not in pq.read_schema(built).names:
            built.replace(workspace.tables / built.name)
    shutil.rmtree(folder)

"""Items as served: counted anew in the online store and in the snapshot, as of the moment that they were at.

The snapshot holds no user, and yet an item that one person alone met is that person's trace; so are older snapshots.
"""

import contextlib
import io
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from feast import FeatureStore

from feature_repo.core.workspace import Workspace, read_json, write_json
from feature_repo.dataset.split import to_microseconds
from feature_repo.store.item_table import POINTER, publish
from feature_repo.store.materialize import BEFORE_ALL, items_at
from feature_repo.store.open import open_store
from training.erase.online import OnlineStore
from training.erase.person import Person
from training.erase.stores import count_below

ITEM = "item_id"


@dataclass(frozen=True)
class ItemAggregates:
    """`store/snapshots` and the items of the online stores."""

    workspace: Workspace
    person: Person
    online: list[OnlineStore]
    name: str = "item snapshots"

    @property
    def roots(self) -> tuple[Path, ...]:
        return (self.workspace.snapshots,)

    def find(self) -> int:
        return count_below(self.roots, self.person)

    def erase(self) -> int:
        pointer = self.workspace.snapshots / POINTER
        if not pointer.exists():
            return 0
        before = read_json(pointer, made_by="make materialize")
        as_of = datetime.fromisoformat(str(before["as_of"]))
        store = open_store(self.workspace)
        for online in self.online:
            online.delete_all(ITEM)
        self._materialize_items(store, as_of)
        items = items_at(store, self.workspace, to_microseconds(as_of))
        published = publish(items, self.workspace, as_of=as_of)
        # Of the same batch state as before: what else the pointer says, the stream goes by it, still holds.
        write_json(pointer, {**before, **{name: read_json(pointer, made_by="")[name] for name in ("file", "sha256")}})
        old = [file for file in self.workspace.snapshots.glob("items-*") if file != published]
        for file in old:
            file.unlink()
        return len(old)

    def _materialize_items(self, store: FeatureStore, as_of: datetime) -> None:
        # Of items alone: what streaming has written of users since then stays.
        views = [view.name for view in store.list_feature_views() if view.entity_columns[0].name == ITEM]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            store.materialize(start_date=BEFORE_ALL, end_date=as_of, feature_views=views)

"""Every place of a workspace where a person may be, in the order in which they are erased."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from feature_repo.core.workspace import Workspace
from feature_repo.stream.bus import EventBus
from feature_repo.stream.connect import open_bus
from training.erase.aggregates import ItemAggregates
from training.erase.copies import Copies
from training.erase.declared import Declared
from training.erase.elsewhere import Elsewhere
from training.erase.events import EventLog
from training.erase.online import OnlineStore, open_online
from training.erase.online_users import OnlineFeatures
from training.erase.person import Person
from training.erase.reports import Reports
from training.erase.request_log import RequestLog
from training.erase.retrain import Retrain
from training.erase.rollouts import Rollouts
from training.erase.slates import Slates
from training.erase.stores import Store
from training.erase.stream import Bus, Received, StreamState
from training.erase.tables import FeatureTables
from training.erase.versions import Versions, known_versions


@dataclass
class Everything:
    """The stores of a workspace; `bus` is None where the folder of received events is the bus."""

    workspace: Workspace
    online: list[OnlineStore]
    bus: EventBus | None

    def __post_init__(self) -> None:
        self._searched: list[Bus] = []

    def data(self, person: Person) -> list[Store]:
        """What the models are made from: first the sources, then what is made from them."""
        self._searched = [Bus(self.bus, person)] if self.bus else []
        return [
            EventLog(self.workspace, person),
            Received(self.workspace, person),
            *self._searched,
            RequestLog(self.workspace, person),
            Slates(self.workspace, person),
            Declared(self.workspace, person),
            FeatureTables(self.workspace, person),
            StreamState(self.workspace, person),
            OnlineFeatures(person, self.online),
            ItemAggregates(self.workspace, person, self.online),
        ]

    def models(self, person: Person, retrain: Retrain, *, now: datetime) -> list[Store]:
        """What was made from the data."""
        return [
            Versions(self.workspace, person, retrain),
            Reports(self.workspace, person, lambda: known_versions(self.workspace)),
            Rollouts(self.workspace, person),
            Copies(self.workspace, person, now),
        ]

    def rest(self, person: Person, stores: Sequence[Store]) -> Store:
        """Every file that none of `stores` covers."""
        return Elsewhere(self.workspace, person, tuple(root for store in stores for root in store.roots))

    def said(self) -> list[str]:
        """What a bus says that does not erase."""
        return [bus.why for bus in self._searched if bus.why]


@contextmanager
def opened(workspace: Workspace) -> Iterator[Everything]:
    """Open the servers that the settings name.

    Raises:
        StoreUnavailable, BusUnavailable: one of them cannot be erased from, or is not there.
    """
    online = open_online(workspace)
    if not os.environ.get("BUS_URL"):
        yield Everything(workspace, online, None)
        return
    bus = open_bus(workspace)
    try:
        yield Everything(workspace, online, bus)
    finally:
        bus.close()

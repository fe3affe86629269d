"""How often new items were shown and taken up in this process: what the bandits of exploration learn from.

An impression counts when the slate goes out, a click when a liked event of the item names a slate. Each process learns
from its own slates; a restart begins anew, with the prior.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable

from serving.events import Event
from serving.graph.recent import HIDING
from serving.rerank.rewards import Rewards


class Explored:
    """Impressions and clicks of at most `items` items, those not shown for longest go first. Any thread may call it."""

    def __init__(self, *, items: int = 10_000) -> None:
        self._limit = items
        self._counts: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._lock = threading.Lock()
        self.rewards = Rewards(self._counts)

    def shown(self, item_ids: Iterable[str]) -> None:
        with self._lock:
            for item in item_ids:
                impressions, clicks = self._counts.get(item, (0, 0))
                self._counts[item] = (impressions + 1, clicks)
                self._counts.move_to_end(item)
            while len(self._counts) > self._limit:
                self._counts.popitem(last=False)

    def take(self, events: Iterable[Event]) -> None:
        """Count the clicks among received events, at most one for each impression."""
        with self._lock:
            for event in events:
                impressions, clicks = self._counts.get(event.item_id, (0, 0))
                if event.request_id and event.event_type not in HIDING and clicks < impressions:
                    self._counts[event.item_id] = (impressions, clicks + 1)

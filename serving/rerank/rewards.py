"""How often new items were shown and clicked: what bandits learn from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from serving.rerank.ranked import RerankRefused

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Rewards:
    """(impressions, clicks) by item id; an item that is not here was never shown."""

    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def of(self, item_ids: Array) -> tuple[Array, Array]:
        """Impressions and clicks, float64 [n] each.

        Raises:
            RerankRefused: an item has more clicks than impressions, or less than none.
        """
        rows = [self.counts.get(item, (0, 0)) for item in item_ids.tolist()]
        impressions, clicks = np.array(rows, np.float64).reshape(-1, 2).T
        wrong = ~((clicks >= 0) & (clicks <= impressions))
        if wrong.any():
            row = int(np.argmax(wrong))
            raise RerankRefused(f"clicks must be from 0 to the impressions; got {rows[row]} for {item_ids[row]}")
        return impressions, clicks


NO_REWARDS = Rewards()

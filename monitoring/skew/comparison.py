"""Logged requests beside retrieved ones: which values of which requests differ from those of given states."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from feature_repo.features.item import item_features
from feature_repo.features.pairs import PAIR_FEATURES, affinity_features
from feature_repo.features.request import CONTEXT_FEATURES
from monitoring.skew.compare import cells_differ, of_requests, rows_differ
from monitoring.skew.retrieved import Retrieval
from monitoring.skew.served import Served
from monitoring.skew.settings import SkewPolicy
from training.ranker_features import LAST_ITEM_SCORE
from training.retrieval.fusion import retrieval_features

Array = np.ndarray[Any, Any]

ROW, USER, ITEM, PAIR, MOMENT = "user row", "user", "item", "user and item", "moment"


@dataclass(frozen=True)
class Comparison:
    """`served` was asked for `user_ids` [r]; its matrix has the columns `names`, its raw user rows the keys `raw`."""

    served: Served
    user_ids: Array
    retrieval: Retrieval
    names: Sequence[str]
    raw: Sequence[str]
    policy: SkewPolicy

    @property
    def sides(self) -> dict[str, str]:
        """Where the state behind each compared feature of the matrix comes from.

        What retrieval scored, and what the caller told of the context, has no stored state and is left out.
        """
        plan = self.retrieval.encoder.plan
        of_item, of_pair = set(item_features(plan)), {*PAIR_FEATURES, *affinity_features(plan.tastes)}
        outside = {*retrieval_features(self.retrieval.retrievers), LAST_ITEM_SCORE}
        found = {}
        for name in self.names:
            if name not in outside and not name.startswith("context:"):
                item = name in of_item or name.startswith("item:")
                found[name] = (
                    ITEM if item else PAIR if name in of_pair else MOMENT if name in CONTEXT_FEATURES else USER
                )
        return found

    def rows(self, places: Array, users_us: Array) -> Array:
        """Bool [p, raw]: whether the raw rows of the requests at `places` differ from those of the times `users_us`."""
        served = [self.served.rows[place] for place in places.tolist()]
        return rows_differ(served, self.retrieval.rows(self.user_ids[places], users_us), self.raw)

    def cells(self, places: Array, users_us: Array, items_us: Array) -> Array:
        """Bool [p, compared features]: whether a candidate's value differs from that over states of these times."""
        columns = [list(self.names).index(name) for name in self.sides]
        order = np.argsort(places, kind="stable")  # requests are taken in ascending order, and may be asked for twice
        found = np.zeros((len(places), len(columns)), bool)
        for chosen in _without_repeats(places[order]):
            mine = order[chosen]
            part = self.served.of(places[mine])
            retrieved = self.retrieval.matrix(
                part, self.user_ids[places[mine]], users_us=users_us[mine], items_us=items_us[mine]
            )
            limits = {"relative": self.policy.relative, "absolute": self.policy.absolute}
            cells = cells_differ(part.matrix[:, columns], retrieved[:, columns], **limits)
            found[mine] = of_requests(cells, part.request, len(part))
        return found


def _without_repeats(ascending: Array) -> list[Array]:
    """Positions in `ascending`, in as few groups as hold each value once."""
    _, starts, counts = np.unique(ascending, return_index=True, return_counts=True)
    return [starts[counts > turn] + turn for turn in range(int(counts.max(initial=0)))]

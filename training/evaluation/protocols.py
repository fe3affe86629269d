"""Two ways to ask held-out time: replay, and the split as it is.

In replay every moment of the window asks, and its events become state before the next one. On the split every user of
the window asks once, at its start, and whatever they meet in the window is relevant, as the literature mostly has it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from feature_repo.store.id_rows import IdRows
from training.evaluation.bootstrap import user_weights
from training.evaluation.summary import Asked
from training.replay import Moment

Array = np.ndarray[Any, Any]

REPLAY, SPLIT = "replay", "split"
TITLES = {REPLAY: "Request by request (replay)", SPLIT: "All at once (split)"}
SENTENCES = {
    REPLAY: "Every moment of the held-out window asks for a slate, and only then its events become state.",
    SPLIT: "Every user of the held-out window asks once, at its start; all that they meet in the window is relevant.",
}


@dataclass(frozen=True)
class Protocol:
    """The requests of one way of asking. State goes on between them as far as their moments do."""

    name: str
    asked: list[Moment]


def protocols(asked: list[Moment], start_us: int) -> tuple[Protocol, Protocol]:
    """Both ways of asking for the requests of a window that starts at `start_us`."""
    met: dict[str, dict[str, None]] = {}
    for moment in asked:
        met.setdefault(moment.user_id, {}).update(dict.fromkeys(moment.items))
    once = [Moment(user, start_us, tuple(items)) for user, items in sorted(met.items())]
    return Protocol(REPLAY, asked), Protocol(SPLIT, once)


def asked_of(asked: Sequence[Moment], rows: IdRows, rng: np.random.Generator) -> Asked:
    """What is relevant to each request, as rows of a catalogue; `rows` gives the row of an item id."""
    columns = rows.of_all([item for m in asked for item in m.items])
    starts = np.concatenate([[0], np.cumsum([len(m.items) for m in asked])])
    relevant = sparse.csr_array((np.ones(len(columns)), columns, starts), shape=(len(asked), len(rows)))
    _, user = np.unique(np.array([m.user_id for m in asked], object), return_inverse=True)
    return Asked(relevant, user, user_weights(int(user.max()) + 1, rng))

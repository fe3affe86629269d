"""The people of one release: visits that begin and go on over looks and steps, each on the side where its luck puts it.

A visit stays on its side while the canary's share stands, and joins the canary when the share grows past its luck, as
a user's bucket does. So one person's slates fall into several looks, steps and sides, and count as one cluster on each.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.canary_people import People

Array = np.ndarray[Any, Any]

# Looks whose visits are drawn at once, since one by one would cost most of the time.
DRAWN_LOOKS = 24
# A visit: its next slate and where its slates end, of the people's; when its first slate is shown, in looks; luck from
# 0 to 1; whether it was seen in this step; and its weighted clicks and impressions so far, on the canary and on the
# stable. One record each, and `take` and `put` in place of brackets: most of the time goes into fetching them.
_VISIT = np.dtype(
    [("next", int), ("end", int), ("start", float), ("luck", float), ("in_step", bool), ("sums", float, (2, 2))]
)


@dataclass(frozen=True, eq=False)
class Seen:
    """What one look adds, canary first."""

    users: Array  # [2], in this step for the first time
    requests: Array  # [2]
    rates: Array  # [2, 8]: the fields of RateSums
    both: Array  # [4]: the fields of Products, over visits that met both


class Crowd:
    """Who is there now. `slates` is what `people.slates` gives."""

    def __init__(
        self,
        people: People,
        slates: Array,
        *,
        requests_per_look: float,
        seconds_per_look: float,
        rng: np.random.Generator,
    ) -> None:
        self._people, self._slates, self._rng = people, slates, rng
        self._seconds = seconds_per_look
        self._visits_per_look = requests_per_look / people.slates_a_visit
        self._now = 0
        self._visits, self._due = self._under_way()

    def step_begins(self) -> None:
        """From now on everybody counts as not seen in the step yet."""
        self._visits["in_step"] = False

    def look(self, share: float) -> Seen:
        """Let one look pass in which the canary has this share of all people."""
        if self._now % DRAWN_LOOKS == 0:
            self._let_in()
        self._now += 1
        users, requests, rates, both = np.zeros(2), np.zeros(2), np.zeros((2, 8)), np.zeros(4)
        rows = np.flatnonzero(self._due < self._now)
        # One slate of each visit at a time, since what a slate adds to the squares depends on those before it.
        while len(rows):
            visits = self._visits.take(rows)
            side = (visits["luck"] >= share).astype(np.int64)
            users += np.bincount(side[~visits["in_step"]], minlength=2)
            requests += np.bincount(side, minlength=2)
            more = self._shown(visits, side, np.array([1 - share, share]))
            rates += more[0]
            both += more[1]
            np.put(self._visits, rows, visits)
            self._due[rows] = self._next_due(visits)
            rows = rows[self._due[rows] < self._now]
        return Seen(users, requests, rates, both)

    def _shown(self, visits: Array, side: Array, weights: Array) -> tuple[Array, Array]:
        """Show the next slate of each visit, and note it there; what that adds to the rates [2, 8] and to both [4]."""
        slates, each = self._slates.take(visits["next"]), np.arange(len(side))
        shown, clicks = slates["shown"], slates["clicks"][each, side]
        added = weights[side] * np.stack([clicks, shown])
        before, other = visits["sums"][each, side].T, visits["sums"][each, 1 - side].T
        (a0, b0), (a1, b1) = before, before + added
        visits["sums"][each, side] += added.T
        visits["in_step"] = True
        visits["next"] += 1
        squares = (a1 * a1 - a0 * a0, a1 * b1 - a0 * b0, b1 * b1 - b0 * b0)
        columns = np.stack([b0 == 0, shown, clicks, *added, *squares])
        canary = columns[:, side == 0].sum(axis=1)
        rates = np.stack([canary, columns.sum(axis=1) - canary])
        ours, theirs = (added[:, side == one] @ other[:, side == one].T for one in (0, 1))
        return rates, (ours + theirs.T).ravel()

    def _next_due(self, visits: Array) -> Array:
        """Looks at which the next slate is shown; infinity after the last."""
        on = visits["next"] < visits["end"]
        since = self._slates["since"][np.where(on, visits["next"], 0)]
        return np.where(on, visits["start"] + since / self._seconds, np.inf)

    def _let_in(self) -> None:
        """Add the visits that begin within the next looks, in place of those that are over."""
        count, first = self._rng.poisson(self._visits_per_look * DRAWN_LOOKS), self._people.first
        visit = self._rng.integers(self._people.visits, size=count)
        start = self._now + DRAWN_LOOKS * self._rng.random(count)
        on = np.isfinite(self._due)
        self._visits = np.concatenate(
            [self._visits.take(np.flatnonzero(on)), self._begun(first[visit], first[visit + 1], start)]
        )
        self._due = np.concatenate([self._due[on], start])

    def _under_way(self) -> tuple[Array, Array]:
        """Visits that began before the first look and last: a pause is met as often as it is long. And what is due."""
        pauses, first = self._people.pauses, self._people.first
        count = self._rng.poisson(self._visits_per_look * pauses[-1] / self._seconds / self._people.visits)
        moment = np.sort(pauses[-1] * self._rng.random(count))
        at = np.searchsorted(pauses, moment, side="right")
        due = (pauses[at] - moment) / self._seconds
        end = first[np.searchsorted(first, at, side="right")]
        return self._begun(at, end, due - self._slates["since"][at] / self._seconds), due

    def _begun(self, at: Array, end: Array, start: Array) -> Array:
        visits = np.zeros(len(at), _VISIT)
        visits["next"], visits["end"], visits["start"] = at, end, start
        visits["luck"] = self._rng.random(len(at))
        return visits

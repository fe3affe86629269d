"""Visits of simulated people, drawn once: who looks at how many slates, when, and what they click.

The world is that of monitoring/simulator: latent tastes, items that a shop offers by interest and popularity, a
position-based click model, visits as long and as uneven as there. One visit is one person, since somebody of that
world comes once in twelve days and a rollout lasts minutes. A release draws visits with replacement.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from scipy.optimize import brentq

from monitoring.simulator.answered import slates_shown
from monitoring.simulator.make import make_world
from monitoring.simulator.settings import SimulatorSettings
from monitoring.simulator.streams import stream
from monitoring.simulator.truth import EMPTY, examination
from monitoring.simulator.visits import SECONDS_A_DAY, steps, visits

Array = np.ndarray[Any, Any]

VISITS = 150_000
USERS = 50_000
SEED = 7
_SLATE = np.dtype([("since", np.float32), ("shown", np.float32), ("clicks", np.float32, (2,))])


@dataclass(frozen=True, eq=False)
class People:
    """v visits with n slates, visit by visit and in time order."""

    first: Array  # int [v + 1]: where the slates of each visit begin
    since: Array  # [n], seconds since the visit's first slate
    shown: Array  # [n], impressions of a slate
    odds: Array  # [n, k], of a click on what is looked at; 0 where a slate has no item
    looked_at: Array  # [k], chance that a place is looked at
    luck: Array  # [n, k]: a place is clicked where its chance is above it, whatever the rate

    @property
    def slates_a_visit(self) -> float:
        return len(self.since) / self.visits

    @property
    def visits(self) -> int:
        return len(self.first) - 1

    @cached_property
    def pauses(self) -> Array:
        """Running sum [n] of the seconds before each slate, 0 before the first of a visit."""
        before = np.diff(self.since, prepend=0.0)
        before[self.first[:-1]] = 0.0
        return np.asarray(before.cumsum())

    def slates(self, rates: tuple[float, float]) -> Array:
        """Records [n] of what is to be known of a slate, clicks [2] at each of two rates an impression among it."""
        found = np.zeros(len(self.since), _SLATE)
        found["since"], found["shown"] = self.since, self.shown
        found["clicks"] = np.stack([self.clicks(rate) for rate in rates], axis=1)
        return found

    def clicks(self, rate: float) -> Array:
        """Clicks [n] on each slate where everything attracts as much more, in logits, as gives this rate."""

        def excess(shift: float) -> float:
            return float(self._chances(shift).sum() / self.shown.sum()) - rate

        shift = brentq(excess, -10.0, 10.0, xtol=1e-4)
        return np.asarray((self.luck < self._chances(shift)).sum(axis=1))

    def _chances(self, shift: float) -> Array:
        moved = self.odds * np.float32(np.exp(shift))
        return np.asarray(self.looked_at * moved / (1 + moved))


@dataclass(frozen=True)
class Clustering:
    """How far the clicks of one person hang together."""

    design_effect: float  # variance of the click rate, in times of that of independent impressions
    correlation: float  # of two impressions of one person


@cache
def people() -> People:
    """The visits of every release."""
    world = make_world(SimulatorSettings(users=USERS), seed=SEED)
    came = visits(world, VISITS, seed=SEED)
    walked = steps(world, came, seed=SEED)
    slates = slates_shown(world, came, walked, seed=SEED)
    visit = walked.visit[walked.slated]
    first = np.flatnonzero(np.diff(visit, prepend=-1))
    length = np.diff(np.append(first, len(visit)))
    looked_at = examination(world.settings, world.settings.slate)
    attracted = slates.probabilities / looked_at
    return People(
        first=np.append(first, len(visit)),
        since=(slates.day - np.repeat(slates.day[first], length)) * SECONDS_A_DAY,
        shown=(slates.items != EMPTY).sum(axis=1).astype(float),
        odds=(attracted / (1 - attracted)).astype(np.float32),
        looked_at=looked_at.astype(np.float32),
        luck=np.asarray(stream(SEED, "clicks").random(slates.probabilities.shape), np.float32),
    )


@cache
def slates_at(canary: float, stable: float) -> Array:
    """The slates of `people`, with the clicks at these rates."""
    return people().slates((canary, stable))


def clustering(clicks: Array, shown: Array, first: Array) -> Clustering:
    """Of slates [n] with these clicks and impressions; `first` [v + 1] as in People."""
    a, b = (np.add.reduceat(each.astype(float), first[:-1]) for each in (clicks, shown))
    rate = float(a.sum() / b.sum())
    fair = rate * (1 - rate)
    together = float(((a - rate * b) ** 2).sum())
    alone = float((a * (1 - 2 * rate) + rate * rate * b).sum())
    pairs = float((b * (b - 1)).sum())
    return Clustering(together / (fair * float(b.sum())), (together - alone) / (fair * pairs))

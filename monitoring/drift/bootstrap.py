"""How far a quiet window may lie from the reference: thresholds from a bootstrap of the reference itself.

Pseudo-windows are drawn from the reference's users and days, with as many effective users and days as the real ones
have, and compared as the real ones are. The largest statistic over all columns of each draw (Westfall and Young,
"Resampling-based multiple testing", 1993) gives one threshold for the family: so many alarms a window, not a column.
Shift and distance have limits that are equally rare, and together are passed as often as the policy allows.

Users and days are crossed. The variance of a mean is V_users + V_days - V_blocks (Cameron, Gelbach and Miller, "Robust
inference with multiway clustering", JBES 2011), so draws of days are shrunk to what days add beyond their users. Few
users or days say little of their own variance: thresholds are widened as a t distribution is beside a normal one, with
Satterthwaite's degrees of freedom.
"""

from dataclasses import dataclass, field
from functools import cached_property
from math import log, sqrt
from typing import Any

import numpy as np

from monitoring.drift.blocks import Blocks, by, cluster_variance

Array = np.ndarray[Any, Any]

LEAST_SPREAD = 0.3  # of a distance between windows of independent requests, in those of a mean
TAIL, NORMAL_BOTH, NORMAL_ABOVE = 0.99, 2.576, 2.326  # that quantile of a normal's size, and of a normal
SIZES = 1.2  # numbers of users or days that differ by less share their draws
LEAST_DAYS = 3  # with fewer, nothing is known of how days differ


@dataclass(frozen=True)
class Shape:
    """How much evidence a window holds: effective users and days, and requests."""

    users: float
    days: float
    requests: int


@dataclass(frozen=True)
class Thresholds:
    """What each of c columns may reach in a quiet window: |shift of the mean| and distance, both in `scale` [c]."""

    shift: Array
    distance: Array


@dataclass(frozen=True)
class Calibration:
    """The reference in blocks; `scale` [c] is a standard deviation of each column, `centres` [c, k] its bins' means."""

    blocks: Blocks
    scale: Array
    centres: Array
    shape: Shape
    alarm_rate: float
    draws: int
    seed: int
    _kept: dict[tuple[int, int, int], tuple[Array, Array]] = field(default_factory=dict, compare=False, repr=False)

    def thresholds(self, window: Shape, share: float = 1.0) -> Thresholds:
        """For a window of that shape, which may spend that share of the alarm rate."""
        _, from_users, from_days = self._variances
        means, shares = self._errors(window, self.seed + 1)
        shift = np.abs(means - self._own_errors[0]) / self.scale
        steps = np.diff(self.centres, axis=1) / self.scale[:, None]
        distance = np.einsum("bck,ck->bc", np.abs(shares - self._own_errors[1])[:, :, :-1], steps)
        least = sqrt(1 / window.requests + 1 / self.shape.requests)
        freedom = self._freedom(window, from_users, from_days)
        # A column with long tails is measured by them, and does not widen the thresholds of all others.
        tail = np.quantile(shift, TAIL, axis=0) / NORMAL_BOTH
        spread = np.maximum(np.maximum(np.sqrt((shift**2).mean(axis=0)), tail), least)
        centre = distance.mean(axis=0)
        tail = (np.quantile(distance, TAIL, axis=0) - centre) / NORMAL_ABOVE
        wide = np.maximum(np.maximum(distance.std(axis=0), tail), LEAST_SPREAD * least)
        largest = (shift / spread).max(axis=1), ((distance - centre) / wide).max(axis=1)
        q, far = equally_rare(*largest, self.alarm_rate * share)
        widened = _widened(q, freedom)
        return Thresholds(spread * q * widened, (centre + far * wide) * widened)

    @cached_property
    def _own_errors(self) -> tuple[Array, Array]:
        return self._errors(self.shape, self.seed)

    @cached_property
    def _variances(self) -> tuple[Array, Array, Array]:
        """Share of the days' own variance in that of day sums, and the variances of a mean by users and days [c]."""
        b = self.blocks
        total = np.maximum(b.counts.sum(axis=0), 1.0)
        error = b.sums - b.counts * (b.sums.sum(axis=0) / total)
        users, days, cells = (cluster_variance(e, total) for e in (by(b.user, error), by(b.day, error), error))
        known = int(b.day.max(initial=0)) + 1 >= LEAST_DAYS
        extra = np.maximum(days - cells, 0.0) if known else np.zeros_like(days)
        return np.divide(extra, days, out=np.zeros_like(days), where=days > 0), users, extra

    @cached_property
    def _sums(self) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Counts, sums and bins by user, and by day."""
        b = self.blocks
        by_user, by_day = (tuple(by(g, v) for v in (b.counts, b.sums, b.bins)) for g in (b.user, b.day))
        return by_user, by_day

    def _errors(self, shape: Shape, seed: int) -> tuple[Array, Array]:
        """Errors of means [draws, c] and of cumulative shares [draws, c, k] of pseudo-windows of that shape."""
        of_users, of_days = self._sums
        # As many draws as give the effective numbers that the window has.
        users = len(of_users[0]) * shape.users / max(self.shape.users, 1.0)
        days = len(of_days[0]) * shape.days / max(self.shape.days, 1.0)
        means, shares = self._drawn(of_users, users, (seed, 0))
        more = np.sqrt(self._growth(shape) * shape.users / max(self.shape.users, 1.0))
        means, shares = means * more, shares * more[:, None].astype(np.float32)
        part = np.sqrt(self._variances[0])
        if part.any():
            of_day = self._drawn(of_days, days, (seed, 1))
            means = means + part * of_day[0]
            shares = shares + part[:, None].astype(np.float32) * of_day[1]
        return means, shares

    def _drawn(self, sums: tuple[Array, ...], groups: float, seed: tuple[int, int]) -> tuple[Array, Array]:
        """Errors when about so many `groups` are drawn: drawn once for all numbers of that size, and scaled to this."""
        size = max(2, round(SIZES ** round(log(max(groups, 2.0), SIZES))))
        key = (*seed, size)
        if key not in self._kept:
            self._kept[key] = _resampled(sums, size, self.draws, np.random.default_rng(seed))
        means, shares = self._kept[key]
        scale = sqrt(size / max(groups, 2.0))
        return means * scale, shares * np.float32(scale)

    def _growth(self, window: Shape) -> Array:
        """How many times the reference's variance by users that of a window is [c].

        What users differ in shrinks with their number, and what requests of one user differ in with that of requests;
        the share of the former is the intra-class correlation, which two variances of the same mean tell.
        """
        _, users, _ = self._variances
        alone, own = self.blocks.of_requests, self.shape
        spare = max(own.requests / max(own.users, 1.0) - 1, 0.0)
        above = users - alone
        shared = np.divide(above, alone * spare, out=np.ones_like(above), where=alone * spare > 0).clip(0, 1)

        def variance(shape: Shape) -> Array:
            return np.asarray(shared / max(shape.users, 1.0) + (1 - shared) / max(shape.requests, 1))

        return np.asarray(variance(window) / variance(own))

    def _freedom(self, window: Shape, users: Array, days: Array) -> Array:
        """Satterthwaite's degrees of freedom of the variance of the difference, [c]."""
        a = users * (1 + self._growth(window))
        b = days * (1 + self.shape.days / max(window.days, 1.0))
        of_users, of_days = max(self.shape.users - 1, 1.0), max(self.shape.days - 1, 1.0)
        below = a**2 / of_users + b**2 / of_days
        freedom: Array = np.divide((a + b) ** 2, below, out=np.full_like(a, of_users), where=below > 0)
        return freedom


def _resampled(sums: tuple[Array, ...], drawn: int, draws: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Errors of means and cumulative shares when `drawn` of the groups are drawn with replacement."""
    counts, totals, bins = sums
    groups = len(counts)
    weights = rng.multinomial(drawn, np.full(groups, 1 / groups), size=draws).astype(np.float32)
    present = weights @ counts
    some = present > 0
    present = np.where(some, present, 1.0)
    centre = totals.sum(axis=0) / np.maximum(counts.sum(axis=0), 1.0)
    # Around the mean, so that 32 bits are enough.
    error = (weights @ (totals - counts * centre).astype(np.float32)) / present
    cumulative = np.cumsum(bins, axis=2)
    whole = cumulative.sum(axis=0) / np.maximum(counts.sum(axis=0), 1.0)[:, None]
    flat = (cumulative - counts[:, :, None] * whole).reshape(groups, -1).astype(np.float32)
    share = (weights @ flat).reshape(draws, *whole.shape) / present[:, :, None]
    return np.where(some, error, 0.0), share


def equally_rare(shift: Array, distance: Array, alarm_rate: float) -> tuple[float, float]:
    """Equally rare limits of the two statistics [draws], which one or the other passes in `alarm_rate` of the draws.

    What moves a mean far moves the distribution far, so half the rate for each would leave some of it unspent.
    """
    far = tuple(np.sort(values)[::-1] for values in (shift, distance))
    # How many draws lie further out, in the statistic in which fewer do.
    rank = np.minimum(*(np.searchsorted(-s, -x, side="left") for s, x in zip(far, (shift, distance), strict=True)))
    place = int(np.sort(rank)[int(alarm_rate * len(rank))])
    return float(far[0][place]), float(far[1][place])


def _widened(q: float, freedom: Array) -> Array:
    """How much further out the same tail of a t distribution lies than that of a normal one."""
    from scipy.special import ndtr, stdtrit

    return np.asarray(-stdtrit(freedom, ndtr(-q)) / q)

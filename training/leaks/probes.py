"""Which rows of a training set a leak check looks at: requests of the run, each with some items."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.replay import Moment

Array = np.ndarray[Any, Any]

OTHER_ITEMS = 2  # items of the log that are looked at beside one that the user went on to
AIMED = 20  # most requests that are chosen because of a row that was recorded late


@dataclass(frozen=True)
class Probe:
    """One request, and items as a training set would hold them at its moment."""

    asked: Moment
    items: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """Rows of a training set, [n] each: the world (number of the probe), the id of a user or item, and the moment."""

    worlds: Array
    ids: Array
    moments_us: Array


@dataclass(frozen=True)
class LateRows:
    """Rows of users or items that were recorded later than they hold from: keys [n], moments in microseconds [n]."""

    keys: Array
    holds_us: Array
    recorded_us: Array


def choose_probes(
    asked: Sequence[Moment],
    *,
    items: Array,
    requests: int,
    late_users: LateRows,
    late_items: LateRows,
    rng: np.random.Generator,
) -> list[Probe]:
    """At most `requests` of `asked` (in order of time) at random, and some that late rows could leak into.

    A random sample would seldom meet a correction, so requests between its date and its recording are looked for.
    """
    chosen = rng.choice(len(asked), min(requests, len(asked)), replace=False)
    probes = [_with_items(asked[n], items, rng) for n in chosen]
    probes += [_with_items(asked[n], items, rng) for n in _of_late_users(asked, late_users, rng)]
    probes += [Probe(asked[n], (item,)) for n, item in _of_late_items(asked, late_items, rng)]
    return probes


def asked_users(probes: Sequence[Probe]) -> Asked:
    """One row for each probe."""
    return _asked([(world, probe.asked.user_id, probe.asked.moment_us) for world, probe in enumerate(probes)])


def asked_items(probes: Sequence[Probe]) -> Asked:
    """One row for each item of each probe."""
    rows = [(world, item, probe.asked.moment_us) for world, probe in enumerate(probes) for item in probe.items]
    return _asked(rows)


def _asked(rows: list[tuple[int, str, int]]) -> Asked:
    worlds, ids, moments_us = zip(*rows, strict=True)
    return Asked(np.array(worlds, np.int64), np.array(ids, object), np.array(moments_us, np.int64))


def _with_items(moment: Moment, items: Array, rng: np.random.Generator) -> Probe:
    others = rng.choice(items, OTHER_ITEMS)
    return Probe(moment, tuple(dict.fromkeys([str(rng.choice(moment.items)), *map(str, others)])))


def _of_late_users(asked: Sequence[Moment], late: LateRows, rng: np.random.Generator) -> list[int]:
    rows: dict[str, list[int]] = {}
    for row, key in enumerate(late.keys):
        rows.setdefault(key, []).append(row)
    met = [n for n, m in enumerate(asked) if (of := rows.get(m.user_id)) and _between(late, of, m.moment_us).any()]
    return [met[n] for n in rng.permutation(len(met))[:AIMED]]


def _between(late: LateRows, rows: list[int], moment_us: int) -> Array:
    between: Array = (late.holds_us[rows] <= moment_us) & (moment_us < late.recorded_us[rows])
    return between


def _of_late_items(asked: Sequence[Moment], late: LateRows, rng: np.random.Generator) -> list[tuple[int, str]]:
    moments = np.array([m.moment_us for m in asked], np.int64)
    first, end = np.searchsorted(moments, late.holds_us), np.searchsorted(moments, late.recorded_us)
    met = rng.permutation(np.flatnonzero(first < end))[:AIMED]
    return [(int(rng.integers(first[row], end[row])), str(late.keys[row])) for row in met]

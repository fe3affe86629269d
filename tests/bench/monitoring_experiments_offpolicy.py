"""Off-policy intervals where the truth is known by counting every slate.

The world is closed: four kinds of request, three places, four items at each, drawn by a softmax that explores; users
ask three times and click more or less by nature, so requests are clustered. In the first world a click depends on the
item and its place alone; in the second an attractive item above takes clicks from those below. The doubly robust model
is the product's own, fitted on the other half of the users, and knows nothing of the kinds of request.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.monitoring_shares import BENCH, share_row
from bench.rows import Row
from monitoring.experiments.offpolicy.click_model import FOLDS, fit, fold_of
from monitoring.experiments.offpolicy.estimators import TAKEN_FOR_GRANTED, Logged, estimate

Array = np.ndarray[Any, Any]

RUNS, BATCH = 10_000, 50
USERS, REQUESTS, KINDS, PLACES, ITEMS = 1_000, 3, 4, 3, 4
RATE = 0.08  # mean clicks a place
AT_LEAST = 0.93
DECIDED = ("ips", "snips", "doubly robust")
# How far the target is from the log, in the logits: two thousand effective requests, one thousand, and too few to ask.
TARGETS = {"near": 0.35, "far": 0.8, "beyond": 1.5}


@dataclass(frozen=True)
class World:
    """Chances by kind, place and item: `logging`, `target`, and of a click. `disturbed`: places take clicks away."""

    logging: Array
    target: Array
    click: Array
    disturbed: bool

    @classmethod
    def of(cls, rng: np.random.Generator, distance: float, *, disturbed: bool) -> "World":
        shape = (KINDS, PLACES, ITEMS)
        score, other = rng.normal(0, 0.7, shape), rng.normal(0, 1, shape)
        click = np.exp(rng.normal(0, 0.6, shape)) / np.sqrt(1 + np.arange(PLACES))[:, None]
        return cls(_softmax(score), _softmax(score + distance * other), click * RATE / click.mean(), disturbed)

    def clicks(self, kind: Array, items: Array) -> Array:
        """Chances of a click [..., places] on the items [..., places] of requests of a kind [...]."""
        own = self.click[kind[..., None], np.arange(PLACES), items]
        if not self.disturbed:
            return np.asarray(own)
        # What was clicked or strongly looked at above leaves less for below: four times a click's own chance.
        above = np.concatenate([np.zeros_like(own[..., :1]), own[..., :-1]], axis=-1).cumsum(axis=-1)
        return np.asarray(own * np.maximum(1 - 4 * above, 0.0))

    def truth(self) -> float:
        """Clicks a request under the target, kinds being equally frequent."""
        total = 0.0
        for slate in itertools.product(range(ITEMS), repeat=PLACES):
            chance = self.target[:, np.arange(PLACES), slate].prod(axis=-1)
            items = np.broadcast_to(np.array(slate), (KINDS, PLACES))
            total += float((chance * self.clicks(np.arange(KINDS), items).sum(axis=-1)).mean())
        return total

    def draw(self, rng: np.random.Generator, runs: int) -> tuple[Array, Array, Array]:
        """Kinds [runs, r], items and rewards [runs, r, places] that were logged."""
        kind = rng.integers(KINDS, size=(runs, USERS * REQUESTS))
        limits = self.logging.cumsum(axis=-1)[kind]
        items = np.minimum((rng.random((*kind.shape, PLACES, 1)) > limits).sum(axis=-1), ITEMS - 1)
        eager = np.repeat(rng.gamma(4, 1 / 4, (runs, USERS)), REQUESTS, axis=1)
        return kind, items, (rng.random(items.shape) < eager[..., None] * self.clicks(kind, items)).astype(float)

    def logged(self, kind: Array, items: Array, rewards: Array) -> Logged:
        at = (kind[..., None], np.arange(PLACES), items)
        user = np.repeat(np.arange(USERS), REQUESTS)
        models = [self._modelled(*run, user) for run in zip(kind, items, rewards, strict=True)]
        shown, expected = (np.stack(of) for of in zip(*models, strict=True))
        return Logged(self.target[at] / self.logging[at], rewards, user, shown, expected)

    def _modelled(self, kind: Array, items: Array, rewards: Array, user: Array) -> tuple[Array, Array]:
        """The product's model of clicks on one run, of what was shown and of what the target shows: [r, places]."""
        shown, expected = np.zeros(items.shape), np.zeros(items.shape)
        place = np.broadcast_to(np.arange(PLACES), items.shape)
        code = place * ITEMS + items
        for fold in range(FOLDS):
            own = fold_of(user) == fold
            seen = (code[~own].ravel(), place[~own].ravel(), rewards[~own].ravel())
            model = fit(*seen, items=PLACES * ITEMS, places=PLACES)
            shown[own] = model.predict(code[own], place[own])
            table = model.predict(np.arange(PLACES * ITEMS), np.repeat(np.arange(PLACES), ITEMS))
            expected[own] = (self.target * table.reshape(PLACES, ITEMS)).sum(axis=-1)[kind[own]]
        return shown, expected


def offpolicy_rows(seed: int = 23) -> list[Row]:
    rng = np.random.default_rng(seed)
    cells = [("near", False), ("far", False), ("far", True), ("beyond", False)]
    worlds = [World.of(np.random.default_rng(seed), TARGETS[name], disturbed=disturbed) for name, disturbed in cells]
    return [row for (name, _), world in zip(cells, worlds, strict=True) for row in _cell(rng, world, name)]


def _cell(rng: np.random.Generator, world: World, target: str) -> list[Row]:
    """Coverage and bias of every estimator over RUNS logs of one world."""
    truth = world.truth()
    covered = dict.fromkeys(TAKEN_FOR_GRANTED, 0)
    values: dict[str, list[float]] = {name: [] for name in TAKEN_FOR_GRANTED}
    effective: list[float] = []
    for _ in range(RUNS // BATCH):
        logged = world.logged(*world.draw(rng, BATCH))
        for name in TAKEN_FOR_GRANTED:
            found = estimate(name, logged)
            low, high = found.estimate.interval(0.05)
            covered[name] += int(((low <= truth) & (truth <= high)).sum())
            values[name] += found.estimate.value.tolist()
            if name == "ips":
                effective += found.effective.tolist()
    size = float(np.mean(effective))
    where = f"{'disturbed' if world.disturbed else 'separate'} places, {target} target, {size:,.0f} effective requests"
    return [
        row
        for name in TAKEN_FOR_GRANTED
        for row in (_coverage(name, covered[name], where, size), _bias(name, np.array(values[name]), truth, where))
    ]


def _coverage(name: str, covered: int, where: str, effective: float) -> Row:
    # What is promised is promised from a thousand effective requests on.
    asked = AT_LEAST if name in DECIDED and effective >= 1_000 else 0.0
    return share_row(f"off-policy coverage of {name}, {where}", covered, RUNS, low=asked, beside=("nominal", 95.0))


def _bias(name: str, values: Array, truth: float, where: str) -> Row:
    """As a percentage of the truth, with the limits of what this many runs can tell."""
    relative = 100 * (values / truth - 1)
    bias, half = float(relative.mean()), 1.96 * float(relative.std()) / np.sqrt(len(values))
    told = f"off-policy bias of {name}, {where} ({bias - half:+.2f} to {bias + half:+.2f} %)"
    return Row(BENCH, told, bias, "%", "truth, clicks a request", truth, "", holds=True)


def _softmax(scores: Array) -> Array:
    raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))

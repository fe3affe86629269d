"""Simulated people over the items of a real workspace, whose true click rate on any slate is known.

    P(click on item i in place j | user u, hour h) = j ** -exponent * sigmoid(logit)
    logit = intercept + strength * taste_u . traits_i + popularity_i + readiness_u + swing * cos(2 pi (h - 20) / 24)

Tastes and traits are fitted from the workspace's own log, so that a recommender that has learned something from that
log shows what is clicked more. The readiness of a user is drawn once: clicks of one user are no independent evidence.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.core.errors import MissingArtifact, NotMeasurable
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.prepare import active_dataset
from monitoring.audience.fit import Fitted, fit
from monitoring.audience.settings import AudienceSettings
from monitoring.simulator.streams import stream

Array = np.ndarray[Any, Any]

UNKNOWN = -1  # the row of a user or an item that the log does not know
_PAIRS = 20_000  # of a user and an item, over which the base rate is fitted


@dataclass(frozen=True)
class Visitor:
    """Who asks next, with the declared context of one of her events."""

    user_id: str
    context: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Audience:
    """People of one log. `contexts` has one for each user, in the order of `fitted.user_ids`."""

    settings: AudienceSettings
    fitted: Fitted
    readiness: Array  # [u], standard normal
    contexts: tuple[Mapping[str, str], ...]
    intercept: float
    event_types: tuple[str, ...]  # those of positive weight, weakest first

    @classmethod
    def of(cls, workspace: Workspace, seed: int, settings: AudienceSettings | None = None) -> "Audience":
        """Fit people to the workspace's log. Their base click rate is that of slates drawn by popularity.

        Raises:
            MissingArtifact: no data are prepared.
            NotMeasurable: the log has fewer than two users or two items.
        """
        if not workspace.events.exists():
            raise MissingArtifact(f"{workspace.events} is not there: run `make data` first")
        settings = settings or AudienceSettings()
        dataset = active_dataset(workspace)
        declared = dataset.events.context
        events = pq.read_table(workspace.events, columns=["user_id", "item_id", "score", *declared])
        fitted = fit(events, dimension=settings.dimension, seed=seed)
        readiness = stream(seed, "readiness").normal(size=len(fitted.user_ids))
        types = tuple(kind for weight, kind in sorted((w, k) for k, w in dataset.weights.items() if w > 0))
        contexts = _contexts(events, declared, fitted.user_ids)
        people = cls(settings, fitted, readiness, contexts, 0.0, types)
        rng = stream(seed, "base rate")
        users = rng.choice(len(fitted.user_ids), size=_PAIRS // settings.slate, p=fitted.chances)
        slates = rng.choice(len(fitted.item_ids), size=(len(users), settings.slate), p=fitted.item_chances)
        return people._with_rate(users, slates)

    def at_base_rate(self, user_ids: Sequence[str], slates: Sequence[Sequence[str]]) -> "Audience":
        """The same people, who click these slates (all of one length) at the base rate: the champion's, for instance.

        Raises:
            NotMeasurable: no slate, or slates of different lengths.
        """
        if not slates or len({len(slate) for slate in slates}) != 1 or len(user_ids) != len(slates):
            raise NotMeasurable(f"a base rate needs slates of one length, a user each; got {len(slates)} slates")
        return self._with_rate(self.user_rows(user_ids), np.array([self.item_rows(slate) for slate in slates]))

    def requests(self, rng: np.random.Generator) -> Iterator[Visitor]:
        """Endless visitors, each user as often as the log has events of hers."""
        while True:
            for row in rng.choice(len(self.fitted.user_ids), size=1_000, p=self.fitted.chances):
                yield Visitor(self.fitted.user_ids[row], self.contexts[row])

    def clicks(self, user_id: str, slate: Sequence[str], moment: datetime, rng: np.random.Generator) -> Array:
        """Bool [k]: which items of the slate (ids, first place first) the user clicks."""
        return np.asarray(rng.random(len(slate)) < self.click_rates(user_id, slate, moment))

    def click_rates(self, user_id: str, slate: Sequence[str], moment: datetime) -> Array:
        """The true probability [k] of a click on each place."""
        users = self.user_rows([user_id])
        return np.asarray(self.probabilities(users, self.item_rows(slate)[None], self.hour_effect(moment))[0])

    def true_click_rate(
        self, user_ids: Sequence[str], slates: Sequence[Sequence[str]], moments: Sequence[datetime]
    ) -> float:
        """Expected clicks an impression over these slates.

        Raises:
            NotMeasurable: there is no impression.
        """
        pairs = zip(user_ids, slates, moments, strict=True)
        rates = [self.click_rates(user, slate, moment) for user, slate, moment in pairs]
        if not sum(map(len, rates)):
            raise NotMeasurable("a click rate needs at least one item in a slate; got none")
        return float(np.concatenate(rates).mean())

    def probabilities(self, users: Array, slates: Array, hour_effect: Array | float = 0.0) -> Array:
        """Vectorised: probabilities [r, k] for user rows [r], item rows [r, k] (UNKNOWN may be among both) and an
        effect of the hour, in logits, [r, 1] or one number.
        """
        settings, known_user, known_item = self.settings, users != UNKNOWN, slates != UNKNOWN
        tastes = self.fitted.tastes[users] * known_user[:, None]
        fitting = np.einsum("rd,rkd->rk", tastes, self.fitted.traits[slates]) * known_item
        liked = np.where(known_item, self.fitted.popularity[slates], self._least_popular)
        ready = self.readiness[users] * known_user
        logit = self.intercept + settings.taste_strength * fitting + settings.popularity_strength * liked
        logit = logit + settings.user_spread * ready[:, None] + hour_effect
        looked_at = np.arange(1, slates.shape[1] + 1) ** -settings.examination_exponent
        return np.asarray(looked_at / (1 + np.exp(-logit)))

    def hour_effect(self, moment: datetime) -> float:
        """What the hour adds to every logit; a moment with its zone."""
        if moment.tzinfo is None:
            raise NotMeasurable(f"a moment needs its time zone; got {moment.isoformat()}")
        hour = (moment.timestamp() / 3_600) % 24
        return float(self.settings.hour_swing * np.cos(2 * np.pi * (hour - 20) / 24))

    def user_rows(self, user_ids: Sequence[str]) -> Array:
        return np.array([self._user_row.get(name, UNKNOWN) for name in user_ids], int)

    def item_rows(self, item_ids: Sequence[str]) -> Array:
        return np.array([self._item_row.get(name, UNKNOWN) for name in item_ids], int)

    @cached_property
    def _user_row(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.fitted.user_ids)}

    @cached_property
    def _item_row(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.fitted.item_ids)}

    @cached_property
    def _least_popular(self) -> float:
        return float(self.fitted.popularity.min())

    def _with_rate(self, users: Array, slates: Array) -> "Audience":
        """Bisect for the intercept at which the mean probability over these slates is the base rate."""
        low, high = -40.0, 40.0
        people = self
        for _ in range(50):
            middle = (low + high) / 2
            people = replace(self, intercept=middle)
            too_few = people.probabilities(users, slates).mean() < self.settings.base_click_rate
            low, high = (middle, high) if too_few else (low, middle)
        return people


def _contexts(events: pa.Table, declared: Sequence[str], user_ids: Sequence[str]) -> tuple[Mapping[str, str], ...]:
    """The last known context of each user; `events` in time order."""
    last: dict[str, dict[str, str]] = {user: {} for user in user_ids}
    for name in declared:
        known = events.filter(pc.is_valid(events[name])).group_by("user_id", use_threads=False)
        for user, value in zip(*known.aggregate([(name, "last")]).to_pydict().values(), strict=True):
            if user in last:
                last[user][name] = value
    return tuple(last[user] for user in user_ids)

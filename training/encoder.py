"""Fitted parameters: vocabularies, scales, text model, segments; learned from the training window, saved as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from feature_repo.dataset.declaration import Dataset, EntityTable
from feature_repo.features.columns import Columns, take
from feature_repo.features.plan import FeaturePlan, feature_plan
from feature_repo.features.request import clock_at
from feature_repo.features.user import user_features_at
from training.segments import Segments, fit_segments
from training.settings import EncoderSettings
from training.text import TextModel, fit_text
from training.vocabulary import AnyVocabulary, Vocabulary, category_vocabulary, vocabulary, vocabulary_from_json

Array = np.ndarray[Any, Any]

TOWER_HISTORY = 50  # items that the query tower reads of a history


@dataclass(frozen=True)
class Scale:
    """Standardises a number; a missing one becomes the mean, with an indicator beside it."""

    mean: float
    deviation: float

    def imputed(self, numbers: Array) -> tuple[Array, Array]:
        """The numbers [n] with the mean where one is missing, and 1.0 where it was."""
        missing = np.isnan(numbers)
        return np.where(missing, self.mean, numbers), missing.astype(np.float64)

    def encode(self, numbers: Array) -> Array:
        """Two columns [n, 2]: the standardised number, and 1 where it was missing."""
        known, missing = self.imputed(numbers)
        return np.stack([np.clip((known - self.mean) / self.deviation, -5.0, 5.0), missing], axis=1).astype(np.float32)


def scale(numbers: Array) -> Scale:
    known = numbers[~np.isnan(numbers)]
    if len(known) == 0:
        return Scale(0.0, 1.0)
    return Scale(float(known.mean()), float(known.std()) or 1.0)


@dataclass(frozen=True)
class AttributeEncoder:
    """Declared attributes of one entity as numbers. Column order is that of the declaration."""

    categorical: dict[str, AnyVocabulary]
    multi: dict[str, AnyVocabulary]
    numeric: dict[str, Scale]
    text: TextModel | None = None

    def inputs(self, columns: Columns) -> Columns:
        """`categories` [n, c], `flags` [n, v] of multi values, `numbers` [n, m], `text` [n, t]; a kind without columns
        is absent."""
        inputs = {}
        if self.categorical:
            inputs["categories"] = np.stack([v.encode(columns[n]) for n, v in self.categorical.items()], axis=1)
        if self.multi:
            inputs["flags"] = np.concatenate([flags(v, columns[n]) for n, v in self.multi.items()], axis=1)
        if self.numeric:
            inputs["numbers"] = np.concatenate([s.encode(columns[n]) for n, s in self.numeric.items()], axis=1)
        if self.text:
            inputs["text"] = self.text.encode(columns)
        return inputs

    def collision_rates(self) -> dict[str, float]:
        """Share of an attribute's known values that share their code with another, for the hashed ones."""
        known = {**self.categorical, **self.multi}
        return {name: v.collision_rate for name, v in known.items() if v.collision_rate > 0}

    def to_json(self) -> dict[str, Any]:
        return {
            "categorical": {n: v.to_json() for n, v in self.categorical.items()},
            "multi": {n: v.to_json() for n, v in self.multi.items()},
            "numeric": {n: [s.mean, s.deviation] for n, s in self.numeric.items()},
            "text": self.text.to_json() if self.text else None,
        }

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> "AttributeEncoder":
        return cls(
            categorical={n: vocabulary_from_json(v) for n, v in saved["categorical"].items()},
            multi={n: vocabulary_from_json(v) for n, v in saved["multi"].items()},
            numeric={n: Scale(*s) for n, s in saved["numeric"].items()},
            text=TextModel.from_json(saved["text"]) if saved["text"] else None,
        )


@dataclass(frozen=True)
class Encoder:
    """Turns raw feature columns into the inputs of both towers, and holds what the ranker's matrix needs besides."""

    plan: FeaturePlan
    user_ids: Vocabulary
    item_ids: Vocabulary
    users: AttributeEncoder
    items: AttributeEncoder
    contexts: dict[str, AnyVocabulary]
    segments: Segments

    def queries(
        self,
        user_ids: Array,
        users: Columns,
        moments_us: Array,
        contexts: Sequence[Mapping[str, str]],
        *,
        history: Array | None = None,
    ) -> Columns:
        """Inputs of the query tower for n requests; `history` where that is known already.

        The attributes', and `user_id`, `hour`, `weekday` [n], `activity` [n, 1], `history` [n, TOWER_HISTORY], and
        `context` [n, c] where context columns are declared.
        """
        hour, weekday = clock_at(moments_us)
        activity = np.log1p(np.fmax(users["user_event_count"], 0.0))
        inputs = {
            **self.users.inputs(users),
            "user_id": self.user_ids.encode(user_ids),
            "history": self._history(users["history_items"]) if history is None else history,
            "hour": hour,
            "weekday": weekday,
            "activity": activity[:, None].astype(np.float32),
        }
        return {**inputs, "context": self.context_codes(contexts)} if self.contexts else inputs

    def context_codes(self, contexts: Sequence[Mapping[str, str]]) -> Array:
        """Declared context columns of n requests as indexes [n, c]; what a request does not say is 0."""
        columns = [
            known.encode(np.array([context.get(name) for context in contexts], object))
            for name, known in self.contexts.items()
        ]
        return np.stack(columns, axis=1) if columns else np.zeros((len(contexts), 0), np.int64)

    def item_inputs(self, item_ids: Array, items: Columns) -> Columns:
        """Inputs of the item tower for n items: the attributes', `item_id` [n], and `popularity` [n, 1], the log of
        the count of events, where that is among the columns."""
        inputs = {**self.items.inputs(items), "item_id": self.item_ids.encode(item_ids)}
        if "item_event_count" not in items:
            return inputs
        counts = np.nan_to_num(items["item_event_count"].astype(np.float64))
        return {**inputs, "popularity": np.log1p(counts)[:, None].astype(np.float32)}

    def _history(self, items: Array) -> Array:
        # Right-aligned, so that a position means the same age in every history: the last column is the newest item.
        if items.shape[1] >= TOWER_HISTORY and None not in items[:, -1]:
            return self.item_ids.encode(items[:, -TOWER_HISTORY:])
        lengths = (items != None).sum(axis=1)  # noqa: E711 - an elementwise comparison
        wanted = np.arange(TOWER_HISTORY) + (lengths - TOWER_HISTORY)[:, None]
        newest = np.take_along_axis(items, np.clip(wanted, 0, items.shape[1] - 1), axis=1)
        return np.where(wanted >= 0, self.item_ids.encode(newest), 0)

    def to_json(self) -> dict[str, Any]:
        return {
            "plan": self.plan.to_json(),
            "user_ids": self.user_ids.to_json(),
            "item_ids": self.item_ids.to_json(),
            "users": self.users.to_json(),
            "items": self.items.to_json(),
            "contexts": {name: known.to_json() for name, known in self.contexts.items()},
            "segments": self.segments.to_json(),
        }

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> "Encoder":
        return cls(
            plan=FeaturePlan.from_json(saved["plan"]),
            user_ids=vocabulary(saved["user_ids"]),
            item_ids=vocabulary(saved["item_ids"]),
            users=AttributeEncoder.from_json(saved["users"]),
            items=AttributeEncoder.from_json(saved["items"]),
            contexts={name: vocabulary_from_json(values) for name, values in saved["contexts"].items()},
            segments=Segments.from_json(saved["segments"]),
        )


def flags(known: AnyVocabulary, values: Array) -> Array:
    """One column for each known value of a multi-valued attribute [n, longest], 1 where the row has it; float32."""
    hot = np.zeros((len(values), len(known)), np.float32)
    np.put_along_axis(hot, known.encode(values), 1.0, axis=1)
    return hot[:, 1:]


def fit_encoder(
    dataset: Dataset,
    *,
    user_ids: Array,
    users: Columns,
    moments_us: Array,
    contexts: Sequence[Mapping[str, str]],
    item_ids: Array,
    items: Columns,
    settings: EncoderSettings,
    seed: int,
) -> Encoder:
    """Learn from the rows of a training window: requests [n] in order of time, and items [m]."""
    plan = feature_plan(dataset)
    last = np.sort(len(user_ids) - 1 - np.unique(user_ids[::-1], return_index=True)[1])
    return Encoder(
        plan=plan,
        user_ids=vocabulary(user_ids),
        item_ids=vocabulary(item_ids),
        users=fit_attributes(dataset.users, users, settings, seed=seed),
        items=fit_attributes(dataset.items, items, settings, seed=seed),
        contexts={
            name: category_vocabulary((c.get(name) for c in contexts), limit=settings.category_codes)
            for name in plan.context
        },
        segments=fit_segments(
            user_features_at(plan, take(users, last), moments_us[last]), segments=settings.segments, seed=seed
        ),
    )


def fit_attributes(
    declared: EntityTable | None, columns: Columns, settings: EncoderSettings, *, seed: int
) -> AttributeEncoder:
    if declared is None:
        return AttributeEncoder({}, {}, {})
    limits = {"dimension": settings.text_dimension, "words": settings.text_words}
    return AttributeEncoder(
        categorical={n: category_vocabulary(columns[n], limit=settings.category_codes) for n in declared.categorical},
        multi={n: category_vocabulary(columns[n].ravel(), limit=settings.multi_codes) for n in declared.multi},
        numeric={n: scale(columns[n]) for n in declared.numeric},
        text=fit_text(declared.text, columns, seed=seed, **limits) if declared.text else None,
    )

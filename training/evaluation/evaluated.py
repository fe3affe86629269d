"""From replayed slates to the rows that people and policies read: one protocol, every model on the same requests."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from training.evaluation.classification import click_quality
from training.evaluation.page_content import Estimate, Evaluation, ModelRow
from training.evaluation.protocols import SENTENCES, TITLES, Protocol
from training.evaluation.replayed import TWO_STAGE, Replayed
from training.evaluation.summary import (
    Asked,
    Items,
    difference_rows,
    item_segment_rows,
    measured,
    model_row,
    user_segment_rows,
)

Array = np.ndarray[Any, Any]

DECIDES = "ndcg@10"
KS = (10,)


@dataclass(frozen=True)
class Setting:
    """What all models of one protocol share: requests, catalogue, segment of each request, new items [m]."""

    protocol: Protocol
    asked: Asked
    items: Items
    segments: Array
    new_items: Array


@dataclass(frozen=True)
class Measured:
    """One version under one protocol: slates and metrics of each request by model, and the rows of the table."""

    slates: Mapping[str, Array]
    values: Mapping[str, Mapping[str, Array]]
    rows: tuple[ModelRow, ...]

    def of(self, model: str) -> Array:
        """The metric that decides [requests]."""
        return np.asarray(self.values[model][DECIDES])

    def row(self, model: str) -> ModelRow:
        return next(row for row in self.rows if row.name == model)


def measure(replayed: Replayed, setting: Setting, *, primitive: str) -> Measured:
    """Metrics of every model; a hit beside those of the slates of `primitive` counts as serendipity."""
    popular = replayed.slates[primitive]
    values = {
        model: measured(slates, setting.asked, setting.items, primitive=popular, ks=KS)
        for model, slates in replayed.slates.items()
    }
    rows = [
        model_row(model, slates, values[model], setting.asked, setting.items)
        for model, slates in replayed.slates.items()
    ]
    clicks = click_quality(replayed.clicked, replayed.scores, replayed.request)
    known = {"auc": clicks.auc, "pr_auc": clicks.pr_auc, "gauc": clicks.gauc}
    found = {name: Estimate(value=value) for name, value in known.items() if value is not None}
    rows = [replace_metrics(row, found) if row.name == TWO_STAGE else row for row in rows]
    return Measured(replayed.slates, values, tuple(rows))


def replace_metrics(row: ModelRow, more: Mapping[str, Estimate]) -> ModelRow:
    return ModelRow(name=row.name, about=row.about, metrics={**row.metrics, **more})


def named(found: Measured, names: Mapping[str, str]) -> Measured:
    """Only the models of `names`, under their new names."""
    rows = [found.row(model) for model in names]
    return replace(
        found,
        slates={new: found.slates[model] for model, new in names.items()},
        values={new: found.values[model] for model, new in names.items()},
        rows=tuple(ModelRow(name=names[row.name], about=row.about, metrics=row.metrics) for row in rows),
    )


def evaluation(
    setting: Setting, found: list[Measured], *, model: str, reference: str, reference_is: str, seed: int
) -> Evaluation:
    """One section of the report over the models of `found`, whose names differ."""
    rng = np.random.default_rng(seed)
    slates = {name: values for one in found for name, values in one.slates.items()}
    decisive = {name: one.of(name) for one in found for name in one.slates}
    return Evaluation(
        name=TITLES[setting.protocol.name],
        protocol=[SENTENCES[setting.protocol.name]],
        requests=len(setting.asked.user),
        users=int(setting.asked.user.max()) + 1,
        metric=DECIDES,
        model=model,
        reference=reference,
        reference_is=reference_is,
        models=[row for one in found for row in one.rows],
        differences=difference_rows(decisive, reference, setting.asked),
        segments=[
            *user_segment_rows(decisive, setting.segments, setting.asked, rng),
            *item_segment_rows(slates, setting.new_items, setting.asked, metric=DECIDES, rng=rng),
        ],
    )

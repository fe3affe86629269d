"""From slates to the rows of the report: one protocol, every model on the same requests.

`slates` of a model are [requests, k], or [seeds, requests, k] where it was trained with several seeds; every value is
the mean over seeds of each request, and intervals resample users.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import sparse

from feature_repo.core.errors import NotMeasurable
from feature_repo.core.k_anonymity import K, merged
from training.evaluation.beyond_accuracy import (
    gini,
    intra_list_diversity,
    mean_over_items,
    popularity_lift,
    popularity_percentiles,
    self_information,
    serendipity,
)
from training.evaluation.bootstrap import coverage_interval, mean_intervals
from training.evaluation.compare import MARGIN, differences, not_below
from training.evaluation.hits import counts_of, hits_of, within
from training.evaluation.metrics import ranking_metrics
from training.evaluation.page_content import Difference, Estimate, ModelRow, SegmentRow
from training.evaluation.segments import NEW, OLD, SegmentValue, by_segment

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Asked:
    """r requests: `relevant` [r, m] above 0 where an item is; `user` [r] numbers who asked from 0; `weights`
    [resamples, users] as `bootstrap.user_weights` draws them."""

    relevant: sparse.csr_array
    user: Array
    weights: Array


@dataclass(frozen=True)
class Items:
    """The catalogue of m items: `events` [m] of the training window; `vectors` [m, d] that describe them, or None."""

    events: Array
    vectors: Array | sparse.csr_array | None = None


def measured(slates: Array, asked: Asked, items: Items, *, primitive: Array, ks: Sequence[int]) -> dict[str, Array]:
    """Every metric that a request has a value in, as name@k -> [requests].

    What is not accuracy is measured at the slate's whole length. `primitive` [requests, k] or [k] are the slates of the
    most popular items, beside which a hit counts as serendipity.
    """
    several = _by_seed(slates)
    found = [_measured(one, asked, items, primitive, ks) for one in several]
    return {name: np.asarray(np.mean([values[name] for values in found], axis=0)) for name in found[0]}


def model_row(
    name: str, slates: Array, values: Mapping[str, Array], asked: Asked, items: Items, *, about: str = ""
) -> ModelRow:
    """The row of the table: `values` of `measured` with intervals, and what only all slates together have."""
    intervals = mean_intervals(values, asked.user, asked.weights)
    row = {key: Estimate.of(interval) for key, interval in intervals.items()}
    whole = [_whole(one, asked, items) for one in _by_seed(slates)]
    row |= {key: _seed_mean([one[key] for one in whole]) for key in whole[0]}
    return ModelRow(name=name, about=about, metrics=row)


def difference_rows(
    values: Mapping[str, Array], reference: str, asked: Asked, *, margin: float = MARGIN
) -> list[Difference]:
    """Every other model minus `reference`; `values` are those of the metric that decides, by model."""
    found = differences(values, reference, asked.user, asked.weights)
    return [
        Difference(model=name, estimate=Estimate.of(gap), verdict=not_below(gap, margin)) for name, gap in found.items()
    ]


def user_segment_rows(
    values: Mapping[str, Array], labels: Array, asked: Asked, rng: np.random.Generator, *, k: int = K
) -> list[SegmentRow]:
    """The metric that decides in each segment of `labels` [requests] (`segments.user_segments`), by model.

    Segments of fewer than `k` users are merged, or have no row.
    """
    names = merged(labels, asked.user, k=k)
    told = np.flatnonzero(names != None)  # noqa: E711 - elementwise
    if not len(told):
        return []
    inside = {model: found[told] for model, found in values.items()}
    return [_segment_row("users", found) for found in by_segment(inside, names[told], asked.user[told], rng)]


def item_segment_rows(
    slates: Mapping[str, Array],
    new: Array,
    asked: Asked,
    *,
    metric: str,
    rng: np.random.Generator,
    least_users: int = K,
) -> list[SegmentRow]:
    """A metric of `ranking_metrics`, `ndcg@10` for instance, where only new items may be relevant, and only old ones.

    `new` [m] is true for new items. A segment in which nothing is relevant to at least `least_users` has no row.
    """
    k = int(metric.partition("@")[2])
    rows = []
    for label, chosen in ((NEW, new), (OLD, ~new)):
        requests = np.flatnonzero((asked.relevant > 0) @ chosen.astype(np.int64))
        if len(np.unique(asked.user[requests])) < least_users:
            continue
        values = {}
        for model, of_model in slates.items():
            several = [within(one, asked.relevant, chosen) for one in _by_seed(of_model)]
            found = [ranking_metrics(hits, counts, (k,))[metric] for _, hits, counts in several]
            values[model] = np.mean(found, axis=0)
        segments = by_segment(values, np.full(len(requests), label), asked.user[requests], rng)
        rows += [_segment_row("items", segment) for segment in segments]
    return rows


def _measured(slates: Array, asked: Asked, items: Items, primitive: Array, ks: Sequence[int]) -> dict[str, Array]:
    hits = hits_of(slates, asked.relevant)
    k = slates.shape[1]
    found = ranking_metrics(hits, counts_of(asked.relevant), ks)
    found[f"serendipity@{k}"] = serendipity(slates, hits, primitive)
    found[f"novelty@{k}"] = mean_over_items(slates, self_information(items.events))
    found[f"popularity@{k}"] = mean_over_items(slates, popularity_percentiles(items.events))
    if items.vectors is not None:
        found[f"diversity@{k}"] = intra_list_diversity(slates, items.vectors)
    return found


def _whole(slates: Array, asked: Asked, items: Items) -> dict[str, Estimate]:
    """Coverage with its interval, Gini and popularity lift, of all slates together."""
    catalogue = len(items.events)
    found = {"gini": Estimate(value=gini(slates, catalogue))}
    shown = (slates >= 0).any(axis=1)
    counts = counts_of(asked.relevant)
    if shown.any():
        listed = [row[row >= 0].tolist() for row in slates]
        covered = coverage_interval(listed, asked.user, asked.weights, catalogue)
        found["coverage"] = Estimate.of(covered)
    else:
        found["coverage"] = Estimate(value=0.0)
    if shown.any() and counts.any():
        percentiles = popularity_percentiles(items.events)
        chosen = ((asked.relevant > 0) @ percentiles)[counts > 0] / counts[counts > 0]
        found["popularity_lift"] = Estimate(value=popularity_lift(mean_over_items(slates[shown], percentiles), chosen))
    return found


def _seed_mean(estimates: Sequence[Estimate]) -> Estimate:
    """Mean over seeds of the value, and of the limits where every seed has them."""
    lows = [found.low for found in estimates if found.low is not None]
    highs = [found.high for found in estimates if found.high is not None]
    limits = len(lows) == len(highs) == len(estimates)
    return Estimate(
        value=float(np.mean([found.value for found in estimates])),
        low=float(np.mean(lows)) if limits else None,
        high=float(np.mean(highs)) if limits else None,
    )


def _segment_row(of: Literal["users", "items"], found: SegmentValue) -> SegmentRow:
    """A row of a split in which the values were named by model."""
    estimate = Estimate.of(found.interval) if found.interval else Estimate(value=found.value)
    return SegmentRow(
        of=of, segment=found.segment, model=found.metric, requests=found.requests, users=found.users, estimate=estimate
    )


def _by_seed(slates: Array) -> Array:
    """[seeds, requests, k], with one seed where there is no such axis."""
    if slates.ndim not in (2, 3) or not slates.size:
        raise NotMeasurable(f"expected slates [requests, k] or [seeds, requests, k]; got shape {slates.shape}")
    return slates if slates.ndim == 3 else slates[None]

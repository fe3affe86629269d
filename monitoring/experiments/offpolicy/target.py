"""The target policy as a table, laid against the impressions that were logged."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.core.errors import NotMeasurable
from monitoring.experiments.offpolicy.click_model import FOLDS, fit, fold_of
from monitoring.experiments.offpolicy.estimators import Logged

Array = np.ndarray[Any, Any]

# One row for each item that the target may show at a place, from 1, of a logged request; rates of a place sum to 1.
TARGET = pa.schema(
    [
        ("request_id", pa.string()),
        ("position", pa.int32()),
        ("item_id", pa.string()),
        ("probability", pa.float64()),
    ]
)
ROUNDING = 1e-4


def against(impressions: pa.Table, target: pa.Table) -> Logged:
    """The weights and clicks of every request that the target speaks of.

    `impressions` is what `impressions.join` gives.

    Raises:
        NotMeasurable: the log has no propensities or impossible ones; the target lacks a column, speaks of no logged
            request, leaves a place out, or has probabilities that do not sum to 1.
    """
    missing = [name for name in TARGET.names if name not in target.column_names]
    if missing:
        raise NotMeasurable(f"a target has the columns {', '.join(TARGET.names)}; {missing[0]} is missing")
    target = target.select(TARGET.names).cast(TARGET)
    spoken = pc.is_in(impressions["request_id"], value_set=pc.unique(target["request_id"]))
    shown = impressions.filter(spoken)
    if shown.num_rows == 0:
        raise NotMeasurable(f"a target speaks of logged requests; none of its {target.num_rows} rows does")
    _check_propensities(shown)
    known = pc.is_in(target["request_id"], value_set=pc.unique(shown["request_id"]))
    return _laid(shown, target.filter(known))


def _check_propensities(shown: pa.Table) -> None:
    absent = shown["propensity"].null_count
    if absent:
        raise NotMeasurable(
            f"off-policy estimates need logged propensities; {absent:,} of {shown.num_rows:,} impressions have none"
        )
    least, most = (float(value.as_py()) for value in pc.min_max(shown["propensity"]).values())
    if not (least > 0 and most <= 1 + ROUNDING):
        raise NotMeasurable(f"a propensity is above 0 and at most 1; the log holds {least:g} to {most:g}")


def _laid(shown: pa.Table, target: pa.Table) -> Logged:
    request = _codes(shown["request_id"], target["request_id"])
    item = _codes(shown["item_id"], target["item_id"])
    place = [table["position"].to_numpy().astype(np.int64) - 1 for table in (shown, target)]
    requests, items, places = (int(max(of.max() for of in found)) + 1 for found in (request, item, place))
    at = [r * places + p for r, p in zip(request, place, strict=True)]
    probability = target["probability"].to_numpy()
    _check_target(probability, at, requests * places, shown, place[0])
    weights, rewards = np.ones((requests, places)), np.zeros((requests, places))
    key = [a * items + i for a, i in zip(at, item, strict=True)]
    found = _looked_up(key[1], probability, key[0]) / shown["propensity"].to_numpy()
    clicked = shown["clicked"].to_numpy(zero_copy_only=False).astype(np.float64)
    weights[request[0], place[0]], rewards[request[0], place[0]] = found, clicked
    user = np.zeros(requests, np.int64)
    user[request[0]] = _codes(shown["user_id"])[0]
    user = np.unique(user, return_inverse=True)[1]
    modelled, expected = np.zeros((requests, places)), np.zeros((requests, places))
    for fold in range(FOLDS):
        own, of_target = (fold_of(user)[of] == fold for of in request)
        model = fit(item[0][~own], place[0][~own], clicked[~own], items=items, places=places)
        modelled[request[0][own], place[0][own]] = model.predict(item[0][own], place[0][own])
        part = probability[of_target] * model.predict(item[1][of_target], place[1][of_target])
        expected += np.bincount(at[1][of_target], weights=part, minlength=requests * places).reshape(requests, places)
    # What the target shows at places that the slate did not have earned nothing that was seen.
    there = np.zeros((requests, places), bool)
    there[request[0], place[0]] = True
    return Logged(weights, rewards, user, modelled, expected * there)


def _check_target(probability: Array, at: list[Array], cells: int, shown: pa.Table, place: Array) -> None:
    if not ((probability >= 0) & (probability <= 1 + ROUNDING)).all():
        raise NotMeasurable("a target's probabilities are from 0 to 1; got one outside, or none")
    total = np.bincount(at[1], weights=probability, minlength=cells)[at[0]]
    wrong = np.flatnonzero(np.abs(total - 1) > ROUNDING)
    if len(wrong):
        first = int(wrong[0])
        raise NotMeasurable(
            f"a target's probabilities sum to 1 at each logged place; got {total[first]:.4g} at place "
            f"{int(place[first]) + 1} of request {shown['request_id'][first].as_py()}"
        )


def _codes(*columns: pa.ChunkedArray) -> list[Array]:
    """Numbers from 0, the same for the same text in every column."""
    joined = pa.concat_arrays([column.combine_chunks() for column in columns]).dictionary_encode()
    ends = np.cumsum([len(column) for column in columns])[:-1]
    return list(np.split(joined.indices.to_numpy(zero_copy_only=False).astype(np.int64), ends))


def _looked_up(keys: Array, values: Array, wanted: Array) -> Array:
    """The sum of `values` of each wanted key; 0 for one that is not there."""
    known, place = np.unique(keys, return_inverse=True)
    sums = np.append(np.bincount(place, weights=values, minlength=len(known)), 0.0)
    at = np.searchsorted(known, wanted)
    found = (at < len(known)) & (known[np.minimum(at, len(known) - 1)] == wanted)
    return np.asarray(sums[np.where(found, at, len(known))])

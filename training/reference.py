"""Flat rows of recommended items: what drift is measured on, the same at training time and afterwards."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

Array = np.ndarray[Any, Any]

# Who was asked, what was answered, when, and what came of it: they tell rows apart and are no features.
REQUEST, USER, ITEM, MOMENT, LABEL = "request_id", "user_id", "item_id", "moment", "label"
IDENTITY = (REQUEST, USER, ITEM, MOMENT, LABEL)


def recommended_rows(
    feature_names: Sequence[str],
    *,
    features: Array,
    scores: Array,
    request_ids: Sequence[str],
    user_ids: Sequence[str],
    moments_us: Sequence[int],
    item_ids: Sequence[str] | Array | None = None,
    labels: Array | None = None,
) -> pa.Table:
    """One row a recommended item: request_id, user_id, moment, `score`, and the ranker's features [n, f] by name.

    With `item_ids` there is a column item_id, and with `labels` [n] a column label: 1 where the user went on to it.
    """
    columns = {name: pa.array(features[:, place], pa.float32()) for place, name in enumerate(feature_names)}
    identity: dict[str, pa.Array] = {
        REQUEST: pa.array(request_ids, pa.string()),
        USER: pa.array(user_ids, pa.string()),
        MOMENT: pa.array(moments_us, pa.int64()).cast(pa.timestamp("us", "UTC")),
    }
    if item_ids is not None:
        identity[ITEM] = pa.array(item_ids, pa.string())
    if labels is not None:
        identity[LABEL] = pa.array(np.asarray(labels, np.float32))
    return pa.table({**identity, "score": pa.array(scores, pa.float32()), **columns})

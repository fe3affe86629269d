"""Flat rows of recommended items: what drift is measured on, the same at training time and afterwards."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

Array = np.ndarray[Any, Any]


def recommended_rows(
    feature_names: Sequence[str],
    *,
    features: Array,
    scores: Array,
    request_ids: Sequence[str],
    user_ids: Sequence[str],
    moments_us: Sequence[int],
) -> pa.Table:
    """One row a recommended item: request_id, user_id, moment, `score`, and the ranker's features [n, f] by name."""
    columns = {name: pa.array(features[:, place], pa.float32()) for place, name in enumerate(feature_names)}
    return pa.table(
        {
            "request_id": pa.array(request_ids, pa.string()),
            "user_id": pa.array(user_ids, pa.string()),
            "moment": pa.array(moments_us, pa.int64()).cast(pa.timestamp("us", "UTC")),
            "score": pa.array(scores, pa.float32()),
            **columns,
        }
    )

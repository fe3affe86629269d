"""What one version showed in replay, a row a request: fairness and feedback loops are measured on it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from training.evaluation.hits import counts_of, hits_of
from training.evaluation.summary import Asked
from training.replay import Moment

Array = np.ndarray[Any, Any]


def slates_name(version: str) -> str:
    """The file's name; erasing a person goes over every file of this stem."""
    return f"current-{version}.slates.parquet"


def slate_rows(asked: Sequence[Moment], slates: Array, answer: Asked, *, segments: Array, item_ids: Array) -> pa.Table:
    """request_id, user_id, moment, segment, how many items were `relevant`, the `slate` and its `hits`.

    `slates` [requests, k] are rows of `item_ids`, -1 where a slate is shorter, all at its end; `segments` [requests].
    """
    shown = slates >= 0
    ends = np.concatenate([[0], np.cumsum(shown.sum(axis=1))])
    offsets = pa.array(ends, pa.int32())
    hits = hits_of(slates, answer.relevant)[shown] > 0
    return pa.table(
        {
            "request_id": pa.array([f"{one.user_id}@{one.moment_us}" for one in asked], pa.string()),
            "user_id": pa.array([one.user_id for one in asked], pa.string()),
            "moment": pa.array([one.moment_us for one in asked], pa.int64()).cast(pa.timestamp("us", "UTC")),
            "segment": pa.array(segments.tolist(), pa.string()),
            "relevant": pa.array(counts_of(answer.relevant), pa.int64()),
            "slate": pa.ListArray.from_arrays(offsets, pa.array(item_ids[slates[shown]], pa.string())),
            "hits": pa.ListArray.from_arrays(offsets, pa.array(hits, pa.bool_())),
        }
    )

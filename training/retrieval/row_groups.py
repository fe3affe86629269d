"""A training set that stays on disk: requests in a Parquet file, of which a few row groups are in memory at a time.

Every epoch reads the row groups in another order, shuffles two of them together, and passes batches on; what is left of
them joins the next two. So memory is bounded by the size of a row group, whatever the size of the file.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.features.columns import Columns, take
from training.retrieval.batches import AHEAD, batches
from training.retrieval.held_out import Held
from training.retrieval.tensorflow_quiet import tf
from training.retrieval.training_sets import Requests
from training.settings import TwoTowerSettings

Array = np.ndarray[Any, Any]

TOGETHER = 2  # row groups that are shuffled together
POSITIVES = "positives"


@dataclass(frozen=True)
class RowGroups:
    """Requests in the file `path`, as `write_requests` wrote them; `items` as in `Requests`, `held` from elsewhere."""

    path: Path
    items: Columns
    held: Held | None = None

    @cached_property
    def _metadata(self) -> pq.FileMetaData:
        return pq.read_metadata(self.path)

    def __len__(self) -> int:
        return int(self._metadata.num_rows)

    def parts(self, *, seed: int, epochs: int) -> Iterator[Requests]:
        """Shuffled rows of a few row groups at a time, epoch after epoch."""
        rng = np.random.default_rng(seed)
        with pq.ParquetFile(self.path) as file:
            for _ in range(epochs):
                groups = rng.permutation(file.num_row_groups)
                for at in range(0, len(groups), TOGETHER):
                    table = file.read_row_groups(groups[at : at + TOGETHER].tolist(), use_threads=False)
                    yield self._requests(table.take(pa.array(rng.permutation(len(table)))))

    def _requests(self, table: pa.Table) -> Requests:
        lists = table[POSITIVES].combine_chunks()
        starts = np.concatenate([[0], np.cumsum(lists.value_lengths().to_numpy())]).astype(np.int64)
        queries = {name: _as_array(table[name].combine_chunks()) for name in table.column_names if name != POSITIVES}
        return Requests(queries, starts, lists.flatten().to_numpy(), self.items)


def write_requests(parts: Iterable[Requests], path: Path) -> None:
    """Write requests to `path`, one row group a part; a part is all that is in memory."""
    writer: pq.ParquetWriter | None = None
    for part in parts:
        table = pa.table({name: _as_column(values) for name, values in part.queries.items()})
        lists = pa.ListArray.from_arrays(pa.array(part.starts.astype(np.int32)), pa.array(part.positives))
        table = table.append_column(POSITIVES, lists)
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=max(len(table), 1))
    if writer:
        writer.close()


@batches.register
def _row_groups(examples: RowGroups, settings: TwoTowerSettings, seed: int) -> "tf.data.Dataset":
    with pq.ParquetFile(examples.path) as file:
        sample = examples._requests(file.schema_arrow.empty_table())
    index = tf.TensorSpec((None,), tf.int64)
    query = {name: tf.TensorSpec((None, *v.shape[1:]), tf.as_dtype(v.dtype)) for name, v in sample.queries.items()}
    signature = {"query": query, "row": index, "item": index, "request": index}

    def read() -> Iterator[dict[str, Any]]:
        parts = examples.parts(seed=seed, epochs=settings.epochs)
        return row_batches(parts, len(examples), settings.batch_size)

    return tf.data.Dataset.from_generator(read, output_signature=signature).prefetch(AHEAD)


def row_batches(parts: Iterable[Requests], rows: int, size: int) -> Iterator[dict[str, Any]]:
    """Batches of `size` requests; an epoch of `rows` ends with a smaller one, and none spans two epochs."""
    seen, rest = 0, None
    for part in parts:
        waiting = part if rest is None else joined(rest, part)
        last = seen + len(waiting) == rows
        whole = len(waiting) if last else len(waiting) // size * size
        for at in range(0, whole, size):
            yield batch_of(waiting, np.arange(at, min(at + size, whole)))
        rest = None if whole == len(waiting) else part_of(waiting, np.arange(whole, len(waiting)))
        seen = 0 if last else seen + whole


def batch_of(requests: Requests, chosen: Array) -> dict[str, Any]:
    row, item = requests.positives_of(chosen)
    return {
        "query": take(requests.queries, chosen),
        "row": row,
        "item": item,
        "request": np.zeros(len(chosen), np.int64),
    }


def part_of(requests: Requests, chosen: Array) -> Requests:
    row, item = requests.positives_of(chosen)
    starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(chosen)))])
    return Requests(take(requests.queries, chosen), starts, item, requests.items)


def joined(first: Requests, second: Requests) -> Requests:
    queries = {name: np.concatenate([values, second.queries[name]]) for name, values in first.queries.items()}
    starts = np.concatenate([first.starts, first.starts[-1] + second.starts[1:]])
    return Requests(queries, starts, np.concatenate([first.positives, second.positives]), first.items)


def _as_column(values: Array) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def _as_array(column: pa.Array) -> Array:
    if not pa.types.is_fixed_size_list(column.type):
        return np.asarray(column.to_numpy())
    return np.asarray(column.flatten().to_numpy()).reshape(len(column), column.type.list_size)

"""Read a parquet file whose text is not all UTF-8, batch by batch: bad bytes become replacement characters."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def read_names(file: Path) -> list[str]:
    """The column names as the file has them, repeated ones too."""
    return list(pq.read_schema(file).names)


def read_batches(file: Path, *, names: Sequence[str], line: str) -> pa.RecordBatchReader:
    """All columns under the given `names`, text made valid, and the column `line`, null: a row is always a row."""
    schema = pa.schema(
        [*(pa.field(n, f.type) for n, f in zip(names, pq.read_schema(file), strict=True)), (line, pa.string())]
    )
    return pa.RecordBatchReader.from_batches(schema, _batches(file, schema))


def _batches(file: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for batch in pq.ParquetFile(file).iter_batches():
        columns = [*map(_valid, batch.columns), pa.nulls(batch.num_rows, pa.string())]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _valid(column: pa.Array) -> pa.Array:
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    binary = column.cast(pa.binary() if pa.types.is_string(column.type) else pa.large_binary())
    try:
        return binary.cast(column.type)
    except pa.ArrowInvalid:
        cells = (None if cell is None else cell.decode(errors="replace") for cell in binary.to_pylist())
        return pa.array(cells, column.type)

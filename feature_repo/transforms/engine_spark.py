"""The transforms on Spark; core/spark.py says where it runs."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.expr.types import Table

from feature_repo.core.errors import EngineUnavailable
from feature_repo.core.spark import RESULTS, session_settings

# As DuckDB writes them: a reader scans row groups in parallel.
ROW_GROUP = 122_880


class SparkEngine:
    """Spark over parquet files in `scratch`, a folder that its executors can reach."""

    def __init__(self, connection: ibis.BaseBackend, scratch: Path) -> None:
        self._connection = connection
        self._scratch = scratch
        self._inputs = 0

    def table(self, rows: pa.Table) -> Table:
        path = self._scratch / f"input-{self._inputs}.parquet"
        self._inputs += 1
        pq.write_table(rows, path)
        return self._connection.read_parquet(path)

    def write(self, table: Table, path: Path) -> None:
        parts = self._scratch / path.stem
        self._connection.to_parquet(table, parts)
        join_parts(parts, path)
        shutil.rmtree(parts)


def join_parts(parts: Path, path: Path) -> None:
    """Copy Spark's files, whose names are in the order of the sort, into one file."""
    files = sorted(parts.glob("part-*.parquet"))
    # Which columns cannot be empty is an engine's own guess from the expression: no reader is to rely on it.
    schema = pa.schema([field.with_nullable(True) for field in pq.read_schema(files[0])])
    with pq.ParquetWriter(path, schema) as writer:
        for file in files:
            for batch in pq.ParquetFile(file).iter_batches(ROW_GROUP):
                writer.write_batch(batch.cast(schema))


@contextmanager
def open_spark(scratch: Path) -> Iterator[SparkEngine]:
    """Spark as an engine; a session that is open already is used and stays open.

    Raises:
        EngineUnavailable: pyspark or Java is missing.
    """
    active = _session_class().getActiveSession()
    session = active.newSession() if active else _start(os.environ)
    # Spark refuses to write over what a killed run left.
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        for key, value in RESULTS.items():
            session.conf.set(key, value)
        yield SparkEngine(ibis.pyspark.connect(session), scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if not active:
            session.stop()


def _session_class() -> Any:
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise EngineUnavailable(
            "ENGINE=spark needs pyspark, which is not installed: pip install -r requirements-spark.lock"
        ) from None
    return SparkSession


def _start(environ: Mapping[str, str]) -> Any:
    builder = _session_class().builder.appName("feature tables")
    if not environ.get("SPARK_REMOTE") and not shutil.which("java", path=_java_path(environ)):
        raise EngineUnavailable("ENGINE=spark needs Java 17, and neither JAVA_HOME nor PATH has it")
    return builder.config(map=session_settings(environ)).getOrCreate()


def _java_path(environ: Mapping[str, str]) -> str:
    home = environ.get("JAVA_HOME")
    return str(Path(home) / "bin") if home else environ.get("PATH", "")

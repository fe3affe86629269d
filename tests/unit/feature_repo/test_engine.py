import sys
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.core.errors import EngineUnavailable, StoreUnavailable
from feature_repo.core.spark import session_settings
from feature_repo.core.workspace import Workspace
from feature_repo.store.settings import store_settings
from feature_repo.transforms.engine import engine_name, open_engine
from feature_repo.transforms.engine_spark import join_parts


def test_duckdb_is_the_engine_unless_another_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENGINE", raising=False)

    assert engine_name() == "duckdb"


def test_an_unknown_engine_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE", "flink")

    with pytest.raises(EngineUnavailable, match="ENGINE is one of duckdb, spark; got 'flink'"):
        engine_name()


def test_spark_without_pyspark_names_the_lock_that_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)

    with (
        pytest.raises(EngineUnavailable, match=r"pip install -r requirements-spark\.lock"),
        open_engine("spark", tmp_path),
    ):
        pass


def test_spark_without_java_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyspark", reason="pyspark is not installed: pip install -r requirements-spark.lock")
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    with pytest.raises(EngineUnavailable, match="needs Java 17, and neither"), open_engine("spark", tmp_path):
        pass


def test_the_duckdb_engine_writes_rows_in_the_order_of_the_expression(tmp_path: Path) -> None:
    with open_engine("duckdb", tmp_path / "scratch") as engine:
        rows = engine.table(pa.table({"n": [3, 1, 2]}))
        engine.write(rows.order_by(ibis.desc("n")), tmp_path / "n.parquet")

    assert pq.read_table(tmp_path / "n.parquet")["n"].to_pylist() == [3, 2, 1]
    assert not (tmp_path / "scratch").exists()


def test_the_parts_of_a_sorted_table_become_one_file_in_their_order(tmp_path: Path) -> None:
    for place, values in enumerate([[1, 2], [], [3]]):
        table = pa.table({"n": pa.array(values, pa.int64())})
        pq.write_table(table, tmp_path / f"part-{place:05d}-c000.snappy.parquet")

    join_parts(tmp_path, tmp_path / "n.parquet")

    assert pq.read_table(tmp_path / "n.parquet")["n"].to_pylist() == [1, 2, 3]


def test_spark_on_this_machine_opens_no_port_to_others() -> None:
    settings = session_settings({"SPARK_DRIVER_MEMORY": "5g"})

    assert settings["spark.master"] == "local[*]"
    assert settings["spark.driver.memory"] == "5g"
    assert settings["spark.driver.bindAddress"] == "127.0.0.1"
    assert settings["spark.ui.enabled"] == "false"


@pytest.mark.parametrize("cluster", [{"SPARK_MASTER": "spark://head:7077"}, {"SPARK_REMOTE": "sc://head"}])
def test_a_cluster_keeps_its_own_settings(cluster: dict[str, str]) -> None:
    """Only what results depend on is set: memory, addresses and partitions are in the cluster's spark-defaults.conf."""
    settings = session_settings(cluster)

    assert settings.pop("spark.master", None) == cluster.get("SPARK_MASTER")
    assert settings == {
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.sql.session.timeZone": "UTC",
    }


@pytest.mark.parametrize(
    ("named", "kind"),
    [
        ({}, "feature_repo.store.asof.AsofOfflineStore"),
        ({"OFFLINE_STORE": "asof"}, "feature_repo.store.asof.AsofOfflineStore"),
        ({"OFFLINE_STORE": "spark"}, "feature_repo.store.spark.SparkOfflineStore"),
    ],
)
def test_offline_store_names_the_profile(tmp_path: Path, named: dict[str, str], kind: str) -> None:
    settings = store_settings(Workspace(tmp_path, tmp_path / "store"), named)

    assert settings["offline_store"] == {"type": kind}


def test_an_unknown_offline_store_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="OFFLINE_STORE is asof or spark; got 'hive'"):
        store_settings(Workspace(tmp_path, tmp_path / "store"), {"OFFLINE_STORE": "hive"})

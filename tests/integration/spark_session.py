"""One Spark for the tests that need one: started by our own engine, small, and gone when they are done."""

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

NO_SPARK = None
if find_spec("pyspark") is None:
    NO_SPARK = "pyspark is not installed: pip install -r requirements-spark.lock"
elif shutil.which("java") is None:
    NO_SPARK = "Java is not installed: apt-get install openjdk-17-jre-headless"

needs_spark = pytest.mark.skipif(NO_SPARK is not None, reason=NO_SPARK or "")


def running_spark(folder: Path, settings: pytest.MonkeyPatch) -> Iterator[None]:
    """Spark on two cores, open until the generator is closed; whatever asks for a session in between gets this one."""
    from pyspark import SparkContext

    from feature_repo.transforms.engine import open_engine

    # A program of seconds is over before Java's second compiler has paid for itself.
    (folder / "spark-defaults.conf").write_text("spark.driver.extraJavaOptions -XX:TieredStopAtLevel=1\n")
    settings.delenv("SPARK_REMOTE", raising=False)
    settings.setenv("SPARK_CONF_DIR", str(folder))
    settings.setenv("SPARK_MASTER", "local[2]")
    settings.setenv("SPARK_DRIVER_MEMORY", "1g")
    with open_engine("spark", folder / "scratch"):
        yield
    # Stopped, it would still hold its memory for as long as the tests run.
    gateway = SparkContext._gateway
    assert gateway is not None
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait(timeout=30)
    SparkContext._gateway = SparkContext._jvm = None

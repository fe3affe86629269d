"""Where Spark runs and with which settings, for the transforms and for the offline store alike.

SPARK_MASTER or SPARK_REMOTE name a cluster, whose other settings are in its own spark-defaults.conf. Without them Spark
runs on the cores of this machine, with SPARK_DRIVER_MEMORY (3g unless set).
"""

from collections.abc import Mapping

# What results depend on. Spark's own default writes timestamps as INT96, which has no unit and no zone.
RESULTS = {"spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS", "spark.sql.session.timeZone": "UTC"}
# On one machine nobody else has to reach Spark's ports, and 200 partitions would be 200 tasks for a few cores.
ALONE = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.log.level": "ERROR",
    "spark.sql.shuffle.partitions": "8",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}


def session_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """The settings to start a Spark session with."""
    if environ.get("SPARK_REMOTE"):  # pyspark reads the address itself
        return dict(RESULTS)
    settings = {**RESULTS, "spark.master": environ.get("SPARK_MASTER") or "local[*]"}
    if settings["spark.master"].startswith("local"):
        settings |= {**ALONE, "spark.driver.memory": environ.get("SPARK_DRIVER_MEMORY") or "3g"}
    return settings

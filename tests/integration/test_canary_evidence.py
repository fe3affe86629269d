"""The series that a rollout reads, as the service declares them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from k8s.evidence.scrape import parse
from k8s.evidence.window import Missing

pytestmark = pytest.mark.integration

# Bento counts into files, one folder a server: there a labelled series is unheard of until it has a value.
FRESH_SERVICE = """
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from serving.metrics import register_metrics
register_metrics()
registry = CollectorRegistry()
MultiProcessCollector(registry)
print(generate_latest(registry).decode())
"""


def test_a_service_that_has_answered_nothing_declares_every_series_that_a_rollout_reads(
    tmp_path: Path,
) -> None:
    """A series that appears with its first error cannot be told from one that was never counted."""
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}

    fresh = subprocess.run([sys.executable, "-c", FRESH_SERVICE], env=env, capture_output=True, text=True, check=True)

    found = parse(fresh.stdout)
    assert not isinstance(found, Missing), found.reason
    assert (found.requests, found.errors, found.degraded) == (0, 0, 0)

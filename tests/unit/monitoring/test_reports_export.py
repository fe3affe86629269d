"""What jobs leave in the reports is there for a Prometheus elsewhere, until SIGTERM."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from feature_repo.core.workspace import Workspace
from monitoring.dashboards.export import ExportFailed, export
from monitoring.dashboards.exporter import HOST


def test_figures_and_verdicts_are_exported_until_sigterm(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    reports.mkdir()
    (reports / "business.prom").write_text("# TYPE business_click_rate gauge\nbusiness_click_rate 0.05\n")
    (reports / "drift.json").write_text('{"verdict": "FAIL", "reasons": [], "made_at": "2026-11-23T00:00:00+00:00"}')
    environment = {**os.environ, "BUILD": str(tmp_path), "COLUMNS": "200"}
    command = [sys.executable, "-m", "monitoring", "export", "--port", "0"]

    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        said = child.stdout.readline()
        with urllib.request.urlopen(said.split()[-1], timeout=10) as answer:
            text = answer.read().decode()
        child.send_signal(signal.SIGTERM)
        rest = child.stdout.read()

    assert said.startswith(f"the metrics of {reports} are at http://{HOST}:")
    assert "business_click_rate 0.05" in text
    assert 'report_verdict{report="drift",verdict="FAIL"} 1.0' in text
    assert (child.returncode, rest.strip()) == (0, "stopped")


def test_an_address_that_is_taken_is_a_sentence(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(ExportFailed, match=f"the export needs a free address; got {HOST} port {port}"):
            export(Workspace(root=tmp_path, store=tmp_path), host=HOST, port=port, say=print)

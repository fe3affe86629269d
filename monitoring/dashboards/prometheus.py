"""A Prometheus of our own on this machine: its configuration, the process, and its end.

Debian's binary, on a free port of the loopback address. Everything that it writes lies in one folder of the workspace.
"""

import http.client
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import yaml

from feature_repo.core.errors import RecommenderError

HOST = "127.0.0.1"
START_SECONDS, STOP_SECONDS = 60.0, 15.0
RULES = "rules.yaml"


class MonitorFailed(RecommenderError):
    """Prometheus is not installed, did not start, or ended by itself."""


@dataclass(frozen=True)
class Prometheus:
    """A running one."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def ended(self) -> MonitorFailed:
        return MonitorFailed(f"prometheus ended with status {self.process.returncode}: {_last_line(self.log)}")


def program() -> str:
    """Where the binary is.

    Raises:
        MonitorFailed: it is not installed.
    """
    found = shutil.which("prometheus")
    if found is None:
        raise MonitorFailed("monitoring needs the program prometheus: install Debian's package of that name")
    return found


def configuration(targets: Mapping[str, Sequence[str]], rules: Sequence[Path], *, every_seconds: float) -> str:
    """Prometheus' configuration: `targets` are addresses by the name of the scrape job."""
    every = f"{round(every_seconds * 1_000)}ms"
    content = {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": list(addresses)}]} for job, addresses in targets.items()
        ],
    }
    return yaml.safe_dump(content, sort_keys=False)


@contextmanager
def running_prometheus(folder: Path, configuration_text: str, *, port: int = 0) -> Iterator[Prometheus]:
    """Prometheus with `folder` for its files, ready inside the block and gone after it.

    Raises:
        MonitorFailed: it is not installed, or did not become ready.
    """
    binary = program()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prometheus.yml").write_text(configuration_text, encoding="utf-8")
    port = port or _free_port()
    command = [
        binary,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=15d",
        f"--web.listen-address={HOST}:{port}",
    ]
    path = folder / "prometheus.log"
    with path.open("wb") as log:
        # In a session of its own: Ctrl-C is for this process, which then ends the other one.
        process = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, cwd=folder
        )
    found = Prometheus(process, port, path)
    try:
        _wait_until_ready(found)
        yield found
    finally:
        _stop(process)


@contextmanager
def rule_file() -> Iterator[Path]:
    """The rules of this package as a file."""
    with resources.as_file(resources.files("monitoring.dashboards").joinpath(RULES)) as path:
        yield path


def _wait_until_ready(found: Prometheus) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if found.process.poll() is not None:
            raise found.ended()
        if _is_ready(found.port):
            return
        time.sleep(0.05)
    raise MonitorFailed(f"prometheus must be ready in {START_SECONDS:.0f} s: {_last_line(found.log)}")


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/-/ready")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _last_line(path: Path) -> str:
    lines = path.read_bytes()[-2_000:].decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "it printed nothing"

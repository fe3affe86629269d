"""Children start, answer for the right version, and end on every way out."""

import signal
import sys
import time
from pathlib import Path

import pytest

from k8s.loopback import free_ports
from k8s.processes import ProcessError, ending_on_signals, running, wait_listening, wait_ready

SERVER = """
import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = sys.argv[2].encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), H).serve_forever()
"""
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(grandchild.pid, flush=True)
time.sleep(60)
"""


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def ends_soon(pid: int) -> bool:
    """A signal is delivered when the kernel gets to it."""
    deadline = time.monotonic() + 5
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid)


def test_a_ready_version_is_waited_for(tmp_path: Path) -> None:
    [port] = free_ports(1)
    command = [sys.executable, "-c", SERVER, str(port), '{"model_version": "7"}']

    with running("pod", command, log=tmp_path / "pod.log") as child:
        wait_ready(child, f"http://127.0.0.1:{port}", version="7", patience_seconds=20)

    assert child.process.returncode == -signal.SIGTERM


@pytest.mark.parametrize("body", ['{"model_version": "8"}', "[]", "ready"])
def test_a_process_that_serves_another_version_is_refused(tmp_path: Path, body: str) -> None:
    [port] = free_ports(1)

    with (
        running("pod", [sys.executable, "-c", SERVER, str(port), body], log=tmp_path / "pod.log") as child,
        pytest.raises(ProcessError, match="pod: expected /readyz to report version 7; got "),
    ):
        wait_ready(child, f"http://127.0.0.1:{port}", version="7", patience_seconds=20)


def test_a_process_that_ends_early_tells_the_end_of_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no bundle'); raise SystemExit(3)"]

    with (
        running("pod", command, log=tmp_path / "pod.log") as child,
        pytest.raises(ProcessError, match=r"pod ended with status 3; .*pod.log says: no bundle"),
    ):
        wait_ready(child, "http://127.0.0.1:9", version="7", patience_seconds=20)


def test_a_process_that_never_answers_is_given_up_at_the_deadline(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(60)"]

    with (
        running("pod", command, log=tmp_path / "pod.log") as child,
        pytest.raises(ProcessError, match=r"expected /readyz to be 200 within 0 s; got no answer"),
    ):
        wait_ready(child, f"http://127.0.0.1:{free_ports(1)[0]}", version="7", patience_seconds=0.3)


def test_a_port_that_never_opens_is_given_up_at_the_deadline(tmp_path: Path) -> None:
    [port] = free_ports(1)
    command = [sys.executable, "-c", "import time; time.sleep(60)"]

    with (
        running("fault", command, log=tmp_path / "fault.log") as child,
        pytest.raises(ProcessError, match=f"fault: expected port {port} to be open within 0 s"),
    ):
        wait_listening(child, port, patience_seconds=0.2)


def test_a_child_that_ignores_sigterm_ends_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("k8s.processes.PATIENCE_SECONDS", 0.2)
    log = tmp_path / "pod.log"

    with running("pod", [sys.executable, "-c", STUBBORN], log=log) as child:
        while not log.read_text().endswith("\n"):
            time.sleep(0.02)
        grandchild = int(log.read_text())

    assert child.process.returncode == -signal.SIGKILL
    assert ends_soon(grandchild)


def test_an_exception_in_the_block_ends_the_child(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(60)"]

    with pytest.raises(KeyboardInterrupt), running("pod", command, log=tmp_path / "pod.log") as child:
        raise KeyboardInterrupt

    assert not alive(child.process.pid)


def test_sigterm_unwinds_the_block_and_the_handler_is_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)

    with pytest.raises(SystemExit) as left, ending_on_signals():
        signal.raise_signal(signal.SIGTERM)

    assert left.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_free_ports_differ() -> None:
    assert len(set(free_ports(20))) == 20

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from monitoring.timed import Cost, record

ROOT = Path(__file__).parents[3]
COST = Cost(seconds=1.5, peak_rss_mb=100.0, exit_status=0)


def timed(build: Path, name: str, *command: str) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "monitoring", "timed", name, "--", *command]
    environment = {**os.environ, "BUILD": str(build)}
    return subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


def python(code: str) -> Sequence[str]:
    return (sys.executable, "-c", code)


def steps(build: Path) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = json.loads((build / "reports" / "resources.json").read_text())["steps"]
    return found


def test_the_command_keeps_its_options_its_output_and_its_status(tmp_path: Path) -> None:
    code = "import sys; print(sys.argv[1]); sys.stderr.write('to stderr'); sys.exit(3)"

    done = timed(tmp_path, "step", *python(code), "--verbose")

    assert (done.returncode, done.stdout, done.stderr) == (3, "--verbose\n", "to stderr")
    assert steps(tmp_path)["step"]["exit_status"] == 3


def test_the_peak_is_that_of_the_largest_descendant_and_not_of_the_command_alone(tmp_path: Path) -> None:
    grandchild = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'bytearray(200_000_000)'])"

    timed(tmp_path, "large", *python(grandchild))
    timed(tmp_path, "small", *python("pass"))

    assert 200 < steps(tmp_path)["large"]["peak_rss_mb"] < 300
    assert steps(tmp_path)["small"]["peak_rss_mb"] < 100
    assert steps(tmp_path)["small"]["seconds"] > 0


def test_a_command_that_a_signal_ended_has_the_status_of_a_shell(tmp_path: Path) -> None:
    done = timed(tmp_path, "killed", *python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))

    assert done.returncode == 128 + signal.SIGKILL


def test_a_command_that_cannot_start_is_one_sentence_and_no_step(tmp_path: Path) -> None:
    done = timed(tmp_path, "step", "no-such-command")

    assert done.returncode == 2
    assert done.stderr == "error: cannot start 'no-such-command': No such file or directory\n"
    assert not (tmp_path / "reports").exists()


def test_ending_the_wrapper_ends_the_command_and_waits_for_it(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('tidied up', flush=True), sys.exit(7)))\n"
        "print('started', flush=True)\n"
        "time.sleep(60)"
    )
    command = [sys.executable, "-m", "monitoring", "timed", "serve", "--", *python(code)]
    environment = {**os.environ, "BUILD": str(tmp_path)}

    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as wrapper:
        assert wrapper.stdout is not None
        started = wrapper.stdout.readline()
        wrapper.terminate()
        rest = wrapper.stdout.read()

    assert (started, rest, wrapper.returncode) == ("started\n", "tidied up\n", 7)


def test_a_step_replaces_its_last_run_and_leaves_the_others(tmp_path: Path) -> None:
    record(tmp_path, "data", COST)
    record(tmp_path, "train", COST)
    record(tmp_path, "data", Cost(seconds=9.0, peak_rss_mb=50.0, exit_status=0))

    found = json.loads((tmp_path / "resources.json").read_text())["steps"]
    assert found["train"] == {"seconds": 1.5, "peak_rss_mb": 100.0, "exit_status": 0}
    assert found["data"]["seconds"] == 9.0


@pytest.mark.parametrize("content", ["{", "[]", '{"steps": 3}', "{}"])
def test_a_damaged_file_of_figures_is_started_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / "resources.json").write_text(content)

    record(tmp_path, "data", COST)

    assert list(json.loads((tmp_path / "resources.json").read_text())["steps"]) == ["data"]


def test_measuring_a_step_imports_neither_evidently_nor_mlflow_nor_numpy() -> None:
    code = (
        "import sys, monitoring.__main__, monitoring.timed, monitoring.summary\n"
        "print(sorted({'evidently', 'mlflow', 'numpy', 'pandas', 'pyarrow', 'duckdb'} & set(sys.modules)))"
    )

    done = subprocess.run(python(code), cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "[]\n"

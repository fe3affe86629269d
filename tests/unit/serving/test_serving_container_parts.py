import http.server
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import pytest

from serving.container.base import LEFT_OUT, base_tag, ensure_base, mirrors_of_apt
from serving.container.environment import JOBS, environment_tag
from serving.container.healthy import is_healthy
from serving.container.image import MAX_BYTES, Image, checked
from serving.container.jobs import CONTAINERFILE, build_jobs_image, jobs_tag, stage_code
from serving.container.podman import ImageError, has_image, run_tool
from serving.process import free_port
from serving.settings import CODE_ROOT

NOW = datetime(2026, 11, 23, tzinfo=UTC)
BASE = base_tag(NOW)
MIRRORS = "bookworm-updates main one\nbookworm main two\nbookworm-security main three\nbookworm contrib four"


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH: what is not written there is not installed."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def install(tools: Path, name: str, *, says: str = "", status: int = 0) -> None:
    program = tools / name
    program.write_text(f"#!/bin/sh\necho '{says}'\nexit {status}\n")
    program.chmod(0o755)


@pytest.mark.usefixtures("tools")
def test_a_tool_that_is_missing_is_named() -> None:
    with pytest.raises(ImageError, match="an image is built with podman; it is not installed"):
        run_tool("podman", "images")


def test_a_tool_that_fails_is_quoted(tools: Path) -> None:
    install(tools, "podman", says="no space left", status=125)

    with pytest.raises(ImageError, match="podman must end with status 0; got 125: no space left"):
        run_tool("podman", "build")


def test_an_image_is_known_by_its_whole_name(tools: Path) -> None:
    install(tools, "podman", says=BASE)

    assert has_image(BASE)
    assert not has_image(BASE[:-1])
    assert ensure_base(NOW) == BASE


def test_the_base_of_last_month_is_not_the_one_of_this_month() -> None:
    """A base that is kept for ever never gets what was mended since."""
    assert base_tag(NOW) == base_tag(NOW.replace(day=1))
    assert base_tag(NOW) != base_tag(NOW.replace(month=10))


def test_a_base_that_is_not_there_takes_root_to_make(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tools, "podman")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(ImageError, match=f"debootstrap needs root to make {BASE}"):
        ensure_base(NOW)


def test_each_suites_mirror_is_the_one_that_apt_has_it_from(tools: Path) -> None:
    install(tools, "apt-get", says=MIRRORS)

    assert mirrors_of_apt() == {"bookworm": "two", "bookworm-updates": "one", "bookworm-security": "three"}


@pytest.mark.parametrize(
    ("says", "missing"), [("trixie main one", "bookworm"), (MIRRORS.replace("main three", ""), "bookworm-security")]
)
def test_a_machine_whose_apt_does_not_know_every_suite_cannot_make_the_base(
    tools: Path, says: str, missing: str
) -> None:
    install(tools, "apt-get", says=says)

    with pytest.raises(ImageError, match=f"apt knows bookworm, .*; got no {missing}$"):
        mirrors_of_apt()


def test_the_base_is_upgraded_from_every_suite_before_it_is_packed(
    tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """debootstrap alone leaves a release as it was published, with every hole that was mended since."""
    tell = f'echo "${{0##*/}} $*" >> {tools}/calls'
    for name, does in {
        "podman": tell,
        "debootstrap": f'{tell}\n/bin/mkdir -p "$4/etc/apt"',
        "chroot": f'{tell}\n/bin/cp "$1/etc/apt/sources.list" {tools}/sources',
        "tar": tell,
        "apt-get": f"echo '{MIRRORS}'",
    }.items():
        install(tools, name)
        (tools / name).write_text(f"#!/bin/sh\n{does}\n")
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    assert ensure_base(NOW) == BASE

    calls = [line.split() for line in (tools / "calls").read_text().splitlines()]
    assert {(words[0], words[-1]) for words in calls[1:4]} == {
        ("debootstrap", "two"), ("chroot", "update"), ("chroot", "upgrade"),
    }  # fmt: skip
    assert [words[-1] for words in calls[2:4]] == ["update", "upgrade"]
    assert {words[0] for words in calls[4:]} == {"podman", "tar"}
    assert (tools / "sources").read_text().splitlines() == [
        "deb two bookworm main",
        "deb one bookworm-updates main",
        "deb three bookworm-security main",
    ]


def test_what_is_this_machines_is_left_out_of_the_base() -> None:
    assert {"etc/apt/sources.list", "etc/hostname", "etc/resolv.conf"} <= set(LEFT_OUT)


def test_another_base_is_another_environment() -> None:
    assert environment_tag("one") == environment_tag("one")
    assert environment_tag("one") != environment_tag("two")
    assert environment_tag("one") != environment_tag("one", JOBS)


def test_an_image_that_is_too_large_is_refused() -> None:
    assert checked(Image("small", MAX_BYTES)).tag == "small"
    with pytest.raises(ImageError, match="an image must have at most 1200 MB; large has 1201 MB"):
        checked(Image("large", MAX_BYTES + 1_000_000))


def test_the_image_of_the_jobs_is_built_from_the_code_over_the_environment_of_the_jobs(tools: Path) -> None:
    environment = environment_tag("base", JOBS)
    install(tools, "podman")
    (tools / "podman").write_text(
        "#!/bin/sh\n"
        f'echo "$*" >> {tools}/calls\n'
        'case "$1 $2" in\n'
        f'"images "*) echo {environment};;\n'
        '"image inspect") echo 2000000000;;\n'
        f'build*) for last; do :; done; echo "$last"/code/* > {tools}/context;;\n'
        "esac\n"
    )

    built = build_jobs_image("jobs:1", now=NOW, base="base")

    build = next(line for line in (tools / "calls").read_text().splitlines() if line.startswith("build"))
    assert built == Image("jobs:1", 2_000_000_000)
    assert {"--network=none", "--pull=never", f"--build-arg=ENVIRONMENT={environment}"} <= set(build.split())
    assert f"--file={CONTAINERFILE}" in build
    copied = {Path(path).name for path in (tools / "context").read_text().split()}
    assert copied == {"feature_repo", "training", "serving", "monitoring", "k8s"}


def test_the_code_of_the_jobs_is_every_stage_with_its_data_files(tmp_path: Path) -> None:
    stage_code(tmp_path / "code")

    code = tmp_path / "code"
    for needed in ("feature_repo/feature_store.yaml", "k8s/promote/production.yaml", "monitoring/templates/base.html"):
        assert (code / needed).is_file(), needed
    assert not [*code.rglob("__pycache__")]
    assert not [*code.rglob("*.db")]


def test_the_image_of_the_jobs_runs_as_nobody_special_and_writes_to_its_volumes_alone() -> None:
    lines = CONTAINERFILE.read_text(encoding="utf-8").splitlines()

    assert "USER 10001:10001" in lines
    assert lines.index("USER 10001:10001") > max(n for n, line in enumerate(lines) if line.startswith("FROM"))
    # PATH, where libraries keep their caches, and where the workspace is.
    said = " ".join(line for line in lines if "=/" in line)
    assert {"BUILD=/data", "HOME=/tmp", "MPLCONFIGDIR=/tmp/matplotlib"} <= set(said.split())
    assert "://" not in "".join(lines)


def test_the_lock_of_the_jobs_holds_what_serving_holds_in_the_same_versions() -> None:
    whole, jobs, serving = (
        {line for line in (CODE_ROOT / name).read_text().splitlines() if "==" in line and not line.startswith("#")}
        for name in ("requirements.lock", "requirements-jobs.lock", "requirements-serving.lock")
    )

    assert serving < jobs < whole


def test_the_image_of_the_jobs_is_named_after_the_release() -> None:
    assert jobs_tag().rpartition(":")[2] == metadata.version("recommender-platform")


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_a_container_is_healthy_when_it_says_that_it_is_ready(status: int, healthy: bool) -> None:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        found = is_healthy(server.server_port)
        thread.join()

    assert found is healthy


def test_a_container_where_nothing_listens_is_not_healthy() -> None:
    assert not is_healthy(free_port())


def test_a_container_without_a_version_says_so_and_ends_with_2(tmp_path: Path) -> None:
    environment = {**os.environ, "BUILD": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-m", "serving.container.main"], env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert done.stderr.startswith("error: a serving process needs one version of the model")

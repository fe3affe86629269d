import http.server
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from serving.container.base import BASE, LEFT_OUT, ensure_base, mirror_of_apt
from serving.container.environment import environment_tag
from serving.container.healthy import is_healthy
from serving.container.image import MAX_BYTES, Image, checked
from serving.container.podman import ImageError, has_image, run_tool
from serving.process import free_port


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
    assert ensure_base() == BASE


def test_a_base_that_is_not_there_takes_root_to_make(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tools, "podman")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(ImageError, match=f"debootstrap needs root to make {BASE}"):
        ensure_base()


def test_the_mirror_is_the_one_that_apt_has_the_suite_from(tools: Path) -> None:
    install(tools, "apt-get", says="bookworm-updates main one\nbookworm main two\nbookworm contrib three")

    assert mirror_of_apt() == "two"


def test_a_machine_whose_apt_knows_another_suite_cannot_make_the_base(tools: Path) -> None:
    install(tools, "apt-get", says="trixie main one")

    with pytest.raises(ImageError, match="needs a machine whose apt knows bookworm; got none of its indexes"):
        mirror_of_apt()


def test_the_mirrors_address_is_left_out_of_the_base() -> None:
    assert "etc/apt/sources.list" in LEFT_OUT


def test_another_base_is_another_environment() -> None:
    assert environment_tag("one") == environment_tag("one")
    assert environment_tag("one") != environment_tag("two")


def test_an_image_that_is_too_large_is_refused() -> None:
    assert checked(Image("small", MAX_BYTES)).tag == "small"
    with pytest.raises(ImageError, match="an image must have at most 1200 MB; large has 1201 MB"):
        checked(Image("large", MAX_BYTES + 1_000_000))


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

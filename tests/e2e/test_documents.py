"""What the documents name exists, and what exists is documented."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("*/README.md")])
STAGES = ("feature_repo", "training", "serving", "monitoring", "k8s")
TARGETS = set(re.findall(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text().replace("\\\n", " "), re.M)[0].split())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_make_target_that_a_document_names_exists(document: Path) -> None:
    assert set(re.findall(r"\bmake ([a-z-]+)", document.read_text())) <= TARGETS


def test_the_readme_documents_every_target_but_help() -> None:
    named = set(re.findall(r"`make ([a-z-]+)(?: [A-Z]+=...)?`", (ROOT / "README.md").read_text()))

    assert named == TARGETS - {"help"}


def test_make_alone_prints_every_target() -> None:
    printed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    shown = set(re.findall(r"^  make ([a-z-]+)", printed, re.M))
    assert shown == TARGETS


def test_erasing_without_an_id_on_the_command_line_is_a_sentence_and_exit_status_two() -> None:
    """USER is set in every shell, and is the operator: once a bare `make erase` would have erased them."""
    environment = {**os.environ, "USER": "the-operator"}
    done = subprocess.run(["make", "erase"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "make erase needs the id of the person: make erase USER=..."


def test_an_id_on_the_command_line_reaches_the_command_and_not_its_environment() -> None:
    said = subprocess.run(
        ["make", "-n", "erase", "USER=o'hara and sons"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    assert 'env -u USER .venv/bin/python -m training erase --user="$USER"' in said.splitlines()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_to_a_file(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text())

    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_python_command_that_a_document_names_has_a_help(document: Path) -> None:
    calls = set(re.findall(r"python -m (\w+)(?: ([a-z]+(?:-[a-z]+)*)\b)?((?: --[a-z-]+)*)", document.read_text()))
    for stage, command, _ in sorted(calls):
        if stage in STAGES:
            words = [stage, *([command] if command else []), "--help"]
            done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{document.name}: python -m {stage} {command}\n{done.stderr}"


def test_the_top_level_is_what_it_is_said_to_be() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    top = {line.split("/")[0] for line in tracked.splitlines()}

    folders = {*STAGES, "tests"}
    locks = {f"requirements{group}.lock" for group in ("", "-jobs", "-serving", "-spark")}
    files = {"Makefile", "pyproject.toml", "README.md", "LICENSE", *locks}
    assert {name for name in top if not name.startswith(".")} == folders | files


def test_every_stage_has_a_page() -> None:
    assert {path.parent.name for path in ROOT.glob("*/README.md")} >= {*STAGES, "tests"}


def test_the_lock_names_exact_versions_and_no_addresses() -> None:
    for lock in ROOT.glob("requirements*.lock"):
        lines = [line for line in lock.read_text().splitlines() if line and not line.startswith("#")]
        assert all(re.fullmatch(r"[\w.-]+==[\w.+!-]+( ; .+)?", line) for line in lines)
        assert "://" not in lock.read_text()

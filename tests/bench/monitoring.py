"""Monitoring against a known truth: all of `monitoring_*.py` that are there."""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

from bench.rows import Row
from feature_repo.core.console import console
from feature_repo.core.workspace import Workspace

PREFIX = "monitoring_"


def parts() -> Iterator[str]:
    """Names of the benchmarks of monitoring: modules beside this one that give rows."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if module.name.startswith(PREFIX) and hasattr(importlib.import_module(f"bench.{module.name}"), "rows"):
            yield module.name


def rows(workspace: Workspace) -> Iterator[Row]:
    for name in parts():
        with console.status(f"measuring {name.removeprefix(PREFIX)}"):
            yield from importlib.import_module(f"bench.{name}").rows(workspace)

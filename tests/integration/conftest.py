"""What several of these files start from."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from serving_world import build_world

from feature_repo.core.workspace import Workspace


@pytest.fixture(scope="session")
def copy_of_world(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Workspace]:
    """Copies a workspace that is served from to a new folder; it is built once, at the first copy."""
    built: list[Workspace] = []

    def copy(folder: Path) -> Workspace:
        if not built:
            built.append(build_world(tmp_path_factory.mktemp("world"), versions=("1",)))
        shutil.copytree(built[0].root, folder)
        return Workspace(root=folder, store=folder / "store")

    return copy

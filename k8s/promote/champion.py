"""The alias champion, resolved once: what is served from then on is a number."""

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace


def fetch_champion(workspace: Workspace) -> str:
    """The champion's version, its bundle in the workspace.

    Raises:
        MissingArtifact: no version is champion.
    """
    # MLflow takes seconds to import.
    from training.registry import CHAMPION, download_bundle, version_of_alias

    version = version_of_alias(workspace, CHAMPION)
    if version is None:
        raise MissingArtifact("no version is champion yet: run `make train` first")
    download_bundle(workspace, version)
    return version

"""Open Feast for a workspace, and name the stored features of a service."""

import logging
import warnings
from collections.abc import Iterable
from typing import Any

from feast import FeatureStore, FeatureView, RepoConfig
from feast.errors import FeastError

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace
from feature_repo.store.settings import REPO, store_settings

SERVICES = ("retrieval", "ranking")


def open_store(workspace: Workspace) -> FeatureStore:
    """The feature store of `workspace`: feature_store.yaml, with its embedded files where the workspace has them."""
    return FeatureStore(config=store_config(workspace))


def store_config(workspace: Workspace, **instead: Any) -> RepoConfig:
    """The settings of `workspace` with those of `instead` in place of theirs."""
    return RepoConfig(**store_settings(workspace) | instead, repo_path=REPO)


def quiet_feast() -> None:
    """Keep Feast's own notices off the screen; its warnings and errors stay."""
    # On-demand views are marked experimental at every call; ours are tested against the function that they wrap.
    warnings.filterwarnings("ignore", message="On demand feature view is an experimental feature")
    warnings.filterwarnings("ignore", message="fetch_arrow_table", category=DeprecationWarning)
    logging.getLogger("feast").setLevel(logging.WARNING)


def stored_features(store: FeatureStore, join_key: str, services: Iterable[str] = SERVICES) -> dict[str, list[str]]:
    """The stored features that `services` read for the entity with `join_key`: view name -> feature names.

    What an on-demand view of a service takes as input is included.
    """
    found: dict[str, dict[str, None]] = {}
    for view, names in _projections(store, services):
        if _join_key(store, view) == join_key:
            found.setdefault(view, {}).update(dict.fromkeys(names))
    return {view: list(names) for view, names in found.items()}


def references(stored: dict[str, list[str]]) -> list[str]:
    return [f"{view}:{name}" for view, names in stored.items() for name in names]


def _projections(store: FeatureStore, services: Iterable[str]) -> Iterable[tuple[str, list[str]]]:
    on_demand = {view.name: view for view in store.list_on_demand_feature_views()}
    for service in services:
        try:
            projections = store.get_feature_service(service).feature_view_projections
        except FeastError:
            raise MissingArtifact(f"the feature store has no feature service {service!r}: run `make apply`") from None
        for projection in projections:
            if projection.name in on_demand:
                for source in on_demand[projection.name].source_feature_view_projections.values():
                    yield source.name, [f.name for f in source.features]
            else:
                yield projection.name, [f.name for f in projection.features]


def _join_key(store: FeatureStore, view: str) -> str:
    feature_view: FeatureView = store.get_feature_view(view)
    return str(feature_view.entity_columns[0].name)

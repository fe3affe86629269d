"""A workspace with champion 1, challenger 2 and reports that promote it; a deployer that remembers; death on demand."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from feature_repo.core.workspace import Workspace, write_json
from training import registry
from training.deployer import DeployFailed, Fenced
from training.promotion.policy import Offline, PromotionPolicy, Quality
from training.registry.names import FENCE_TAG, MODEL

NOW = datetime.now(UTC)
# The gates whose evidence is in the hand-made reports.
POLICY = PromotionPolicy(offline=Offline(**{**dict.fromkeys(Offline.model_fields), "quality": Quality()}), shadow=None)
OLD_ALIASES, NEW_ALIASES = {"champion": "1", "challenger": "2"}, {"champion": "2", "previous": "1"}
BACK_ALIASES = {"champion": "1", "previous": "2"}


def build_promotable(folder: Path) -> Workspace:
    """Three registered versions, and reports of the first two; the third has no part in it."""
    # A process that only promotes need not wait for the libraries that make a bundle.
    from serving_world import write_bundle

    workspace = Workspace(root=folder, store=folder / "store")
    write_bundle(folder / "bundle")
    for key in ("first", "second", "third"):
        registry.register(workspace, folder / "bundle", key=key, parameters={}, history={})
    put_back(workspace)
    write_reports(workspace)
    return workspace


def write_reports(workspace: Workspace, *, end_state: str = "PROMOTED") -> None:
    about = {"champion": "1", "challenger": "2", "made_at": NOW.isoformat()}
    metric = {"model": "two-stage", "version": "1", "metric": "ndcg@10", "value": 0.1}
    comparison = {"value": 0.01, "low": 0.0, "high": 0.02}
    write_json(workspace.reports / "data.json", {"fingerprint": "monday"})
    write_json(
        workspace.reports / "evaluation.json",
        {**about, "data_fingerprint": "monday", "metrics": [metric], "comparison": comparison},
    )
    write_json(workspace.reports / "canary.json", {**about, "end_state": end_state, "reasons": []})


def put_back(workspace: Workspace) -> None:
    """The registry as it was before anything moved; numbers of fences go on."""
    client = registry.connect(workspace)
    for alias in ("champion", "challenger", "previous"):
        client.delete_registered_model_alias(MODEL, alias)
    for alias, version in OLD_ALIASES.items():
        client.set_registered_model_alias(MODEL, alias, version)
    for tag in set(client.get_registered_model(MODEL).tags) - {FENCE_TAG}:
        client.delete_registered_model_tag(MODEL, tag)
    for file in (workspace.mlflow / "audit.jsonl", workspace.reports / "promotion.json"):
        file.unlink(missing_ok=True)


class RememberedDeployer:
    """Serves at once; versions in `broken` never come up. It refuses a lower fence, as the port asks."""

    def __init__(self, version: str | None = "1", *, broken: frozenset[str] = frozenset()) -> None:
        self.version, self.fence, self.broken = version, 0, broken
        self.deployed: list[str] = []

    def deploy(self, version: str, *, fence: int) -> None:
        if fence < self.fence:
            raise Fenced(f"mover {fence} came after mover {self.fence}")
        self.fence = fence
        self.deployed.append(version)
        if version in self.broken:
            raise DeployFailed(f"version {version} is not ready in time")
        self.version = version

    def serving(self) -> str | None:
        return self.version


class Killed(BaseException):
    """Nothing catches it, so what it meets ends there, as in a process that was killed."""


class Dying:
    """Stands before a client, or anything; its `after`-th call of one of `names`, and every later one, kills."""

    def __init__(self, inner: Any, names: frozenset[str], calls: Iterator[int], after: int) -> None:
        self._inner, self._names, self._calls, self._after = inner, names, calls, after

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self._names:
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            if next(self._calls) >= self._after:
                raise Killed
            return found(*args, **kwargs)

        return call


WRITES = frozenset(
    {
        "set_registered_model_alias",
        "delete_registered_model_alias",
        "set_registered_model_tag",
        "set_model_version_tag",
        "deploy",
    }
)

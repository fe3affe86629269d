"""Build a Bento: the code that serves and the bundle of one version, in a folder that needs no registry."""

import contextlib
import importlib.metadata
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from feature_repo.core.errors import RecommenderError
from feature_repo.core.workspace import Workspace
from serving.server import prepared_for_bento
from serving.settings import CODE_ROOT, SERVED_FILE, from_env, require_bundle
from serving.sources import needed_files

SERVICE = "serving.service:RecommenderService"
# What is run of a Bento: the service by bentoml, the others in a container.
MODULES = (SERVICE.partition(":")[0], "serving.container.main", "serving.container.healthy")
PROJECT = "recommender-platform"
BUNDLE = "bundle"
IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc")


class BentoError(RecommenderError):
    """A Bento cannot be built."""


@dataclass(frozen=True)
class BuiltBento:
    """`tag` is `recommender:<version of the model>`."""

    tag: str
    folder: Path


def build_bento(workspace: Workspace, *, version: str, output: Path | None = None) -> BuiltBento:
    """Build the Bento of `version` in the workspace; one that is there for this version is replaced.

    Raises:
        RecommenderError: the bundle is not there, or `output` is.
    """
    if output is not None and output.exists():
        raise BentoError(f"--output must name a new folder; got {output}, which exists")
    settings = from_env(workspace, {"SERVE_VERSION": version})
    require_bundle(settings)
    home = workspace.root / "bentoml"
    with prepared_for_bento(home), tempfile.TemporaryDirectory(prefix="context-", dir=home) as context:
        stage(Path(context), bundle=settings.bundle, version=version)
        built = _build(Path(context), version=version)
    if output is not None:
        shutil.copytree(built.folder, output)
        return BuiltBento(built.tag, output)
    return built


def stage(context: Path, *, bundle: Path, version: str) -> None:
    """Fill `context` with what the Bento holds."""
    # All of feature_repo: feature_store.yaml names classes in it that no import shows.
    shutil.copytree(CODE_ROOT / "feature_repo", context / "feature_repo", ignore=IGNORED)
    pages = (path.relative_to(CODE_ROOT) for path in (CODE_ROOT / "serving").glob("page*") if path.suffix != ".py")
    files = {*pages, *(path for module in MODULES for path in needed_files(CODE_ROOT, module))}
    for path in files:
        (context / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CODE_ROOT / path, context / path)
    shutil.copytree(bundle, context / BUNDLE)
    (context / SERVED_FILE.name).write_text(json.dumps({"version": version, "bundle": BUNDLE}), encoding="utf-8")


def _build(context: Path, *, version: str) -> BuiltBento:
    import bentoml
    from bentoml.exceptions import NotFound

    tag = f"recommender:{version}"
    with contextlib.suppress(NotFound):
        bentoml.bentos.delete(tag)
    bento = bentoml.bentos.build(
        SERVICE,
        version=version,
        build_ctx=str(context),
        include=["*"],
        labels={"model_version": version},
        description=f"The recommender, version {version} of the registered model.",
        # Not locked here: Bento's lock writes the address of the package index into the Bento.
        python={"packages": requirements(), "lock_packages": False},
    )
    return BuiltBento(tag, Path(bento.path))


def requirements() -> list[str]:
    """What pyproject.toml asks for: the project's own requirements and those of its group `serving`."""
    declared = [Requirement(text) for text in importlib.metadata.requires(PROJECT) or ()]
    needed = [r for r in declared if r.marker is None or r.marker.evaluate({"extra": "serving"})]
    return sorted(f"{r.name}{_extras(r)}{r.specifier}" for r in needed)


def _extras(requirement: Requirement) -> str:
    return f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""

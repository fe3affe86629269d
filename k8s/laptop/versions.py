"""Which two versions a rollout is about. From here on only numbers travel, never an alias."""

from collections.abc import Mapping
from dataclasses import dataclass

from feature_repo.core.errors import RecommenderError
from feature_repo.core.workspace import Workspace


class ReleaseError(RecommenderError):
    """There is nothing that could be released."""


@dataclass(frozen=True)
class Versions:
    """Numbers of registered versions. `decided`: the aliases have moved already, so a rollout only rehearses."""

    champion: str
    challenger: str
    decided: bool = False


def versions_of(aliases: Mapping[str, str]) -> Versions:
    """Resolve the aliases once: where the challenger became champion, to what they were before."""
    if "challenger" not in aliases and {"champion", "previous"} <= aliases.keys():
        return Versions(str(aliases["previous"]), str(aliases["champion"]), decided=True)
    for alias in ("champion", "challenger"):
        if alias not in aliases:
            held = ", ".join(sorted(aliases)) or "none"
            raise ReleaseError(
                f"a canary needs a version with the alias {alias}; aliases now: {held}: `make train` registers one"
            )
    if aliases["champion"] == aliases["challenger"]:
        raise ReleaseError(f"a canary needs two versions; champion and challenger are both {aliases['champion']}")
    return Versions(champion=str(aliases["champion"]), challenger=str(aliases["challenger"]))


def fetch_versions(workspace: Workspace, *, champion: str | None, challenger: str | None) -> Versions:
    """Read the aliases from the registry, where no version is named, and bring both bundles."""
    # MLflow takes seconds to import: the refusals that need no registry come first.
    from training.registry import aliases, download_bundle

    named = {alias: version for alias, version in (("champion", champion), ("challenger", challenger)) if version}
    held = {alias: version for alias, version in aliases(workspace).items() if not (named and alias == "previous")}
    held |= named
    versions = versions_of(held)
    for version in (versions.champion, versions.challenger):
        download_bundle(workspace, version)
    return versions

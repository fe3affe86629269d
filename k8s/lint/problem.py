"""What a rule finds, and what rules know beside the manifests."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from k8s.lint.render import Manifest, containers_in


@dataclass(frozen=True)
class Problem:
    """One broken rule. `where` is kind/name, `says` the rule and what arrived."""

    rule: str
    where: str
    says: str

    def __str__(self) -> str:
        return f"{self.where}: {self.rule}: {self.says}"


@dataclass(frozen=True)
class Known:
    """What holds outside the manifests.

    `settings`: the variables that a serving process knows; `served`: paths that each kind of server answers;
    `external`: objects that somebody else makes.
    """

    settings: frozenset[str]
    served: Mapping[str, frozenset[str]]
    external: tuple[Manifest, ...] = ()


@dataclass(frozen=True)
class Manifests:
    """All objects of one overlay, and ways to look them up."""

    objects: tuple[Manifest, ...]
    kinds: Mapping[str, tuple[Manifest, ...]] = field(init=False)

    def __post_init__(self) -> None:
        names = dict.fromkeys(str(one["kind"]) for one in self.objects)
        kinds = {kind: tuple(one for one in self.objects if one["kind"] == kind) for kind in names}
        object.__setattr__(self, "kinds", kinds)

    def of(self, *kinds: str) -> Iterator[Manifest]:
        for kind in kinds:
            yield from self.kinds.get(kind, ())

    def find(self, kind: str, name: object) -> Manifest | None:
        return next((one for one in self.of(kind) if one["metadata"]["name"] == name), None)

    def workloads(self) -> Iterator["Workload"]:
        for one in self.of("Deployment"):
            yield Workload(one, one["spec"]["template"])
        for one in self.of("CronJob"):
            yield Workload(one, one["spec"]["jobTemplate"]["spec"]["template"])

    def selected(self, labels: Mapping[str, str]) -> list["Workload"]:
        """Workloads whose pods carry all of `labels`."""
        return [one for one in self.workloads() if labels.items() <= one.labels.items()]


@dataclass(frozen=True)
class Workload:
    """An object that makes pods, with the template of its pods."""

    object: Manifest
    template: Manifest

    @property
    def where(self) -> str:
        return where(self.object)

    @property
    def labels(self) -> Mapping[str, str]:
        found: Mapping[str, str] = self.template.get("metadata", {}).get("labels", {})
        return found

    @property
    def pod(self) -> Manifest:
        found: Manifest = self.template["spec"]
        return found

    @property
    def containers(self) -> list[Manifest]:
        return containers_in(self.template)

    @property
    def ports(self) -> dict[str, int]:
        """Numbers of the containers' ports by name."""
        return {str(p.get("name")): int(p["containerPort"]) for c in self.containers for p in c.get("ports", ())}


def where(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def values_of(container: Manifest, manifests: Manifests) -> dict[str, Any]:
    """The variables of a container and their values; None for a value that comes from elsewhere."""
    found: dict[str, Any] = {}
    for source in container.get("envFrom", ()):
        config = manifests.find("ConfigMap", source.get("configMapRef", {}).get("name"))
        found |= dict((config or {}).get("data") or {})
    return found | {one["name"]: one.get("value") for one in container.get("env", ())}

"""Selectors: one that matches nothing is valid YAML, valid by its schema, and an outage."""

from collections.abc import Iterator, Mapping
from typing import Any

from k8s.cluster.pods import VARIANT
from k8s.lint.problem import Known, Manifests, Problem, where


def selectors(manifests: Manifests, _: Known) -> Iterator[Problem]:
    """Whatever selects pods selects some that are here, and a Deployment its own."""
    for one in manifests.of("Deployment"):
        labels = one["spec"]["template"].get("metadata", {}).get("labels", {})
        wanted = one["spec"]["selector"]["matchLabels"]
        if not wanted.items() <= labels.items():
            yield Problem("selectors", where(one), f"expected pods labelled {wanted}; its template has {labels}")
    for name, selector in _selectors(manifests):
        if not manifests.selected(selector):
            yield Problem("selectors", name, f"expected pods labelled {dict(selector)}; no template has these labels")


def _selectors(manifests: Manifests) -> Iterator[tuple[str, Mapping[str, str]]]:
    for one in manifests.of("Service"):
        yield where(one), one["spec"]["selector"]
    for one in manifests.of("PodDisruptionBudget"):
        yield where(one), one["spec"]["selector"]["matchLabels"]
    for one in manifests.of("NetworkPolicy"):
        for found in _pod_selectors(one["spec"]):
            yield where(one), found.get("matchLabels", {})
    for workload in manifests.workloads():
        for spread in workload.pod.get("topologySpreadConstraints", ()):
            yield workload.where, spread["labelSelector"]["matchLabels"]


def _pod_selectors(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        for one in value:
            yield from _pod_selectors(one)
    elif isinstance(value, dict):
        for key, one in value.items():
            if key == "podSelector":
                yield one
            else:
                yield from _pod_selectors(one)


def targets(manifests: Manifests, _: Known) -> Iterator[Problem]:
    """An autoscaler scales something that is here and has no fixed number of replicas, within its limits."""
    for one in manifests.of("HorizontalPodAutoscaler"):
        target, spec = one["spec"]["scaleTargetRef"], one["spec"]
        found = manifests.find(target["kind"], target["name"])
        if found is None:
            yield Problem(
                "targets", where(one), f"expected a target that is here; got {target['kind']}/{target['name']}"
            )
        elif "replicas" in found["spec"]:
            yield Problem("targets", where(one), f"expected no replicas in {where(found)}: two would set them")
        if spec.get("minReplicas", 1) > spec["maxReplicas"]:
            least, most = spec["minReplicas"], spec["maxReplicas"]
            yield Problem("targets", where(one), f"expected minReplicas up to maxReplicas; got {least} and {most}")


def sizes(manifests: Manifests, _: Known) -> Iterator[Problem]:
    """The canary begins with as many pods as the stable: a shadow copies every request at once, and a canary that is
    too small for that looks slow before its autoscaler has done anything.
    """
    scalers = [one["spec"] for one in manifests.of("HorizontalPodAutoscaler")]
    scaled = {spec["scaleTargetRef"]["name"]: spec.get("minReplicas", 1) for spec in scalers}
    begins = {
        one["spec"]["selector"]["matchLabels"].get(VARIANT): scaled.get(
            one["metadata"]["name"], one["spec"].get("replicas", 1)
        )
        for one in manifests.of("Deployment")
    }
    stable, canary = begins.get("stable", 0), begins.get("canary", 0)
    if canary < stable:
        yield Problem(
            "sizes", "canary", f"expected at least the {stable} pods that the stable begins with; got {canary}"
        )

"""References: what an object names is here, or is declared to be made by somebody else."""

from collections.abc import Iterator

from k8s.lint.problem import Known, Manifests, Problem, Workload, where
from k8s.lint.render import Manifest

Reference = tuple[str, str, str | None]  # kind, name, key


def references(manifests: Manifests, known: Known) -> Iterator[Problem]:
    """Every ConfigMap, Secret, claim, account, role, Service and Gateway that is named exists."""
    for name, reference in _named(manifests):
        if not _exists(reference, manifests, known):
            kind, called, key = reference
            told = f"{kind}/{called}" + (f" with the key {key}" if key else "")
            yield Problem("references", name, f"expected {told} here or in external.yaml; got neither")


def secrets(manifests: Manifests, _: Known) -> Iterator[Problem]:
    """No Secret is in the repository."""
    for one in manifests.of("Secret"):
        yield Problem("secrets", where(one), "expected Secrets to be made outside; got one among the manifests")


def _exists(reference: Reference, manifests: Manifests, known: Known) -> bool:
    kind, name, key = reference
    here = manifests.find(kind, name)
    if here is not None:
        return key is None or key in (here.get("data") or {})
    return any(
        one["kind"] == kind and one["name"] == name and (key is None or key in one.get("keys", {}))
        for one in known.external
    )


def _named(manifests: Manifests) -> Iterator[tuple[str, Reference]]:
    for workload in manifests.workloads():
        for reference in _of_pod(workload):
            yield workload.where, reference
    for one in manifests.objects:
        for reference in _of_object(one):
            yield where(one), reference


def _of_pod(workload: Workload) -> Iterator[Reference]:
    pod = workload.pod
    yield "ServiceAccount", pod.get("serviceAccountName", "default"), None
    for volume in pod.get("volumes", ()):
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"], None
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"], None
        if "secret" in volume:
            yield "Secret", volume["secret"]["secretName"], None
    for container in workload.containers:
        yield from _of_variables(container)


def _of_variables(container: Manifest) -> Iterator[Reference]:
    for source in container.get("envFrom", ()):
        for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if key in source:
                yield kind, source[key]["name"], None
    for variable in container.get("env", ()):
        source = variable.get("valueFrom", {})
        for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            if key in source:
                yield kind, source[key]["name"], source[key]["key"]


def _of_object(one: Manifest) -> Iterator[Reference]:
    if one["kind"] in ("RoleBinding", "ClusterRoleBinding"):
        yield one["roleRef"]["kind"], one["roleRef"]["name"], None
        for subject in one["subjects"]:
            yield subject["kind"], subject["name"], None
    elif one["kind"] == "PersistentVolumeClaim" and "storageClassName" in one["spec"]:
        yield "StorageClass", one["spec"]["storageClassName"], None
    elif one["kind"] == "HTTPRoute":
        for parent in one["spec"]["parentRefs"]:
            yield parent.get("kind", "Gateway"), parent["name"], None
        for rule in one["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                yield backend.get("kind", "Service"), backend["name"], None

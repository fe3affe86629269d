"""What runs in a container: its size, its image, its rights, its command."""

from collections.abc import Iterator

from k8s.lint.command_lines import refusal
from k8s.lint.problem import Known, Manifests, Problem
from k8s.lint.render import Manifest


def resources(manifests: Manifests, _: Known) -> Iterator[Problem]:
    """Processor and memory are requested and limited, and no request is above its limit."""
    from kubernetes.utils.quantity import parse_quantity

    for workload in manifests.workloads():
        for container in workload.containers:
            said = container.get("resources", {})
            for kind in ("cpu", "memory"):
                asked, most = said.get("requests", {}).get(kind), said.get("limits", {}).get(kind)
                if asked is None or most is None:
                    says = f"expected a request and a limit of {kind}; got {asked} and {most}"
                    yield Problem("resources", workload.where, says)
                elif parse_quantity(asked) > parse_quantity(most):
                    says = f"expected a request of {kind} up to its limit; got {asked} and {most}"
                    yield Problem("resources", workload.where, says)


def images(manifests: Manifests, _: Known) -> Iterator[Problem]:
    """An image has a version or a digest: one without is another image tomorrow."""
    for workload in manifests.workloads():
        for container in workload.containers:
            image = str(container["image"])
            tag = image.rpartition("/")[2].partition(":")[2]
            if "@sha256:" not in image and tag in ("", "latest"):
                yield Problem("images", workload.where, f"expected an image with a fixed version; got {image!r}")


def rights(manifests: Manifests, _: Known) -> Iterator[Problem]:
    """Pods run as an ordinary user on a read-only root file system, with no right that they could be robbed of."""
    for workload in manifests.workloads():
        pod = workload.pod.get("securityContext", {})
        if not pod.get("runAsNonRoot") or pod.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            says = f"expected runAsNonRoot and seccompProfile RuntimeDefault; got {pod}"
            yield Problem("rights", workload.where, says)
        for container in workload.containers:
            if broken := _broken(container.get("securityContext", {})):
                yield Problem("rights", workload.where, f"expected of {container['name']}: {', '.join(broken)}")


def _broken(said: Manifest) -> list[str]:
    wanted = {
        "readOnlyRootFilesystem: true": said.get("readOnlyRootFilesystem") is True,
        "allowPrivilegeEscalation: false": said.get("allowPrivilegeEscalation") is False,
        "capabilities: {drop: [ALL]}": said.get("capabilities", {}).get("drop") == ["ALL"],
    }
    return [words for words, holds in wanted.items() if not holds]


def commands(manifests: Manifests, _: Known) -> Iterator[Problem]:
    """What a container runs is a line that the command named in it takes, with its options and their values."""
    for workload in manifests.workloads():
        for container in workload.containers:
            line = [str(word) for key in ("command", "args") for word in container.get(key, ())]
            if line and (says := refusal(line)):
                yield Problem("commands", workload.where, says)

"""The pods of a variant: which there are, whether they answer, with which version, and what holds them up."""

from dataclasses import dataclass
from typing import Any

import httpx

from k8s.cluster.api import Api
from k8s.loopback import loopback_client
from k8s.rollout.pods import PodsSeen, Variant

# Labels of k8s/manifests.
NAME, VARIANT = "app.kubernetes.io/name", "recommender/variant"


@dataclass(frozen=True)
class Pod:
    """One pod. `url` is its own address, None before it has one; `trouble` what its kubelet says it waits for."""

    name: str
    url: str | None
    ready: bool
    trouble: str | None = None


class ClusterPods:
    """The port `Pods` over the API server and the pods' own /readyz."""

    def __init__(self, api: Api, *, client: httpx.Client | None = None) -> None:
        self._api = api
        # It asks the environment for no proxy: pods are inside the cluster.
        self._client = client or loopback_client()

    def seen(self, variant: Variant) -> PodsSeen:
        """The pods of a variant now; `wanted` is what its Deployment asks for.

        Raises:
            ClusterError: the API server cannot tell.
        """
        pods, wanted = pods_of(self._api, variant), self._wanted(variant)
        said = {pod.name: self._version(pod) for pod in pods}
        up = [pod for pod in pods if said[pod.name] is not None]
        troubles = sorted({pod.trouble for pod in pods if pod.trouble})
        silent = [pod.name for pod in pods if pod.ready and said[pod.name] is None]
        return PodsSeen(
            ready=len(up),
            wanted=wanted,
            versions=tuple(sorted({str(said[pod.name]) for pod in up})),
            metrics_urls=tuple(str(pod.url) for pod in up),
            said="; ".join([*troubles, *(f"{name} does not answer /readyz" for name in silent)]),
        )

    def _wanted(self, variant: Variant) -> int:
        settings = self._api.settings
        name = settings.stable if variant == "stable" else settings.canary
        found = self._api.call(self._api.apps.read_namespaced_deployment, name, settings.namespace)
        return 1 if found.spec.replicas is None else int(found.spec.replicas)

    def _version(self, pod: Pod) -> str | None:
        """What a pod says it serves. One that its kubelet does not call ready gets no requests and is not asked."""
        if not pod.ready or pod.url is None:
            return None
        return version_at(self._client, pod.url, seconds=self._api.settings.probe_seconds)


def selector(variant: str) -> str:
    return f"{NAME}=recommender,{VARIANT}={variant}"


def pods_of(api: Api, variant: str) -> tuple[Pod, ...]:
    """The pods of `stable` or `canary` that are not about to go, by name.

    Raises:
        ClusterError: they cannot be listed.
    """
    namespace = api.settings.namespace
    listed = api.call(api.core.list_namespaced_pod, namespace, label_selector=selector(variant))
    found = [pod_of(one, api) for one in listed.items if one.metadata.deletion_timestamp is None]
    return tuple(sorted(found, key=lambda pod: pod.name))


def pod_of(pod: Any, api: Api) -> Pod:
    """A pod as the client gives it."""
    status = pod.status
    conditions = {one.type: one.status for one in (status and status.conditions) or ()}
    address = status and status.pod_ip
    return Pod(
        name=pod.metadata.name,
        url=f"http://{address}:{api.settings.port}" if address else None,
        ready=conditions.get("Ready") == "True",
        trouble=_trouble(status),
    )


def _trouble(status: Any) -> str | None:
    """Like `ImagePullBackOff: Back-off pulling image`; None while nothing is wrong."""
    for container in (status and status.container_statuses) or ():
        waiting = container.state and container.state.waiting
        if waiting and waiting.reason not in (None, "ContainerCreating", "PodInitializing"):
            return f"{waiting.reason}: {waiting.message}" if waiting.message else str(waiting.reason)
    return None


def version_at(client: httpx.Client, url: str, *, seconds: float) -> str | None:
    """The version that a pod says it serves, at /readyz; None where it does not answer or is not ready."""
    try:
        answer = client.get(f"{url}/readyz", timeout=seconds)
        return str(answer.json()["model_version"]) if answer.status_code == 200 else None
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None

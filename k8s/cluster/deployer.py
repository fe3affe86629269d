"""A version onto a Deployment: its image's tag is the version, and it is done when every pod says so itself.

An image belongs to one version and names it at /readyz. What the Deployment wants, what its controller has done and
what answers are three things, and all three are waited for. The highest fence of a mover is kept beside the image,
written with it, so a mover that was thought dead cannot put its version back.
"""

from typing import Any

import httpx

from k8s.cluster.api import Api
from k8s.cluster.pods import ClusterPods, pods_of
from k8s.rollout.pods import Variant
from training.deployer import DeployFailed, Fenced

VERSION, FENCE = "recommender/version", "recommender/fence"
# What a serving process is told about the rollout that it is part of.
ROLLOUT = "SERVE_ROLLOUT"


class DeploymentDeployer:
    """The port `Deployer` over the Deployment of one variant."""

    def __init__(self, api: Api, *, variant: Variant = "stable", client: httpx.Client | None = None) -> None:
        self._api = api
        self._variant: Variant = variant
        self._name = api.settings.stable if variant == "stable" else api.settings.canary
        self._pods = ClusterPods(api, client=client)

    def deploy(self, version: str, *, fence: int) -> None:
        """Make every pod serve `version`; return when they do. Safe to repeat.

        Raises:
            DeployFailed: they do not in `ready_seconds`, or the Deployment gave up before.
            Fenced: a later mover has deployed since.
            ClusterError: the Deployment cannot be read or written.
        """
        self.want(version, fence=fence)
        wait = self._api.settings.ready_seconds
        if not self._api.wait(lambda: self._up(version, fence), seconds=wait):
            raise DeployFailed(f"expected {self._name} to serve version {version} in {wait:g} s; got {self._told()}")

    def want(self, version: str, *, fence: int, rollout: str | None = None) -> None:
        """Set the version that the Deployment is to serve, and do not wait. What it wants already is not written.

        Its pods write the name of the rollout into the request log, where one is named.

        Raises:
            Fenced: a later mover has deployed since.
            ClusterError: the Deployment cannot be read or written.
        """
        self._api.again(lambda: self._write(version, fence, rollout))

    def fence(self) -> int:
        """The highest fence of those that deployed; -1 before the first."""
        return _fence(self._read())

    def serving(self) -> str | None:
        """The version that all ready pods say they serve; None where they differ or there are none."""
        versions = self._pods.seen(self._variant).versions
        return versions[0] if len(versions) == 1 else None

    def _write(self, version: str, fence: int, rollout: str | None) -> None:
        found = self._read()
        self._refuse_older(found, fence)
        held = self._container(found)
        wanted = tagged(held.image, version)
        told = {ROLLOUT: rollout} if rollout else {}
        if held.image == wanted and told.items() <= {one.name: one.value for one in held.env or ()}.items():
            return
        env = {"env": [{"name": name, "value": value} for name, value in told.items()]} if told else {}
        containers = [{"name": self._api.settings.container, "image": wanted, **env}]
        template = {"metadata": {"labels": {VERSION: version}}, "spec": {"containers": containers}}
        metadata = {"resourceVersion": found.metadata.resource_version, "annotations": {FENCE: str(fence)}}
        self._api.call(
            self._api.apps.patch_namespaced_deployment,
            self._name,
            self._api.settings.namespace,
            {"metadata": metadata, "spec": {"template": template}},
            _content_type="application/strategic-merge-patch+json",
        )

    def _up(self, version: str, fence: int) -> bool:
        found = self._read()
        self._refuse_older(found, fence)
        if gave_up := _gave_up(found):
            raise DeployFailed(f"expected {self._name} to serve version {version}; {gave_up}; {self._told()}")
        return _complete(found) and self._pods.seen(self._variant).versions == (version,)

    def _refuse_older(self, found: Any, fence: int) -> None:
        if (held := _fence(found)) > fence:
            raise Fenced(f"expected no later mover of {self._name} than {fence}; got {held}")

    def _read(self) -> Any:
        return self._api.call(self._api.apps.read_namespaced_deployment, self._name, self._api.settings.namespace)

    def _container(self, deployment: Any) -> Any:
        containers = deployment.spec.template.spec.containers
        return next(one for one in containers if one.name == self._api.settings.container)

    def _told(self) -> str:
        pods = pods_of(self._api, self._variant)
        ready = sum(pod.ready for pod in pods)
        troubles = sorted({pod.trouble for pod in pods if pod.trouble})
        return f"{ready} of {len(pods)} pods ready" + "".join(f", {trouble}" for trouble in troubles)


def tagged(image: str, version: str) -> str:
    """The image's name with another tag. A colon before the last slash is a registry's port."""
    folder, slash, name = image.rpartition("/")
    return f"{folder}{slash}{name.partition('@')[0].partition(':')[0]}:{version}"


def _fence(deployment: Any) -> int:
    return int((deployment.metadata.annotations or {}).get(FENCE, -1))


def _complete(deployment: Any) -> bool:
    """Whether the Deployment's controller has seen this generation, and every pod is new and available."""
    status, wanted = deployment.status, deployment.spec.replicas
    if status is None or (status.observed_generation or 0) < deployment.metadata.generation:
        return False
    counts = (status.replicas, status.updated_replicas, status.available_replicas)
    return wanted != 0 and all(count == (1 if wanted is None else wanted) for count in counts)


def _gave_up(deployment: Any) -> str | None:
    status = deployment.status
    if status is None or (status.observed_generation or 0) < deployment.metadata.generation:
        return None
    for one in status.conditions or ():
        if one.type == "Progressing" and one.status == "False":
            return f"it gave up: {one.reason}"
    return None

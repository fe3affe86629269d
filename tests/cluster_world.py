"""A namespace with the manifests' own objects in it, on the fake API server or on the one that KUBECONFIG names."""

import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cluster_hands import Hands
from fake_api_server import FakeApiServer

from k8s.cluster.api import Api, open_api
from k8s.cluster.errors import Absent
from k8s.cluster.gateways import GROUP, VERSION
from k8s.cluster.http_route import PLURAL
from k8s.cluster.settings import ClusterSettings
from k8s.lint.known import MANIFESTS
from k8s.lint.render import Manifest, render
from k8s.loopback import free_ports

# No pauses where nothing is to be waited for; long limits, since a machine may be busy.
QUICK = {
    "patience_seconds": 10.0,
    "live_seconds": 30.0,
    "settle_seconds": 0.0,
    "ready_seconds": 30.0,
    "poll_seconds": 0.01,
    "route_poll_seconds": 0.01,
    "probe_seconds": 1.0,
}


@dataclass(frozen=True)
class World:
    """`server` is None where the API server is a real one."""

    api: Api
    kubeconfig: Path | None
    server: FakeApiServer | None = None

    def hands(self, **options: Any) -> Hands:
        server = self.server
        changed = None if server is None else lambda: server.objects.version
        return Hands(self.api, changed=changed, **options)

    def other(self, **changed: Any) -> Api:
        """Another client of the same cluster, as another process has one."""
        return open_api(self.api.settings.model_copy(update=changed), kubeconfig=self.kubeconfig)


@contextmanager
def fake_world(folder: Path, **changed: Any) -> Iterator[World]:
    named = {"namespace": "recommender-dev", "port": free_ports(1)[0]}
    settings = ClusterSettings(**{**named, **QUICK, **changed})
    server = FakeApiServer()
    with server.running():
        kubeconfig = server.write_kubeconfig(folder / "kubeconfig")
        api = open_api(settings, kubeconfig=kubeconfig)
        seed(api)
        try:
            yield World(api, kubeconfig, server)
        finally:
            api.close()


@contextmanager
def real_world(**changed: Any) -> Iterator[World]:
    """A new namespace on the cluster of KUBECONFIG, removed at the end."""
    from kubernetes import client

    named = {"namespace": f"recommender-{uuid.uuid4().hex[:8]}", "port": free_ports(1)[0]}
    settings = ClusterSettings(**{**named, **QUICK, **changed})
    kubeconfig = Path(os.environ["KUBECONFIG"])
    api = open_api(settings, kubeconfig=kubeconfig)
    with ExitStack() as cleanup:
        cleanup.callback(api.close)
        made = client.V1Namespace(metadata=client.V1ObjectMeta(name=settings.namespace))
        api.call(api.core.create_namespace, made)
        cleanup.callback(lambda: api.call(api.core.delete_namespace, settings.namespace))
        seed(api)
        yield World(api, kubeconfig)


@cache
def _manifests() -> tuple[Manifest, ...]:
    return tuple(render(MANIFESTS / "overlays" / "dev"))


def seed(api: Api) -> None:
    """Make what the rollout works on, as `kubectl apply` would of the manifests."""
    create = {
        "ConfigMap": api.core.create_namespaced_config_map,
        "Deployment": api.apps.create_namespaced_deployment,
        "CronJob": api.batch.create_namespaced_cron_job,
        "Lease": api.coordination.create_namespaced_lease,
    }
    for one in _manifests():
        body = {**one, "metadata": {key: value for key, value in one["metadata"].items() if key != "namespace"}}
        if one["kind"] in create:
            api.call(create[one["kind"]], api.settings.namespace, body)
        elif one["kind"] == "HTTPRoute":
            with suppress(Absent):  # a cluster without Gateway API: its tests are skipped
                where = (GROUP, VERSION, api.settings.namespace, PLURAL)
                api.call(api.custom.create_namespaced_custom_object, *where, body)


def has_routes(api: Api) -> bool:
    where = (GROUP, VERSION, api.settings.namespace, PLURAL, api.settings.route)
    try:
        api.call(api.custom.get_namespaced_custom_object, *where)
    except Absent:
        return False
    return True


def has_controllers(api: Api) -> bool:
    """Whether somebody else plays the controllers: then ours must not, and only some tests can be run."""
    read = api.apps.read_namespaced_deployment

    def seen() -> bool:
        found = api.call(read, api.settings.stable, api.settings.namespace)
        return found.status is not None and (found.status.observed_generation or 0) > 0

    return api.wait(seen, seconds=2.0)

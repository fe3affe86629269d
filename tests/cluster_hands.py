"""The hands of a cluster that a bare API server lacks: controllers of Deployments, kubelets, a gateway, in one thread.

They read and write through the API server as the real ones do: pods are made and removed, addresses and conditions
stand in their status, a gateway says which generation of a route it follows. A pod that comes up is a real HTTP server
on a loopback address of its own, which answers /readyz with the version that its image's tag names.
"""

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from k8s.cluster.api import Api
from k8s.cluster.errors import ClusterError
from k8s.cluster.gateways import GROUP, VERSION
from k8s.cluster.http_route import PLURAL
from k8s.cluster.pods import VARIANT

Behaviour = Literal["ready", "never ready", "image missing"]
LOOK_SECONDS = 0.01


class PodServer:
    """What runs in a pod: /readyz with a version, and /metrics as `metrics` gives them."""

    def __init__(self, address: tuple[str, int], version: str, metrics: Callable[[], str]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Nothing on stderr."""

            def do_GET(self) -> None:
                ready = json.dumps({"ready": True, "model_version": version})
                body = (metrics() if self.path == "/metrics" else ready).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(address, Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Hands:
    """Controllers for the two Deployments of a rollout and its route. `behaviour` says how an image's tag comes up."""

    def __init__(
        self, api: Api, *, changed: Callable[[], int] | None = None, metrics: Callable[[str], str] = lambda _: ""
    ) -> None:
        self.behaviour: dict[str, Behaviour] = defaultdict(lambda: "ready")
        self.gateway_follows = True
        self._api = api
        self._changed = changed  # tells of changes, where looking for them can be spared
        self._metrics = metrics
        self._stopped = threading.Event()
        self._servers: dict[str, PodServer] = {}
        self._made = 0

    @contextmanager
    def working(self) -> Iterator["Hands"]:
        thread = threading.Thread(target=self._work)
        thread.start()
        try:
            yield self
        finally:
            self._stopped.set()
            thread.join()
            for server in self._servers.values():
                server.stop()

    def _work(self) -> None:
        settings = self._api.settings
        seen = -1
        while not self._stopped.wait(LOOK_SECONDS):
            if self._changed is not None and seen == (seen := self._changed()):
                continue
            for look in (lambda: self._pods(settings.stable), lambda: self._pods(settings.canary), self._route):
                try:
                    look()
                except ClusterError:  # a conflict, or the server is away: looked at again
                    seen = -1

    def _route(self) -> None:
        where = (GROUP, VERSION, self._api.settings.namespace, PLURAL, self._api.settings.route)
        route = self._api.call(self._api.custom.get_namespaced_custom_object, *where)
        generation = route["metadata"]["generation"]
        told = route.get("status", {}).get("parents", [{}])[0].get("conditions", [{}])[0].get("observedGeneration")
        if told == generation or not self.gateway_follows:
            return
        now = "2026-01-01T00:00:00Z"
        said = {
            "status": "True",
            "observedGeneration": generation,
            "reason": "Done",
            "message": "",
            "lastTransitionTime": now,
        }
        parents = [
            {"parentRef": parent, "controllerName": "hands.example.org/gateway",
             "conditions": [{"type": kind, **said} for kind in ("Accepted", "ResolvedRefs")]}
            for parent in route["spec"]["parentRefs"]
        ]  # fmt: skip
        patch = self._api.custom.patch_namespaced_custom_object_status
        body = {"status": {"parents": parents}}
        self._api.call(patch, *where, body, _content_type="application/merge-patch+json")

    def _pods(self, name: str) -> None:
        api, namespace = self._api, self._api.settings.namespace
        deployment = api.call(api.apps.read_namespaced_deployment, name, namespace)
        labels = deployment.spec.template.metadata.labels
        image = deployment.spec.template.spec.containers[0].image
        wanted = 1 if deployment.spec.replicas is None else deployment.spec.replicas
        listed = api.call(api.core.list_namespaced_pod, namespace, label_selector=f"{VARIANT}={labels[VARIANT]}").items
        new = [pod for pod in listed if pod.spec.containers[0].image == image]
        ready = [pod for pod in new if _is_ready(pod)]
        for _ in range(wanted - len(new)):
            self._make(name, labels, image)
        # As a rolling update does: an old pod goes at once if it is not ready, else once a new one is.
        old = sorted((pod for pod in listed if pod not in new), key=_is_ready)
        for pod in old[: len(ready) + sum(not _is_ready(pod) for pod in old)] + new[wanted:]:
            self._remove(pod)
        stuck = self.behaviour[image.rpartition(":")[2]] == "image missing"
        self._report(deployment, total=len(listed), new=len(new), ready=len(ready), stuck=stuck)

    def _make(self, name: str, labels: dict[str, str], image: str) -> None:
        self._made += 1
        api, namespace, version = self._api, self._api.settings.namespace, image.rpartition(":")[2]
        pod = f"{name}-{self._made}"
        address = f"127.0.{len(self._servers) % 250 + 1}.{self._made % 250 + 1}"
        spec = {"containers": [{"name": api.settings.container, "image": image}]}
        body = {"metadata": {"name": pod, "labels": labels}, "spec": spec}
        api.call(api.core.create_namespaced_pod, namespace, body)
        behaviour = self.behaviour[version]
        if behaviour == "ready":
            server = PodServer((address, api.settings.port), version, lambda: self._metrics(labels[VARIANT]))
            self._servers[pod] = server
        waiting = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{image}"'}
        state = {"waiting": waiting} if behaviour == "image missing" else {"running": {}}
        container = {"name": api.settings.container, "image": image, "imageID": "", "restartCount": 0, "state": state}
        status = {
            "podIP": address,
            "conditions": [{"type": "Ready", "status": "True" if behaviour == "ready" else "False"}],
            "containerStatuses": [{**container, "ready": behaviour == "ready"}],
        }
        strategic = "application/strategic-merge-patch+json"
        api.call(api.core.patch_namespaced_pod_status, pod, namespace, {"status": status}, _content_type=strategic)

    def _remove(self, pod: Any) -> None:
        api, name = self._api, pod.metadata.name
        api.call(api.core.delete_namespaced_pod, name, api.settings.namespace, grace_period_seconds=0)
        if server := self._servers.pop(name, None):
            server.stop()

    def _report(self, deployment: Any, *, total: int, new: int, ready: int, stuck: bool) -> None:
        counts = {"replicas": total, "updatedReplicas": new, "availableReplicas": ready, "readyReplicas": ready}
        progressing = {"type": "Progressing", "status": "False" if stuck else "True"}
        progressing |= {"reason": "ProgressDeadlineExceeded" if stuck else "NewReplicaSetAvailable"}
        status = {"observedGeneration": deployment.metadata.generation, **counts, "conditions": [progressing]}
        if deployment.status is not None and _same(deployment.status, status):
            return
        api, name = self._api, deployment.metadata.name
        merge = "application/merge-patch+json"
        patch = api.apps.patch_namespaced_deployment_status
        api.call(patch, name, api.settings.namespace, {"status": status}, _content_type=merge)


def _is_ready(pod: Any) -> bool:
    return any(one.type == "Ready" and one.status == "True" for one in (pod.status and pod.status.conditions) or ())


def _same(status: Any, wanted: dict[str, Any]) -> bool:
    held = (
        status.observed_generation,
        status.replicas or 0,
        status.updated_replicas or 0,
        status.available_replicas or 0,
    )
    told = {one.type: one.status for one in status.conditions or ()}
    counts = tuple(wanted[key] for key in ("observedGeneration", "replicas", "updatedReplicas", "availableReplicas"))
    return held == counts and told == {one["type"]: one["status"] for one in wanted["conditions"]}

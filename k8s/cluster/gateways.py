"""What the gateways of a route can do: mirroring is an extension of Gateway API, and not every gateway has it.

A filter that a gateway does not know must not be skipped, says the specification: its requests get an error. Traefik
3.7 calls a route with such a filter `Accepted` and answers 500 to every user. So the word of the GatewayClass, its
`supportedFeatures`, is asked before; one that says nothing, or cannot be read, has not got it.
"""

from typing import Any

from k8s.cluster.api import Api
from k8s.cluster.errors import Absent, ClusterRefused

GROUP, VERSION = "gateway.networking.k8s.io", "v1"
MIRROR = "HTTPRouteRequestMirror"


def can_mirror(api: Api, route: dict[str, Any]) -> bool:
    """Whether every gateway that `route` belongs to mirrors requests.

    Raises:
        ClusterError: the API server is away.
    """
    parents = route["spec"].get("parentRefs", ())
    return bool(parents) and all(MIRROR in _features(api, parent) for parent in parents)


def _features(api: Api, parent: dict[str, Any]) -> frozenset[str]:
    namespace = parent.get("namespace") or api.settings.namespace
    try:
        read = api.custom.get_namespaced_custom_object
        gateway = api.call(read, GROUP, VERSION, namespace, "gateways", parent["name"])
        name = gateway["spec"]["gatewayClassName"]
        found = api.call(api.custom.get_cluster_custom_object, GROUP, VERSION, "gatewayclasses", name)
    except (Absent, ClusterRefused):
        return frozenset()
    said = found.get("status", {}).get("supportedFeatures", ())
    return frozenset(str(one["name"]) if isinstance(one, dict) else str(one) for one in said)

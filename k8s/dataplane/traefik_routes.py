"""Traefik's dynamic configuration for a split. Pure.

    POST /recommend, in a shadow -> shadowed (mirroring) -> stable, and a copy to the canary
    bucket of the canary         -> canary-or-stable (failover) -> canary, health-checked; else stable
    any other bucket             -> stable
    no bucket                    -> release (weights) -> stable, canary-or-stable

A dead canary would answer its share of users with 502. Two guards stand before it: the health check takes it out
within a second, and a 502, 503 or 504, which is what Traefik says of a server that it cannot reach, sends the same
request to the stable (`failover.errors`; 503 is seen when the health check decides between two looks). So a 503 of
the canary's own is answered by the stable too, which spares the user and hides nothing: evidence comes from the
canary's own metrics. A 500 passes through unchanged.

The mirroring stands outside the weights: inside of them it would not see the canary's share.
"""

from dataclasses import dataclass
from typing import Any

from k8s.rollout.split import Split

HEADER = "X-Recommender-Bucket"
# What the header may hold; anything else is no bucket and falls under the weight.
ANY_BUCKET = "[0-9]|[1-9][0-9]"


@dataclass(frozen=True)
class Backends:
    """Addresses of the two variants, like http://127.0.0.1:3000."""

    stable: str
    canary: str


def marker_of(split: Split) -> str:
    """The name of the router that only this split's configuration has: where it is live, all of the split is."""
    return f"gateway-{split.weight}-{split.first_bucket}-{'shadow' if split.shadow else 'canary'}"


def routes_of(backends: Backends, split: Split) -> dict[str, Any]:
    """Routers and services for one split."""
    return {"http": {"routers": _routers(split), "services": _services(backends, split)}}


def _routers(split: Split) -> dict[str, Any]:
    routers = {marker_of(split): _router("PathPrefix(`/`)", 1, "release")}
    if 0 < split.weight < 100:
        routers["buckets-of-stable"] = _router(_header(ANY_BUCKET), 10, "stable")
        routers["buckets-of-canary"] = _router(_header("|".join(map(str, split.buckets()))), 20, "canary-or-stable")
    if split.shadow:
        routers["shadow"] = _router("Path(`/recommend`) && Method(`POST`)", 30, "shadowed")
    return routers


def _router(rule: str, priority: int, service: str) -> dict[str, Any]:
    return {"rule": rule, "priority": priority, "entryPoints": ["gateway"], "service": service}


def _header(pattern: str) -> str:
    return f"HeaderRegexp(`{HEADER}`, `^({pattern})$`)"


def _services(backends: Backends, split: Split) -> dict[str, Any]:
    check = {"path": "/readyz", "interval": "1s", "timeout": "1s"}
    weights = [
        {"name": "stable", "weight": 100 - split.weight},
        {"name": "canary-or-stable", "weight": split.weight},
    ]
    failover = {"service": "canary", "fallback": "stable", "errors": {"status": ["502-504"]}}
    services: dict[str, Any] = {
        "release": {"weighted": {"services": weights}},
        "canary-or-stable": {"failover": failover},
        "canary": {"loadBalancer": {"servers": [{"url": backends.canary}], "healthCheck": check}},
        "stable": {"loadBalancer": {"servers": [{"url": backends.stable}]}},
    }
    if split.shadow:
        mirrors = [{"name": "canary", "percent": 100}]
        services["shadowed"] = {"mirroring": {"service": "stable", "mirrors": mirrors}}
    return services

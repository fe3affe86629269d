"""Traefik as a data plane: one process on loopback, its routes in a file that it watches.

    gateway -> release (weights) -> stable
                                 -> canary-or-stable (failover) -> canary, health-checked
                                                                -> stable

A dead canary would answer its share of users with 502. Two guards stand before it: the health check takes it
out within a second, and a 502, 503 or 504, which is what Traefik says of a server that it cannot reach, sends
the same request to the stable (`failover.errors`; 503 is seen when the health check decides between two
looks). So a 503 of the canary's own is answered by the stable too, which spares the user and hides nothing:
evidence comes from the canary's own metrics. A 500 passes through unchanged.

`set_weight` writes the file in one piece and asks Traefik's own API, on loopback too, until it reports the
new weights: routes and API are switched together.
"""

import json
import os
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from feature_repo.core.errors import RecommenderError
from k8s.loopback import LOOPBACK, free_ports, loopback_client
from k8s.processes import Child, running, stop

# How long a change may take to be live, in seconds. Measured: 0.1 s, at most 0.4 s under load.
PATIENCE_SECONDS = 10.0


class DataPlaneError(RecommenderError):
    """The data plane does not do what it was told."""


@dataclass(frozen=True)
class Backends:
    """Addresses of the two variants, like http://127.0.0.1:3000."""

    stable: str
    canary: str


class Traefik:
    """Splits requests by weight. Built by `open_traefik`."""

    def __init__(self, child: Child, *, backends: Backends, routes: Path, ports: tuple[int, int]) -> None:
        self.url = f"http://{LOOPBACK}:{ports[0]}"
        self._child = child
        self._backends = backends
        self._routes = routes
        self._api = loopback_client(timeout_seconds=2.0)
        self._api_url = f"http://{LOOPBACK}:{ports[1]}/api/http/services/release@file"

    def set_weight(self, percent: int) -> None:
        if not 0 <= percent <= 100:
            raise DataPlaneError(f"expected a weight from 0 to 100; got {percent}")
        write_routes(self._routes, self._backends, percent)
        self._wait_until_live(percent)

    def close(self) -> None:
        self._api.close()
        stop(self._child.process)

    def _wait_until_live(self, percent: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            self._child.check_alive()
            if self._live_weight() == percent:
                return
            time.sleep(0.02)
        raise DataPlaneError(
            f"expected weight {percent} to be live within {PATIENCE_SECONDS:.0f} s; got {self._live_weight()}"
        )

    def _live_weight(self) -> int | None:
        """The canary's weight as Traefik reports it; None while it has no such routes."""
        try:
            answer = self._api.get(self._api_url)
        except httpx.TransportError:
            return None
        if answer.status_code != 200:
            return None
        weights = {one["name"]: one.get("weight") for one in answer.json()["weighted"]["services"]}
        return weights.get("canary-or-stable")


@contextmanager
def open_traefik(backends: Backends, *, folder: Path, log: Path) -> Iterator[Traefik]:
    """Run Traefik in front of two backends while the block lasts; at first the stable gets everything."""
    ports = (free := free_ports(2))[0], free[1]
    routes = folder / "routes.yaml"
    write_routes(routes, backends, 0)
    with running("traefik", command(routes, ports), log=log) as child:
        plane = Traefik(child, backends=backends, routes=routes, ports=ports)
        try:
            plane.set_weight(0)
            yield plane
        finally:
            plane.close()


def command(routes: Path, ports: tuple[int, int]) -> list[str]:
    """The command line: nothing asks for new versions, nothing reports usage, nothing listens beyond
    loopback.
    """
    return [
        str(Path(sysconfig.get_path("scripts")) / "traefik"),
        "--global.checkNewVersion=false",
        "--global.sendAnonymousUsage=false",
        f"--entryPoints.gateway.address={LOOPBACK}:{ports[0]}",
        f"--entryPoints.traefik.address={LOOPBACK}:{ports[1]}",
        "--api.insecure=true",
        "--api.dashboard=false",
        f"--providers.file.filename={routes}",
        "--providers.file.watch=true",
        "--providers.providersThrottleDuration=100ms",
        "--log.level=WARN",
        "--log.noColor=true",
    ]


def write_routes(path: Path, backends: Backends, percent: int) -> None:
    """Write the routes so that Traefik reads the old file or the new one. JSON is YAML, the only kind it
    takes beside TOML.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(json.dumps(routes_of(backends, percent), indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def routes_of(backends: Backends, percent: int) -> dict[str, Any]:
    """Traefik's dynamic configuration for one weight of the canary."""
    weights = [
        {"name": "stable", "weight": 100 - percent},
        {"name": "canary-or-stable", "weight": percent},
    ]
    failover = {"service": "canary", "fallback": "stable", "errors": {"status": ["502-504"]}}
    check = {"path": "/readyz", "interval": "1s", "timeout": "1s"}
    return {
        "http": {
            "routers": {"gateway": {"rule": "PathPrefix(`/`)", "entryPoints": ["gateway"], "service": "release"}},
            "services": {
                "release": {"weighted": {"services": weights}},
                "canary-or-stable": {"failover": failover},
                "canary": {"loadBalancer": {"servers": [{"url": backends.canary}], "healthCheck": check}},
                "stable": {"loadBalancer": {"servers": [{"url": backends.stable}]}},
            },
        }
    }

"""Traefik as a data plane: one process on loopback, its routes in a file that it watches.

`apply` writes the file in one piece and asks Traefik's own API, on loopback too, until every router of the new
configuration is there and enabled: routes and API are switched together. A broken rule would drop its router without a
word, so a router that is missing is an error here.
"""

import json
import os
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from feature_repo.core.errors import RecommenderError
from k8s.dataplane.traefik_routes import Backends, marker_of, routes_of
from k8s.loopback import LOOPBACK, free_ports, loopback_client
from k8s.processes import Child, running, stop
from k8s.rollout.split import Split

# How long a change may take to be live, in seconds. Measured: 0.1 s, at most 0.4 s under load.
PATIENCE_SECONDS = 10.0


class DataPlaneError(RecommenderError):
    """The data plane does not do what it was told."""


class Traefik:
    """Splits requests. Built by `open_traefik`."""

    def __init__(self, child: Child, *, backends: Backends, routes: Path, ports: tuple[int, int]) -> None:
        self.url = f"http://{LOOPBACK}:{ports[0]}"
        self._child = child
        self._backends = backends
        self._routes = routes
        self._api = loopback_client(timeout_seconds=2.0)
        self._api_url = f"http://{LOOPBACK}:{ports[1]}/api/http/routers"

    def apply(self, split: Split) -> None:
        write_routes(self._routes, self._backends, split)
        self._wait_until_live(split)

    def close(self) -> None:
        self._api.close()
        stop(self._child.process)

    def _wait_until_live(self, split: Split) -> None:
        wanted = {f"{name}@file" for name in routes_of(self._backends, split)["http"]["routers"]}
        deadline = time.monotonic() + PATIENCE_SECONDS
        live: frozenset[str] = frozenset()
        while time.monotonic() < deadline:
            self._child.check_alive()
            live = self._live_routers()
            if live == wanted:
                return
            time.sleep(0.02)
        raise DataPlaneError(
            f"expected {marker_of(split)} to be live within {PATIENCE_SECONDS:.0f} s; "
            f"got {', '.join(sorted(live)) or 'no router'}"
        )

    def _live_routers(self) -> frozenset[str]:
        """Names of the routers of the file that Traefik has taken up and found no fault with."""
        try:
            answer = self._api.get(self._api_url)
        except httpx.TransportError:
            return frozenset()
        if answer.status_code != 200:
            return frozenset()
        mine = (router for router in answer.json() if router["provider"] == "file" and router["status"] == "enabled")
        return frozenset(router["name"] for router in mine)


@contextmanager
def open_traefik(backends: Backends, *, folder: Path, log: Path) -> Iterator[Traefik]:
    """Run Traefik in front of two backends while the block lasts; at first the stable gets everything."""
    ports = (free := free_ports(2))[0], free[1]
    routes = folder / "routes.yaml"
    write_routes(routes, backends, Split())
    with running("traefik", command(routes, ports), log=log) as child:
        plane = Traefik(child, backends=backends, routes=routes, ports=ports)
        try:
            plane.apply(Split())
            yield plane
        finally:
            plane.close()


def command(routes: Path, ports: tuple[int, int]) -> list[str]:
    """The command line: nothing asks for new versions, nothing reports usage, nothing listens beyond loopback."""
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


def write_routes(path: Path, backends: Backends, split: Split) -> None:
    """Write the routes so that Traefik reads the old file or the new one. JSON is YAML, the only kind it takes beside
    TOML.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(json.dumps(routes_of(backends, split), indent=2) + "\n", encoding="utf-8")
    partial.replace(path)

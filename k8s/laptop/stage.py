"""Two served versions and a gateway, up while a `with` block lasts."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from k8s.dataplane.traefik import Traefik, open_traefik
from k8s.dataplane.traefik_routes import Backends
from k8s.laptop.choices import Fault
from k8s.laptop.fault import proxy_command
from k8s.loopback import LOOPBACK, free_ports, loopback_client
from k8s.processes import Child, ProcessError, ending_on_signals, running, wait_listening, wait_ready
from k8s.release import Serve, serving_command
from k8s.rollout.pods import PodsSeen, Variant

# A stable that is not ready is no rollout's fault: this long, in seconds, and then it is an error.
STABLE_PATIENCE = 120.0


class LocalPods:
    """The two processes as pods of one each. `urls` are where they answer, the fault before one included."""

    def __init__(self, children: Mapping[Variant, Child], urls: Mapping[Variant, str], client: httpx.Client) -> None:
        self._children = children
        self._urls = urls
        self._client = client

    def gone(self, variant: Variant) -> bool:
        """Has its process ended?"""
        return self._children[variant].process.poll() is not None

    def seen(self, variant: Variant) -> PodsSeen:
        url = self._urls[variant]
        try:
            self._children[variant].check_alive()
            answer = self._client.get(f"{url}/readyz", timeout=2.0)
            version = str(answer.json()["model_version"]) if answer.status_code == 200 else None
        except (ProcessError, httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            return PodsSeen(0, 1, (), (), said=str(error))
        if version is None:
            return PodsSeen(0, 1, (), (), said=f"/readyz answered {answer.status_code}")
        return PodsSeen(1, 1, (version,), (url,))


@dataclass(frozen=True)
class Stage:
    """Everything that a rollout acts on."""

    plane: Traefik
    pods: LocalPods


@contextmanager
def staged(
    champion: str,
    challenger: str,
    *,
    folder: Path,
    env: Mapping[str, str],
    fault: Fault = Fault.NONE,
    serve: Serve = serving_command,
) -> Iterator[Stage]:
    """Start both versions, wait for the stable, and open the gateway. On any way out everything is stopped."""
    logs = folder / "logs"
    ports = free_ports(3)
    urls = [f"http://{LOOPBACK}:{port}" for port in ports]
    with ending_on_signals(), ExitStack() as up:
        old_command, new_command = serve(champion, ports[0], "stable"), serve(challenger, ports[1], "canary")
        old = up.enter_context(running("stable", old_command, log=logs / "stable.log", env=env))
        new = up.enter_context(running("canary", new_command, log=logs / "canary.log", env=env))
        canary = urls[1]
        if fault not in (Fault.NONE, Fault.WORSE):
            command = proxy_command(urls[1], ports[2], fault)
            proxy = up.enter_context(running("fault", command, log=logs / "fault.log"))
            wait_listening(proxy, ports[2], patience_seconds=STABLE_PATIENCE)
            canary = urls[2]
        wait_ready(old, urls[0], version=champion, patience_seconds=STABLE_PATIENCE)
        backends = Backends(stable=urls[0], canary=canary)
        plane = up.enter_context(open_traefik(backends, folder=folder / "gateway", log=logs / "traefik.log"))
        client = up.enter_context(loopback_client())
        yield Stage(plane, LocalPods({"stable": old, "canary": new}, {"stable": urls[0], "canary": canary}, client))

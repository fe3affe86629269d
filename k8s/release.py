"""Two served versions and a gateway, up while a `with` block lasts."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from k8s.assess import Assessment
from k8s.dataplane.traefik import Backends, Traefik, open_traefik
from k8s.fault import Fault
from k8s.loopback import LOOPBACK, free_ports
from k8s.observe import Pods
from k8s.policy import Policy
from k8s.processes import Child, ProcessError, ending_on_signals, running, wait_listening, wait_ready
from training.verdict import Verdict

# A stable that is not ready is no rollout's fault: this long, in seconds, and then it is an error.
STABLE_PATIENCE = 120.0

# From version, port and variant to a command line.
Serve = Callable[[str, int, str], list[str]]


@dataclass(frozen=True)
class Versions:
    """Numbers of registered versions. A rollout knows no alias."""

    champion: str
    challenger: str


@dataclass(frozen=True)
class Stage:
    """Everything a rollout acts on. The canary may have failed to come up, which `readiness` says."""

    plane: Traefik
    pods: Pods
    readiness: Assessment


def serving_command(version: str, port: int, variant: str) -> list[str]:
    """The command line of one served version."""
    options = f"--version {version} --port {port} --variant {variant}"
    return [sys.executable, "-m", "serving", "run", *options.split()]


@contextmanager
def staged(
    versions: Versions,
    policy: Policy,
    *,
    folder: Path,
    fault: Fault = Fault.NONE,
    serve: Serve = serving_command,
) -> Iterator[Stage]:
    """Start both versions, wait for them, and open the gateway. On any way out everything is stopped."""
    logs = folder / "logs"
    ports = free_ports(3)
    stable = f"http://{LOOPBACK}:{ports[0]}"
    with ending_on_signals(), ExitStack() as up:
        old_command = serve(versions.champion, ports[0], "stable")
        new_command = serve(versions.challenger, ports[1], "canary")
        old = up.enter_context(running("stable", old_command, log=logs / "stable.log"))
        new = up.enter_context(running("canary", new_command, log=logs / "canary.log"))
        wait_ready(old, stable, version=versions.champion, patience_seconds=STABLE_PATIENCE)
        readiness = _await_canary(new, ports[1], versions.challenger, policy)
        canary_port = _with_fault(up, ports[1:], fault, logs) if readiness.verdict is Verdict.PASS else ports[1]
        backends = Backends(stable=stable, canary=f"http://{LOOPBACK}:{canary_port}")
        plane = up.enter_context(open_traefik(backends, folder=folder / "gateway", log=logs / "traefik.log"))
        yield Stage(plane, Pods(stable=stable, canary=backends.canary, gateway=plane.url), readiness)


def _await_canary(canary: Child, port: int, version: str, policy: Policy) -> Assessment:
    """A canary that does not come up is no error: it is a rollout without evidence."""
    try:
        wait_ready(canary, f"http://{LOOPBACK}:{port}", version=version, patience_seconds=policy.max_step_seconds)
    except ProcessError as error:
        return Assessment(Verdict.INCONCLUSIVE, (str(error),))
    return Assessment(Verdict.PASS, ("both versions are ready",))


def _with_fault(up: ExitStack, ports: tuple[int, ...], fault: Fault, logs: Path) -> int:
    """The port where the canary answers: its own, or that of a faulty proxy before it."""
    upstream, port = ports
    if fault is Fault.NONE:
        return upstream
    command = fault_command(f"http://{LOOPBACK}:{upstream}", port, fault)
    proxy = up.enter_context(running("fault", command, log=logs / "fault.log"))
    wait_listening(proxy, port, patience_seconds=STABLE_PATIENCE)
    return port


def fault_command(upstream: str, port: int, fault: Fault) -> list[str]:
    """The command line of the proxy that makes a pod faulty."""
    options = f"--upstream {upstream} --port {port} --kind {fault.value}"
    return [sys.executable, "-m", "k8s", "fault", *options.split()]

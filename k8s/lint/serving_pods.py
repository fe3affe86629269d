"""Ports, probes and variables: what a server answers and reads, held against what the manifests believe of it."""

from collections.abc import Iterator

from k8s.lint.problem import Known, Manifests, Problem, Workload, values_of, where
from k8s.lint.render import Manifest

PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
# Seconds that a serving process gives requests in flight after its drain, and that its end may take beside.
GRACE_SECONDS, SPARE_SECONDS = 10, 5
LEAST_DRAIN_SECONDS = 5
SERVE = "SERVE_"
# Names of variables that hold a secret, or an address with a password in it.
SECRETIVE = ("_KEY", "_PASSWORD", "_TOKEN", "REDIS_URL", "MLFLOW_TRACKING_URI")


def ports(manifests: Manifests, _: Known) -> Iterator[Problem]:
    """Port numbers are in range, and a port that is named or routed to exists."""
    for workload in manifests.workloads():
        for number in workload.ports.values():
            if not 1 <= number <= 65_535:
                yield Problem("ports", workload.where, f"expected a port from 1 to 65535; got {number}")
    for service in manifests.of("Service"):
        for port in service["spec"]["ports"]:
            yield from _service_port(manifests, service, port)


def _service_port(manifests: Manifests, service: Manifest, port: Manifest) -> Iterator[Problem]:
    target = port.get("targetPort", port["port"])
    if not 1 <= int(port["port"]) <= 65_535:
        yield Problem("ports", where(service), f"expected a port from 1 to 65535; got {port['port']}")
    for workload in manifests.selected(service["spec"]["selector"]):
        if target not in workload.ports and target not in workload.ports.values():
            says = f"expected targetPort to be one of {workload.where}, {workload.ports}; got {target!r}"
            yield Problem("ports", where(service), says)


def probes(manifests: Manifests, known: Known) -> Iterator[Problem]:
    """Whatever serves is probed at paths that it answers, and is not killed for what it waits for."""
    for workload in manifests.workloads():
        for container in workload.containers:
            if container.get("ports"):
                for probe in PROBES:
                    yield from _probe(workload, container, probe, known)


def _probe(workload: Workload, container: Manifest, name: str, known: Known) -> Iterator[Problem]:
    said = container.get(name, {}).get("httpGet")
    if said is None:
        yield Problem("probes", workload.where, f"expected {name} with httpGet; got {container.get(name)}")
        return
    served = known.served.get(server_of(container), frozenset())
    if said["path"] not in served:
        yield Problem("probes", workload.where, f"expected {name} at one of {sorted(served)}; got {said['path']!r}")
    if said["port"] not in workload.ports and said["port"] not in workload.ports.values():
        yield Problem("probes", workload.where, f"expected {name} at a port of {workload.ports}; got {said['port']!r}")
    if name == "livenessProbe" and said["path"] == "/readyz":
        yield Problem("probes", workload.where, "expected a livenessProbe that a missing dependency does not fail")


def server_of(container: Manifest) -> str:
    """Which server a container runs: `serving`, which its image starts by itself, or a command of ours."""
    return " ".join(map(str, container["command"][2:4])) if container.get("command") else "serving"


def variables(manifests: Manifests, known: Known) -> Iterator[Problem]:
    """SERVE_ variables are settings, and what is secret comes from a Secret."""
    for workload in manifests.workloads():
        for container in workload.containers:
            values = values_of(container, manifests)
            for name in sorted(name for name in values if name.startswith(SERVE) and name not in known.settings):
                yield Problem("variables", workload.where, f"expected a setting of serving/settings.py; got {name}")
            for name in sorted(n for n, value in values.items() if n.endswith(SECRETIVE) and value is not None):
                yield Problem("variables", workload.where, f"expected {name} from a Secret; got it in plain text")


def drain(manifests: Manifests, _: Known) -> Iterator[Problem]:
    """A serving pod answers on until nobody sends to it any more, and is given the time for that."""
    for workload in manifests.workloads():
        for container in (one for one in workload.containers if server_of(one) == "serving"):
            seconds = float(values_of(container, manifests).get("SERVE_DRAIN_SECONDS") or 0)
            if seconds < LEAST_DRAIN_SECONDS:
                says = f"expected SERVE_DRAIN_SECONDS of at least {LEAST_DRAIN_SECONDS}; got {seconds:g}"
                yield Problem("drain", workload.where, says)
            given = workload.pod.get("terminationGracePeriodSeconds", 30)
            if given < seconds + GRACE_SECONDS + SPARE_SECONDS:
                least = seconds + GRACE_SECONDS + SPARE_SECONDS
                says = f"expected terminationGracePeriodSeconds of at least {least:g}; got {given}"
                yield Problem("drain", workload.where, says)

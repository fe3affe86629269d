"""Names: every kind has rules of its own, none of which is in a schema."""

import re
from collections import Counter
from collections.abc import Iterator

from k8s.lint.problem import Known, Manifests, Problem, where
from k8s.lint.render import Manifest

# RFC 1123 labels and subdomains, RFC 1035 labels, as the API server checks them.
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
SUBDOMAIN = re.compile(rf"{LABEL.pattern}(\.{LABEL.pattern})*")
SERVICE = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
PORT = re.compile(r"(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")
VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
LONGEST = {"Service": 63, "Namespace": 63, "CronJob": 52}
PATTERNS = {"Service": SERVICE, "Namespace": LABEL}


def names(manifests: Manifests, _: Known) -> Iterator[Problem]:
    """Objects, containers and ports have names that the API server takes, and no two objects have one."""
    for one in manifests.objects:
        name = str(one["metadata"]["name"])
        longest, pattern = LONGEST.get(one["kind"], 253), PATTERNS.get(one["kind"], SUBDOMAIN)
        if not pattern.fullmatch(name) or len(name) > longest:
            yield _problem(one, f"expected at most {longest} of a-z, 0-9 and -, as in DNS; got {name!r}")
    for key, count in Counter(where(one) for one in manifests.objects).items():
        if count > 1:
            yield Problem("names", key, f"expected one object of this name; got {count}")
    for workload in manifests.workloads():
        for container in workload.containers:
            yield from _container(workload.object, container)


def _container(owner: Manifest, container: Manifest) -> Iterator[Problem]:
    if not LABEL.fullmatch(container["name"]) or len(container["name"]) > 63:
        yield _problem(owner, f"expected a container's name as in DNS; got {container['name']!r}")
    for port in container.get("ports", ()):
        name = str(port.get("name", ""))
        if not PORT.fullmatch(name) or len(name) > 15:
            yield _problem(owner, f"expected a port's name of at most 15 of a-z, 0-9 and -; got {name!r}")


def labels(manifests: Manifests, _: Known) -> Iterator[Problem]:
    """Labels have keys and values that the API server takes."""
    templates = [(one.object, one.labels) for one in manifests.workloads()]
    for one, found in [*((one, one["metadata"].get("labels", {})) for one in manifests.objects), *templates]:
        for key, value in found.items():
            prefix, _slash, name = str(key).rpartition("/")
            sound = VALUE.fullmatch(name) and 0 < len(name) <= 63 and (not prefix or SUBDOMAIN.fullmatch(prefix))
            if not sound or not isinstance(value, str) or not VALUE.fullmatch(value) or len(value) > 63:
                yield Problem(
                    "labels", where(one), f"expected a label's key and text of at most 63; got {key}: {value!r}"
                )


def _problem(manifest: Manifest, says: str) -> Problem:
    return Problem("names", where(manifest), says)

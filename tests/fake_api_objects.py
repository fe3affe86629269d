"""What the fake API server holds: objects, their history, selectors and patches. See fake_api_server.py."""

import copy
import re
import threading
import time
from typing import Any

Object = dict[str, Any]
Key = tuple[str, str, str]  # plural, namespace, name

# plural -> (path of its API, kind)
KINDS = {
    "configmaps": ("/api/v1", "ConfigMap"),
    "pods": ("/api/v1", "Pod"),
    "deployments": ("/apis/apps/v1", "Deployment"),
    "cronjobs": ("/apis/batch/v1", "CronJob"),
    "jobs": ("/apis/batch/v1", "Job"),
    "leases": ("/apis/coordination.k8s.io/v1", "Lease"),
    "httproutes": ("/apis/gateway.networking.k8s.io/v1", "HTTPRoute"),
    # What a gateway of somebody else asks for beside routes.
    "namespaces": ("/api/v1", "Namespace"),
    "services": ("/api/v1", "Service"),
    "secrets": ("/api/v1", "Secret"),
    "endpointslices": ("/apis/discovery.k8s.io/v1", "EndpointSlice"),
    "gatewayclasses": ("/apis/gateway.networking.k8s.io/v1", "GatewayClass"),
    "gateways": ("/apis/gateway.networking.k8s.io/v1", "Gateway"),
    "grpcroutes": ("/apis/gateway.networking.k8s.io/v1", "GRPCRoute"),
    "tlsroutes": ("/apis/gateway.networking.k8s.io/v1", "TLSRoute"),
    "backendtlspolicies": ("/apis/gateway.networking.k8s.io/v1", "BackendTLSPolicy"),
    "referencegrants": ("/apis/gateway.networking.k8s.io/v1beta1", "ReferenceGrant"),
}
# Outside any namespace; their namespace is "".
CLUSTER_WIDE = frozenset({"namespaces", "gatewayclasses"})
WITH_STATUS = frozenset({"pods", "deployments", "cronjobs", "jobs", "httproutes", "gatewayclasses", "gateways"})
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
NAMED_LISTS = frozenset({"containers", "env", "volumes", "ports", "initContainers", "volumeMounts"})


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "reason": reason,
            "message": message,
            "code": code,
        }


class Objects:
    """What the server holds, and what happened to it. Every method is one transaction."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.version = 100
        self.forgotten_before = 0
        self.rivals: dict[str, int] = {}  # how many more writes of a kind somebody else is faster at
        self.rivals_pause = False  # whether they let the write after each such one through
        self._paused: set[Key] = set()
        self._held: dict[Key, Object] = {}
        self._history: list[tuple[int, str, str, Object]] = []  # version, type, plural, object

    def read(self, key: Key) -> Object:
        with self.changed:
            return copy.deepcopy(self._found(key))

    def listed(self, plural: str, namespace: str, selector: str) -> Object:
        with self.changed:
            found = [o for k, o in sorted(self._held.items()) if k[:2] == (plural, namespace) and matches(o, selector)]
            api, kind = KINDS[plural]
            metadata = {"resourceVersion": str(self.version)}
            return copy.deepcopy(
                {"apiVersion": version_of(api), "kind": f"{kind}List", "metadata": metadata, "items": found}
            )

    def create(self, plural: str, namespace: str, new: Object) -> Object:
        with self.changed:
            name = str(new.get("metadata", {}).get("name", ""))
            if not NAME.fullmatch(name) or len(name) > 253:
                raise Refused(
                    422, "Invalid", f'{plural} "{name}" is invalid: metadata.name: a lowercase RFC 1123 subdomain'
                )
            key = (plural, namespace, name)
            if key in self._held:
                raise Refused(409, "AlreadyExists", f'{plural} "{name}" already exists')
            api, kind = KINDS[plural]
            made = {"apiVersion": version_of(api), "kind": kind, **copy.deepcopy(new)}
            if plural in WITH_STATUS:
                made.pop("status", None)
            moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            made["metadata"] |= {"uid": f"uid-{self.version}", "creationTimestamp": moment}
            if namespace:
                made["metadata"]["namespace"] = namespace
            if plural in WITH_STATUS:
                made["metadata"]["generation"] = 1
            return self._put(key, made, "ADDED")

    def replace(self, key: Key, new: Object, *, part: str | None) -> Object:
        with self.changed:
            self._rival(key, part)
            return self._replaced(key, new, part)

    def patch(self, key: Key, change: Object, *, strategic: bool, part: str | None) -> Object:
        with self.changed:
            self._rival(key, part)
            return self._replaced(key, patched(self._found(key), change, strategic), part)

    def _replaced(self, key: Key, new: Object, part: str | None) -> Object:
        old = self._found(key)
        said = new.get("metadata", {}).get("resourceVersion")
        if said and said != old["metadata"]["resourceVersion"]:
            raise Refused(
                409, "Conflict", f'Operation cannot be fulfilled on {key[0]} "{key[2]}": it has been modified'
            )
        return self._put(key, joined(old, new, key[0], part), "MODIFIED")

    def delete(self, key: Key) -> Object:
        with self.changed:
            gone = self._found(key)
            del self._held[key]
            self._note("DELETED", key[0], gone)
            return copy.deepcopy(gone)

    def forget(self) -> None:
        """Let no watch start from before now."""
        with self.changed:
            self.version += 1
            self.forgotten_before = self.version
            self._history.clear()
            self.changed.notify_all()

    def events_after(self, version: int, plural: str, namespace: str, selector: str) -> list[tuple[int, str, Object]]:
        """What happened to such objects after a version. The caller holds `changed`."""
        if version < self.forgotten_before:
            raise Refused(410, "Expired", f"too old resource version: {version} ({self.version})")
        return [
            (at, kind, copy.deepcopy(o))
            for at, kind, of, o in self._history
            if at > version
            and of == plural
            and o["metadata"].get("namespace", "") == namespace
            and matches(o, selector)
        ]

    def _found(self, key: Key) -> Object:
        if key not in self._held:
            raise Refused(404, "NotFound", f'{key[0]} "{key[2]}" not found')
        return self._held[key]

    def _rival(self, key: Key, part: str | None) -> None:
        """Somebody else writes the object first, where that was asked for."""
        if key in self._paused:
            self._paused.discard(key)
        elif part is None and self.rivals.get(key[0], 0) > 0 and key in self._held:
            self._paused |= {key} if self.rivals_pause else set()
            self.rivals[key[0]] -= 1
            rival = copy.deepcopy(self._held[key])
            notes = rival["metadata"].setdefault("annotations", {})
            notes["rival"] = str(int(notes.get("rival", 0)) + 1)
            self._put(key, rival, "MODIFIED")

    def _put(self, key: Key, new: Object, kind: str) -> Object:
        old = self._held.get(key)
        if old is not None and key[0] in WITH_STATUS and old.get("spec") != new.get("spec"):
            new["metadata"]["generation"] = old["metadata"]["generation"] + 1
        if old is not None and old == new:
            return copy.deepcopy(old)
        self._held[key] = new
        self._note(kind, key[0], new)
        return copy.deepcopy(new)

    def _note(self, kind: str, plural: str, value: Object) -> None:
        self.version += 1
        value["metadata"]["resourceVersion"] = str(self.version)
        self._history.append((self.version, kind, plural, copy.deepcopy(value)))
        self.changed.notify_all()


def version_of(api: str) -> str:
    return api.removeprefix("/apis/").removeprefix("/api/")


def joined(old: Object, new: Object, plural: str, part: str | None) -> Object:
    """What a replacement leaves: the status is written by its own path, and by nothing else."""
    if part == "status":
        return {**copy.deepcopy(old), "status": copy.deepcopy(new.get("status", {}))}
    kept = {key: old["metadata"][key] for key in ("uid", "creationTimestamp", "name", "resourceVersion")}
    kept |= {key: old["metadata"][key] for key in ("generation", "namespace") if key in old["metadata"]}
    made = {**copy.deepcopy(new), "apiVersion": old["apiVersion"], "kind": old["kind"]}
    made["metadata"] = {**made.get("metadata", {}), **kept}
    if plural in WITH_STATUS:
        made.pop("status", None)
        made |= {"status": old["status"]} if "status" in old else {}
    return made


def patched(old: Any, change: Any, strategic: bool, field: str = "") -> Any:
    """RFC 7386, and for a strategic patch lists of named things merged by name."""
    if isinstance(old, dict) and isinstance(change, dict):
        both = {**old, **{k: patched(old.get(k), v, strategic, k) for k, v in change.items()}}
        return {key: value for key, value in both.items() if value is not None}
    if strategic and field in NAMED_LISTS and isinstance(old, list):
        over = {one["name"]: one for one in change}
        kept = [patched(one, over.pop(one["name"], {}), strategic) for one in old]
        return [*kept, *over.values()]
    if isinstance(change, dict):
        return {key: patched(None, value, strategic, key) for key, value in change.items() if value is not None}
    return copy.deepcopy(change)


def matches(value: Object, selector: str) -> bool:
    labels = value["metadata"].get("labels") or {}
    return all(requirement(labels, part.strip()) for part in re.split(r",(?![^(]*\))", selector) if part.strip())


def requirement(labels: dict[str, str], said: str) -> bool:
    if found := re.fullmatch(r"(\S+)\s+(in|notin)\s+\(([^)]*)\)", said):
        listed = {one.strip() for one in found[3].split(",")}
        return (labels.get(found[1]) in listed) == (found[2] == "in")
    if found := re.fullmatch(r"([^!=\s]+)\s*(==|=|!=)\s*(\S*)", said):
        return (labels.get(found[1]) == found[3]) == (found[2] != "!=")
    if found := re.fullmatch(r"(!?)([^!=\s]+)", said):
        return (found[2] in labels) != bool(found[1])
    raise Refused(400, "BadRequest", f"unable to parse requirement: {said}")

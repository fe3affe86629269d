"""Gateway API as a data plane: the weights and bucket matches of one HTTPRoute.

A change is a merge patch that carries the resourceVersion it was made from; after a conflict it is made again from what
is there now. Every gateway that the route belongs to must say `Accepted` and `ResolvedRefs` of the generation that
holds it. That comes before it follows the route, so it is then asked: a bucket whose side the change moved, at /readyz,
which counts as nobody's request. Where a gateway's address is not known, or no bucket moved (a shadow begins or ends),
`settle_seconds` stand for that answer. What is right already is not written again.

A shadow before a gateway that cannot mirror is no shadow: the canary gets nothing, its step ends without evidence, and
no user gets an error.
"""

import logging
from dataclasses import replace
from typing import Any

from k8s.cluster.api import Api
from k8s.cluster.errors import ClusterError
from k8s.cluster.gateways import GROUP, VERSION, can_mirror
from k8s.cluster.route_rules import Rule, moved, rules_of
from k8s.cluster.routed import answers
from k8s.rollout.split import Split

logger = logging.getLogger("k8s.cluster")

PLURAL = "httproutes"
CONDITIONS = ("Accepted", "ResolvedRefs")


class RouteNotLive(ClusterError):
    """A gateway does not follow the route."""


class HttpRoutePlane:
    """Splits requests by an HTTPRoute that exists."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def apply(self, split: Split) -> None:
        """Make this the split; return when the gateways follow it. Safe to repeat.

        Raises:
            ClusterError: the route cannot be written, or a gateway refuses it or says nothing in `live_seconds`.
        """
        settings = self._api.settings
        if split.shadow and not self.mirrors():
            logger.warning("no_mirror route=%s why=its gateway does not say that it mirrors requests", settings.route)
            split = replace(split, shadow=False)
        rules = rules_of(split, settings)
        generation, before = self._api.again(lambda: self._written(rules))
        every = settings.route_poll_seconds
        if not self._api.wait(lambda: self._live(generation), seconds=settings.live_seconds, every=every):
            raise RouteNotLive(
                f"expected each gateway to accept generation {generation} of the route in "
                f"{settings.live_seconds:g} s; got {_told(self._read())}"
            )
        if before is not None:
            self._followed(before, rules)

    def _followed(self, before: list[Rule], after: list[Rule]) -> None:
        """Return when the gateway follows the new rules."""
        settings, told = self._api.settings, moved(before, after, self._api.settings)
        if settings.gateway is None or told is None:
            self._api.sleep(settings.settle_seconds)
            return
        bucket, side = told
        host = next(iter(self._read()["spec"].get("hostnames", ())), None)
        heard: set[str] = set()

        def follows() -> bool:
            heard.clear()
            heard.update(answers(settings, host=host, bucket=bucket))
            return heard == {side}

        if not self._api.wait(follows, seconds=settings.live_seconds, every=settings.route_poll_seconds):
            raise RouteNotLive(
                f"expected bucket {bucket} to be answered by {side} at {settings.gateway} within "
                f"{settings.live_seconds:g} s; got {', '.join(sorted(heard))}"
            )

    def mirrors(self) -> bool:
        """Whether the gateways of the route can do what a shadow needs."""
        return can_mirror(self._api, self._read())

    def close(self) -> None:
        """Nothing is held here: the route stays as it is, so that a controller may end without changing traffic."""

    def _written(self, rules: list[Rule]) -> tuple[int, list[Rule] | None]:
        """The generation that holds these rules, and what there was before; None where they were there already."""
        route = self._read()
        before: list[Rule] = route["spec"].get("rules", [])
        if before == rules:
            return int(route["metadata"]["generation"]), None
        version = route["metadata"]["resourceVersion"]
        change = {"metadata": {"resourceVersion": version}, "spec": {"rules": rules}}
        patch = self._api.custom.patch_namespaced_custom_object
        done = self._api.call(patch, *self._where(), change, _content_type="application/merge-patch+json")
        return int(done["metadata"]["generation"]), before

    def _live(self, generation: int) -> bool:
        route = self._read()
        if refused := [one for one in _conditions(route, generation) if one["status"] == "False"]:
            raise RouteNotLive(
                f"expected each gateway to accept the route; got {refused[0]['type']} False, "
                f"{refused[0].get('reason')}: {refused[0].get('message', '')}"
            )
        said = {(one["parent"], one["type"]) for one in _conditions(route, generation) if one["status"] == "True"}
        parents = range(len(route["spec"].get("parentRefs", ())))
        return bool(parents) and all((parent, kind) in said for parent in parents for kind in CONDITIONS)

    def _read(self) -> dict[str, Any]:
        found: dict[str, Any] = self._api.call(self._api.custom.get_namespaced_custom_object, *self._where())
        return found

    def _where(self) -> tuple[str, str, str, str, str]:
        return GROUP, VERSION, self._api.settings.namespace, PLURAL, self._api.settings.route


def _conditions(route: dict[str, Any], generation: int) -> list[dict[str, Any]]:
    """What the gateways say of this generation or a later one, each with the place of its `parentRef`."""
    found = []
    for said in route.get("status", {}).get("parents", ()):
        for place, parent in enumerate(route["spec"].get("parentRefs", ())):
            if _names(said["parentRef"]) == _names(parent):
                for one in said.get("conditions", ()):
                    if one["type"] in CONDITIONS and int(one.get("observedGeneration", 0)) >= generation:
                        found.append({**one, "parent": place})
    return found


def _names(parent: dict[str, Any]) -> tuple[object, object, object]:
    return parent["name"], parent.get("namespace"), parent.get("sectionName")


def _told(route: dict[str, Any]) -> str:
    said = [
        f"{one['type']} {one['status']} of generation {one.get('observedGeneration')}"
        for parent in route.get("status", {}).get("parents", ())
        for one in parent.get("conditions", ())
    ]
    return ", ".join(said) or "no word from any"

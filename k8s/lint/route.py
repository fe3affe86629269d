"""The HTTPRoute: Gateway API is no part of Kubernetes' own schemas, so the part of it that we use is written here.

Numbers from the Gateway API specification (v1): at most 16 rules, 64 matches in a rule, 128 in a route, weights from 0
to 1,000,000, and a field that nobody knows is refused by the API server's pruning only in silence.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from k8s.lint.problem import Known, Manifests, Problem, where

MOST_MATCHES = 128
Name = Annotated[str, Field(min_length=1, max_length=253)]
PortNumber = Annotated[int, Field(ge=1, le=65_535)]


class Strict(BaseModel):
    """A part of a route; a field that it does not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ParentRef(Strict):
    name: Name
    namespace: Name | None = None
    sectionName: Name | None = None  # noqa: N815 - the API's own spelling


class Backend(Strict):
    group: Literal[""] = ""
    kind: Literal["Service"] = "Service"
    name: Name
    port: PortNumber


class WeightedBackend(Backend):
    weight: Annotated[int, Field(ge=0, le=1_000_000)] = 1


class PathMatch(Strict):
    type: Literal["Exact", "PathPrefix"] = "PathPrefix"
    value: Annotated[str, Field(pattern=r"^/", max_length=1024)] = "/"


class HeaderMatch(Strict):
    # Regular expressions are each implementation's own, so only exact values are the same everywhere.
    type: Literal["Exact"] = "Exact"
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+\-.^_|~]+$", max_length=256)]
    value: Annotated[str, Field(min_length=1, max_length=4096)]


class Match(Strict):
    path: PathMatch = PathMatch()
    method: Literal["GET", "POST"] | None = None
    headers: Annotated[tuple[HeaderMatch, ...], Field(max_length=16)] = ()


class Mirror(Strict):
    backendRef: Backend  # noqa: N815


class Filter(Strict):
    type: Literal["RequestMirror"]
    requestMirror: Mirror  # noqa: N815


class Rule(Strict):
    matches: Annotated[tuple[Match, ...], Field(max_length=64)] = (Match(),)
    filters: Annotated[tuple[Filter, ...], Field(max_length=16)] = ()
    backendRefs: Annotated[tuple[WeightedBackend, ...], Field(min_length=1, max_length=16)]  # noqa: N815

    @model_validator(mode="after")
    def _sends_somewhere(self) -> "Rule":
        if not any(backend.weight for backend in self.backendRefs):
            raise ValueError("expected a backend with a weight above 0")
        return self


class RouteSpec(Strict):
    """`spec` of an HTTPRoute."""

    parentRefs: Annotated[tuple[ParentRef, ...], Field(min_length=1, max_length=32)]  # noqa: N815
    hostnames: Annotated[tuple[Name, ...], Field(max_length=16)] = ()
    rules: Annotated[tuple[Rule, ...], Field(min_length=1, max_length=16)]

    @model_validator(mode="after")
    def _few_matches(self) -> "RouteSpec":
        if (count := sum(len(rule.matches) for rule in self.rules)) > MOST_MATCHES:
            raise ValueError(f"expected at most {MOST_MATCHES} matches in a route; got {count}")
        return self


def routes(manifests: Manifests, _: Known) -> Iterator[Problem]:
    """A route is one, and its ports are those of the Services that it names."""
    for one in manifests.of("HTTPRoute"):
        for says in broken_rules(one["spec"]):
            yield Problem("routes", where(one), says)
        for backend in (b for rule in one["spec"]["rules"] for b in rule["backendRefs"]):
            service = manifests.find("Service", backend["name"])
            ports = [port["port"] for port in service["spec"]["ports"]] if service else []
            if service and backend["port"] not in ports:
                yield Problem(
                    "routes", where(one), f"expected a port of {where(service)}, {ports}; got {backend['port']}"
                )


def broken_rules(spec: dict[str, Any]) -> list[str]:
    """What is wrong with the `spec` of an HTTPRoute, a sentence for each; none for one that holds."""
    try:
        RouteSpec.model_validate(spec)
    except ValidationError as error:
        found = error.errors(include_url=False)
        return [f"{'.'.join(map(str, one['loc'])) or 'spec'}: {one['msg']}; got {one['input']!r}" for one in found]
    return []

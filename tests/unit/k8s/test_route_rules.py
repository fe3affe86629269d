"""Rules of an HTTPRoute send every bucket where the split says, as a gateway reads them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.core.errors import SettingsRefused
from k8s.cluster.route_rules import HEADER, moved, rules_of, side_of
from k8s.cluster.settings import ClusterSettings, cluster_settings
from k8s.lint.known import MANIFESTS
from k8s.lint.render import render
from k8s.lint.route import broken_rules
from k8s.rollout.split import Split

SETTINGS = ClusterSettings()
WEIGHTS, BUCKETS = st.integers(0, 100), st.integers(0, 99)


def backends(rules: list[dict[str, Any]], path: str, method: str, headers: dict[str, str]) -> dict[str, int]:
    """The weights by Service of the rule that a gateway picks: the longest path, then a method, then more headers."""
    fits = [
        (
            match["path"]["type"] == "Exact",
            len(match["path"]["value"]),
            "method" in match,
            len(match.get("headers", [])),
            rule,
        )
        for rule in rules
        for match in rule["matches"]
        if (path == match["path"]["value"] if match["path"]["type"] == "Exact" else path.startswith("/"))
        and match.get("method", method) == method
        and all(headers.get(one["name"]) == one["value"] for one in match.get("headers", []))
    ]
    best = max(fits, key=lambda fit: fit[:4])
    return {backend["name"]: backend["weight"] for backend in best[4]["backendRefs"]}


@given(WEIGHTS, BUCKETS, BUCKETS)
def test_a_bucket_is_answered_by_its_own_side_wholly(weight: int, first: int, bucket: int) -> None:
    split = Split(weight, first)

    sides = backends(rules_of(split, SETTINGS), "/recommend", "POST", {HEADER: str(bucket)})

    side = SETTINGS.canary if bucket in split.buckets() else SETTINGS.stable
    assert sides[side] > 0
    assert sum(sides.values()) == sides[side]


@given(WEIGHTS, BUCKETS, st.sampled_from(["", "100", "-1", "07", "a"]))
def test_a_request_without_a_bucket_falls_under_the_weight(weight: int, first: int, nonsense: str) -> None:
    headers = {HEADER: nonsense} if nonsense else {}

    sides = backends(rules_of(Split(weight, first), SETTINGS), "/events", "POST", headers)

    assert sides == {SETTINGS.stable: 100 - weight, SETTINGS.canary: weight}


@given(WEIGHTS, BUCKETS)
def test_every_split_is_a_route_that_the_api_takes(weight: int, first: int) -> None:
    spec = {"parentRefs": [{"name": "shared"}], "rules": rules_of(Split(weight, first), SETTINGS)}

    assert broken_rules(spec) == []


@given(st.integers(1, 99), BUCKETS)
def test_a_growing_range_keeps_who_it_has(weight: int, first: int) -> None:
    smaller, larger = (rules_of(Split(share, first), SETTINGS) for share in (weight, weight + 1))

    moved = [
        bucket
        for bucket in range(100)
        if backends(smaller, "/", "GET", {HEADER: str(bucket)}).get(SETTINGS.canary, 0) > 0
        and not backends(larger, "/", "GET", {HEADER: str(bucket)}).get(SETTINGS.canary, 0) > 0
    ]

    assert moved == []


SPLITS = st.builds(Split, WEIGHTS, BUCKETS)


@given(SPLITS, BUCKETS)
def test_the_side_of_a_bucket_is_the_one_that_a_gateway_picks(split: Split, bucket: int) -> None:
    rules = rules_of(split, SETTINGS)

    sides = backends(rules, "/readyz", "GET", {HEADER: str(bucket)})

    named = {"stable": SETTINGS.stable, "canary": SETTINGS.canary}[str(side_of(rules, bucket, SETTINGS))]
    assert [name for name, weight in sides.items() if weight] == [named]


@given(SPLITS, SPLITS)
def test_a_bucket_that_a_change_moved_is_found_wherever_there_is_one(before: Split, after: Split) -> None:
    changed = set(before.buckets()) ^ set(after.buckets())

    found = moved(rules_of(before, SETTINGS), rules_of(after, SETTINGS), SETTINGS)

    assert (found is None) == (not changed)
    if found is not None:
        assert found == (min(changed), "canary" if min(changed) in after.buckets() else "stable")


def test_a_route_as_the_manifests_make_it_is_one_as_the_controller_makes_it() -> None:
    route = next(one for one in render(MANIFESTS / "overlays" / "dev") if one["kind"] == "HTTPRoute")

    assert route["spec"]["rules"] == rules_of(Split(0), SETTINGS)
    assert side_of(route["spec"]["rules"], 3, SETTINGS) == "stable"


@pytest.mark.parametrize("rules", [[], [{"backendRefs": [{"name": "other"}]}], [{"matches": [{}], "backendRefs": []}]])
def test_rules_of_somebody_elses_tell_no_side(rules: list[dict[str, Any]]) -> None:
    assert side_of(rules, 3, SETTINGS) is None
    assert moved(rules, rules_of(Split(100), SETTINGS), SETTINGS) is None


def test_the_environment_names_the_namespace_and_the_gateway() -> None:
    found = cluster_settings({"POD_NAMESPACE": "shop", "GATEWAY_URL": "http://gateway.example.org:8080"})

    assert (found.namespace, found.gateway) == ("shop", "http://gateway.example.org:8080")
    assert cluster_settings({"POD_NAMESPACE": "", "GATEWAY_URL": ""}) == SETTINGS
    with pytest.raises(SettingsRefused, match=r"GATEWAY_URL: .*; got 'gateway:80'"):
        cluster_settings({"GATEWAY_URL": "gateway:80"})


def test_a_shadow_mirrors_recommendations_and_nothing_else() -> None:
    rules = rules_of(Split(0, 7, shadow=True), SETTINGS)

    mirrored = [rule["matches"] for rule in rules if "filters" in rule]
    assert mirrored == [[{"path": {"type": "Exact", "value": "/recommend"}}]]
    assert rules[0]["filters"][0]["requestMirror"]["backendRef"]["name"] == SETTINGS.canary
    assert broken_rules({"parentRefs": [{"name": "shared"}], "rules": rules}) == []
    for path in ("/recommend", "/events"):
        assert backends(rules, path, "POST", {HEADER: "7"}) == {SETTINGS.stable: 100, SETTINGS.canary: 0}


@pytest.mark.parametrize("overlay", ["dev", "production"])
def test_the_names_are_those_of_the_manifests(overlay: str) -> None:
    found = {(one["kind"], one["metadata"]["name"]): one for one in render(MANIFESTS / "overlays" / overlay)}

    for name in (SETTINGS.stable, SETTINGS.canary):
        container = found["Deployment", name]["spec"]["template"]["spec"]["containers"][0]
        assert container["name"] == SETTINGS.container
        assert container["ports"][0]["containerPort"] == SETTINGS.port
        assert found["Service", name]["spec"]["ports"][0]["port"] == SETTINGS.service_port
    named = {("HTTPRoute", SETTINGS.route), ("ConfigMap", SETTINGS.state), ("Lease", SETTINGS.lease)}
    assert named | {("CronJob", SETTINGS.train)} <= set(found)

"""The manifests hold every rule, and every rule is broken by something that a schema lets through."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import kubernetes_validate
import pytest

from k8s.lint.known import MANIFESTS, UnknownSource, known, serve_settings, served_paths
from k8s.lint.lint import RULES, ManifestsRefused, lint_overlay, problems_of
from k8s.lint.render import render

Objects = list[dict[str, Any]]
OVERLAYS = ("dev", "production")
# The newest release whose schemas the library has, and the one that the design names.
VERSIONS = ("1.36", "1.37")


@pytest.fixture(scope="module")
def facts() -> Any:
    return known()


@pytest.fixture(scope="module")
def rendered() -> Objects:
    return render(MANIFESTS / "overlays" / "production")


@pytest.fixture
def objects(rendered: Objects) -> Objects:
    return copy.deepcopy(rendered)


def one(objects: Objects, kind: str, name: str = "recommender-stable") -> dict[str, Any]:
    return next(o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name)


def spec(objects: Objects, kind: str, name: str = "recommender-stable") -> dict[str, Any]:
    found: dict[str, Any] = one(objects, kind, name)["spec"]
    return found


def pod(objects: Objects) -> dict[str, Any]:
    return spec(objects, "Deployment")["template"]["spec"]


def container(objects: Objects) -> dict[str, Any]:
    return pod(objects)["containers"][0]


def claim(objects: Objects) -> dict[str, Any]:
    found: dict[str, Any] = pod(objects)["volumes"][0]["persistentVolumeClaim"]
    return found


def label(objects: Objects) -> dict[str, str]:
    return one(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]


def settings(objects: Objects) -> dict[str, str]:
    return one(objects, "ConfigMap", "recommender-serving")["data"]


def rule_of_route(objects: Objects) -> dict[str, Any]:
    return one(objects, "HTTPRoute", "recommender")["spec"]["rules"][0]


def rename(objects: Objects, kind: str, name: str) -> None:
    one(objects, kind)["metadata"]["name"] = name


BREAKS: list[tuple[str, str, Callable[[Objects], object]]] = [
    ("names", "'Recommender'", lambda o: rename(o, "Service", "Recommender")),
    ("names", "at most 52", lambda o: one(o, "CronJob", "recommender-drift")["metadata"].update(name="d" * 53)),
    ("names", "got 2", lambda o: o.append(one(o, "Service"))),
    ("names", "container's name", lambda o: container(o).update(name="Main")),
    ("names", "port's name", lambda o: container(o)["ports"][0].update(name="a-port-with-a-long-name")),
    ("labels", "two words", lambda o: label(o).update(team="two words")),
    ("labels", "a_b/c", lambda o: label(o).update({"a_b/c": "d"})),
    ("selectors", "its template has", lambda o: label(o).update({"recommender/variant": "old"})),
    ("selectors", "no template", lambda o: spec(o, "Service")["selector"].update(variant="x")),
    ("selectors", "no template", lambda o: spec(o, "PodDisruptionBudget")["selector"]["matchLabels"].update(a="b")),
    ("selectors", "no template", lambda o: spec(o, "NetworkPolicy", "recommender-jobs").update(
        podSelector={"matchLabels": {"recommender/uses": "nothing"}})),
    ("selectors", "no template", lambda o: pod(o)["topologySpreadConstraints"][0]["labelSelector"].update(
        matchLabels={"app": "recommender"})),
    ("targets", "a target that is here", lambda o: spec(o, "HorizontalPodAutoscaler")["scaleTargetRef"].update(
        name="x")),
    ("targets", "no replicas", lambda o: spec(o, "Deployment").update(replicas=3)),
    ("targets", "up to maxReplicas", lambda o: spec(o, "HorizontalPodAutoscaler").update(minReplicas=99)),
    ("resources", "a request and a limit", lambda o: container(o)["resources"].pop("limits")),
    ("resources", "up to its limit", lambda o: container(o)["resources"]["requests"].update(memory="3Gi")),
    ("images", "recommender:latest", lambda o: container(o).update(image="example.org:5000/recommender:latest")),
    ("images", "recommender'", lambda o: container(o).update(image="example.org:5000/recommender")),
    ("rights", "runAsNonRoot", lambda o: pod(o)["securityContext"].pop("runAsNonRoot")),
    ("rights", "readOnlyRootFilesystem", lambda o: container(o)["securityContext"].pop("readOnlyRootFilesystem")),
    ("commands", "python -m", lambda o: container(o).update(command=["python", "-m", "training", "retrain"])),
    ("ports", "got 70000", lambda o: container(o)["ports"][0].update(containerPort=70000)),
    ("ports", "targetPort", lambda o: spec(o, "Service")["ports"][0].update(targetPort="web")),
    ("ports", "got 0", lambda o: spec(o, "Service")["ports"][0].update(port=0)),
    ("probes", "'/health'", lambda o: container(o)["readinessProbe"]["httpGet"].update(path="/health")),
    ("probes", "'/recommend'", lambda o: container(o)["readinessProbe"]["httpGet"].update(path="/recommend")),
    ("probes", "'web'", lambda o: container(o)["livenessProbe"]["httpGet"].update(port="web")),
    ("probes", "with httpGet", lambda o: container(o).pop("readinessProbe")),
    ("probes", "missing dependency", lambda o: container(o)["livenessProbe"]["httpGet"].update(path="/readyz")),
    ("variables", "SERVE_DRAIN", lambda o: settings(o).update(SERVE_DRAIN="10")),
    ("variables", "SERVE_SPEED", lambda o: container(o)["env"].append({"name": "SERVE_SPEED", "value": "1"})),
    ("variables", "plain text", lambda o: container(o)["env"].append({"name": "SERVE_API_KEY", "value": "abc"})),
    ("drain", "at least 5; got 1", lambda o: settings(o).update(SERVE_DRAIN_SECONDS="1")),
    ("drain", "terminationGracePeriodSeconds", lambda o: pod(o).update(terminationGracePeriodSeconds=20)),
    ("references", "ConfigMap/gone", lambda o: container(o)["envFrom"].append({"configMapRef": {"name": "gone"}})),
    ("references", "the key salt", lambda o: container(o)["env"][1]["valueFrom"]["secretKeyRef"].update(key="salt")),
    ("references", "ServiceAccount/nobody", lambda o: pod(o).update(serviceAccountName="nobody")),
    ("references", "PersistentVolumeClaim/gone", lambda o: claim(o).update(claimName="gone")),
    ("references", "Role/gone", lambda o: one(o, "RoleBinding", "recommender-rollout")["roleRef"].update(name="gone")),
    ("references", "Service/gone", lambda o: rule_of_route(o)["backendRefs"][0].update(name="gone")),
    ("references", "StorageClass/fast", lambda o: spec(o, "PersistentVolumeClaim", "recommender-data").update(
        storageClassName="fast")),
    ("references", "Gateway/other", lambda o: spec(o, "HTTPRoute", "recommender")["parentRefs"][0].update(
        name="other")),
    ("secrets", "among the manifests", lambda o: o.append({"kind": "Secret", "metadata": {"name": "recommender"}})),
    ("routes", "weigth", lambda o: rule_of_route(o)["backendRefs"][0].update(weigth=1)),
    ("routes", "a weight above 0", lambda o: rule_of_route(o)["backendRefs"][0].update(weight=0)),
    ("routes", "at most 128 matches", lambda o: spec(o, "HTTPRoute", "recommender").update(
        rules=[{**rule_of_route(o), "matches": [{}] * 43}] * 3)),
    ("routes", "a port of Service/recommender-stable", lambda o: rule_of_route(o)["backendRefs"][0].update(port=81)),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "says", "damage"), BREAKS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_rule_names_what_breaks_it(
    rule: str, says: str, damage: Callable[[Objects], object], objects: Objects, facts: Any
) -> None:
    damage(objects)

    found = problems_of(objects, facts)

    assert [p for p in found if p.rule == rule and says in p.says], [str(p) for p in found]


def test_every_rule_is_broken_by_a_case() -> None:
    assert {rule.__name__ for rule in RULES} == {rule for rule, _, _ in BREAKS}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_holds_every_rule(overlay: str, facts: Any) -> None:
    assert lint_overlay(MANIFESTS / "overlays" / overlay, facts) > 30


def test_an_overlay_that_breaks_rules_is_refused_with_all_of_them(facts: Any) -> None:
    nothing_is_external = replace(facts, external=())

    with pytest.raises(ManifestsRefused, match=r"(?s)Secret/recommender with the key redis-url.*Gateway/shared"):
        lint_overlay(MANIFESTS / "overlays" / "dev", nothing_is_external)


@pytest.mark.parametrize("version", VERSIONS)
def test_manifests_are_valid_by_the_schemas_of_kubernetes(version: str, rendered: Objects) -> None:
    for found in rendered:
        if found["kind"] != "HTTPRoute":  # Gateway API is no part of these schemas; the rule `routes` stands in
            kubernetes_validate.validate(found, version, strict=True)


def test_a_schema_that_is_strict_refuses_an_unknown_field(rendered: Objects) -> None:
    broken = copy.deepcopy(one(rendered, "Deployment"))
    broken["spec"]["template"]["spec"]["restartPolice"] = "Always"

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[0], strict=True)


def test_source_without_the_settings_or_paths_is_refused(tmp_path: Any) -> None:
    (tmp_path / "settings.py").write_text("class Other:\n    pass\n")
    (tmp_path / "app.py").write_text("")
    (tmp_path / "operations").mkdir()
    (tmp_path / "operations" / "guard.py").write_text("")

    with pytest.raises(UnknownSource, match="class ServingSettings"):
        serve_settings(tmp_path / "settings.py")
    with pytest.raises(UnknownSource, match=r"paths in app.py and guard.py"):
        served_paths(tmp_path)


def test_the_policy_on_the_cluster_is_the_one_of_the_repository(rendered: Objects) -> None:
    policy = one(rendered, "ConfigMap", "recommender-policy")["data"]["policy.yaml"]

    assert policy == (MANIFESTS.parent / "promote" / "production.yaml").read_text(encoding="utf-8")

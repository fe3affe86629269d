"""The manifests hold every rule, and every rule is broken by something that a schema lets through."""

import copy
import tomllib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import kubernetes_validate
import pytest
import yaml

from k8s.lint.known import MANIFESTS, UnknownSource, known, serve_settings, served_paths
from k8s.lint.lint import RULES, ManifestsRefused, lint_overlay, problems_of
from k8s.lint.render import containers_in, render
from k8s.promote.policy_file import load_release_policy

Objects = list[dict[str, Any]]
OVERLAYS = ("dev", "production")
# The newest release whose schemas the library has, and the one that the design names.
VERSIONS = ("1.36", "1.37")
EVALUATE, TRAIN = "training evaluate", "training train"
# The command whose report, or manifest, a gate reads.
MADE_BY = {
    "quality": EVALUATE,
    "retrievers": EVALUATE,
    "coverage": EVALUATE,
    "novelty": EVALUATE,
    "segments": EVALUATE,
    "index_recall": TRAIN,
    "leaks": TRAIN,
    "drift": "monitoring drift",
    "latency": "k8s latency",
    "fairness": "monitoring fairness",
    "skew": "monitoring skew",
}


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


def job(objects: Objects, name: str, *, kind: str = "containers") -> dict[str, Any]:
    found: dict[str, Any] = spec(objects, "CronJob", name)["jobTemplate"]["spec"]["template"]["spec"][kind][0]
    return found


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
    ("sizes", "at least the 9 pods", lambda o: spec(o, "HorizontalPodAutoscaler", "recommender-stable").update(
        minReplicas=9)),
    ("sizes", "got 1", lambda o: o.remove(one(o, "HorizontalPodAutoscaler", "recommender-canary"))),
    ("resources", "a request and a limit", lambda o: container(o)["resources"].pop("limits")),
    ("resources", "up to its limit", lambda o: container(o)["resources"]["requests"].update(memory="3Gi")),
    ("images", "recommender:latest", lambda o: container(o).update(image="example.org:5000/recommender:latest")),
    ("images", "recommender'", lambda o: container(o).update(image="example.org:5000/recommender")),
    ("rights", "runAsNonRoot", lambda o: pod(o)["securityContext"].pop("runAsNonRoot")),
    ("rights", "readOnlyRootFilesystem", lambda o: container(o)["securityContext"].pop("readOnlyRootFilesystem")),
    ("commands", "one of feature_repo", lambda o: container(o).update(command=["sh", "-c", "true"])),
    ("commands", "one of feature_repo", lambda o: container(o).update(command=["python", "-m", "serving", "run"])),
    ("commands", "No such command 'retrain'", lambda o: container(o).update(
        command=["python", "-m", "training", "retrain"])),
    ("commands", "got nothing: a command is missing", lambda o: container(o).update(command=["python", "-m", "k8s"])),
    ("commands", "experiment: a command is missing", lambda o: container(o).update(
        command=["python", "-m", "monitoring", "experiment"])),
    ("commands", "No such option: --polcy", lambda o: job(o, "recommender-promote").update(
        args=["--polcy", "x"])),
    ("commands", "Missing argument", lambda o: job(o, "recommender-promote").update(
        command=["python", "-m", "k8s", "rollout"])),
    ("commands", "Invalid value for '--requests'", lambda o: job(o, "recommender-latency").update(
        args=["--requests", "many"])),
    ("commands", "extra argument", lambda o: job(o, "recommender-train", kind="initContainers")["command"].append("x")),
    ("commands", "print its help", lambda o: job(o, "recommender-drift")["command"].append("--help")),
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


@pytest.mark.parametrize(
    ("overlay", "version"), [("dev", VERSIONS[-1]), *(("production", version) for version in VERSIONS)]
)
def test_manifests_are_valid_by_the_schemas_of_kubernetes(overlay: str, version: str) -> None:
    for found in render(MANIFESTS / "overlays" / overlay):
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


def test_every_gate_of_the_policy_has_a_job_that_makes_its_report(rendered: Objects) -> None:
    """latency.json was made on laptops alone: on a cluster its gate stayed INCONCLUSIVE, and no release ever began."""
    policy = yaml.safe_load(one(rendered, "ConfigMap", "recommender-policy")["data"]["policy.yaml"])
    gates = load_release_policy(MANIFESTS.parent / "promote" / "production.yaml").promotion.offline
    run = {" ".join(container["command"][2:4]) for o in rendered if o["kind"] == "CronJob" for container in in_job(o)}

    asked = {gate for gate, rule in gates if rule is not None}
    assert set(policy["offline"]) <= asked == set(MADE_BY)
    assert {MADE_BY[gate] for gate in asked} <= run
    assert {"feature_repo data", "feature_repo apply", "k8s release", "k8s promote", "monitoring business"} <= run


def in_job(cron_job: dict[str, Any]) -> list[dict[str, Any]]:
    pod = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return [*pod.get("initContainers", []), *pod["containers"]]


def test_data_and_definitions_come_before_the_model_that_is_trained_on_them(rendered: Objects) -> None:
    train = in_job(one(rendered, "CronJob", "recommender-train"))

    assert [container["name"] for container in train] == ["data", "apply", "train"]
    assert all(container["env"] == train[0]["env"] for container in train)


def test_the_image_of_the_jobs_is_the_one_that_is_built(rendered: Objects) -> None:
    release = tomllib.loads((MANIFESTS.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    dev = render(MANIFESTS / "overlays" / "dev")
    images = {container["image"] for found in dev for container in containers_in(found)}

    assert images == {"localhost/recommender:1", f"localhost/recommender-jobs:{release}"}
    # The release is written once more in the other overlay, beside a registry of nobody.
    assert f"registry.example.org/recommender-jobs:{release}" in {
        container["image"] for found in rendered for container in containers_in(found)
    }


def test_everything_that_runs_as_a_job_may_be_read_and_written_only_where_it_is_said(rendered: Objects) -> None:
    for found in (o for o in rendered if o["kind"] == "CronJob"):
        for container in in_job(found):
            mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in container["volumeMounts"]}
            assert {path for path, read_only in mounts.items() if not read_only} == {"/data", "/tmp"}

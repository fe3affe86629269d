"""Prometheus as a source of operations: NaN, nothing and stale data are missing evidence and hold the step."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from feature_repo.core.errors import SettingsRefused
from k8s.evidence.prometheus import PrometheusOperations, PrometheusSettings, prometheus_settings
from k8s.evidence.window import Latencies, Missing, Operations, Window
from k8s.judgement.assess import CanaryEvidence, assess
from k8s.policy.rules import CanaryPolicy, RolloutPolicy
from k8s.rollout.pods import VARIANTS, PodsSeen
from k8s.rollout.rollout import Rollout
from k8s.rollout.states import State
from training.verdict import Verdict

START = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = RolloutPolicy(canary=CanaryPolicy(clicks=None, conversions=None))
AT = Rollout("1-2", "1", "2", POLICY, START, START, State.CANARY, 0)
SETTINGS = PrometheusSettings(url="http://prometheus:9090")
PODS = {variant: PodsSeen(1, 1, ("-",), (f"http://{variant}:1",)) for variant in VARIANTS}
Series = dict[str, object]
Answer = Callable[[str, int], httpx.Response]
# Seconds between a look and the scrape before it.
AGE = 7


def one(number: object, **labels: str) -> Series:
    return {"metric": labels, "value": [0, str(number)]}


def result(*series: Series) -> httpx.Response:
    return httpx.Response(200, json={"status": "success", "data": {"result": list(series)}})


def pod(name: str, look: int, *, up: int = 1, job: str = "pods") -> list[Series]:
    """What Prometheus holds of a pod that answers 400 requests between two looks and takes 3 ms of CPU for each."""
    count, target = 400 * look, {"instance": name, "job": job}
    told = {
        "recommend_requests_total": [({"code": "200"}, count), ({"code": "500"}, 0)],
        "recommend_degraded_total": [({"part": "features"}, 0)],
        "recommend_duration_seconds_bucket": [({"le": le}, count) for le in ("0.005", "0.01", "+Inf")],
        "process_cpu_seconds_total": [({}, 0.003 * count + 0.05 * (look % 2))],
        "process_start_time_seconds": [({}, 1.0)],
        "up": [({}, up)],
    }
    return [one(value, __name__=name, **target, **labels) for name, each in told.items() for labels, value in each]


def whose(query: str) -> str:
    return "canary" if 'recommender_variant="canary"' in query else "stable"


def healthy(query: str, look: int) -> httpx.Response:
    if query.startswith("timestamp"):
        at = START.timestamp() + 10 * look - AGE
        return result(one(at, instance=whose(query), job="pods"))
    return result(*pod(whose(query), look))


def looked(answer: Answer, *, looks: int, pods: dict[str, PodsSeen] | None = None) -> tuple[Operations, Rollout]:
    """Looks ten seconds apart, each from the notes of the one before it."""
    rollout, look = AT, 0

    def respond(request: httpx.Request) -> httpx.Response:
        return answer(request.url.params["query"], look)

    with httpx.Client(transport=httpx.MockTransport(respond)) as client:
        for look in range(1, looks + 1):
            now = START + timedelta(seconds=10 * look)
            source = PrometheusOperations(SETTINGS, client)
            seen, marks = source.read(rollout, pods or PODS, now=now)  # type: ignore[arg-type]
            rollout = Rollout.from_json(replace(rollout, marks=marks).to_json())
    return seen, rollout


def only(part: str, answer: httpx.Response) -> Answer:
    """Healthy but for the questions about the canary that hold this part."""
    return lambda query, look: answer if part in query and whose(query) == "canary" else healthy(query, look)


def with_canary(change: Callable[[list[Series]], list[Series]]) -> Answer:
    """Healthy but for what is held of the canary."""

    def answer(query: str, look: int) -> httpx.Response:
        if query.startswith("timestamp") or whose(query) == "stable":
            return healthy(query, look)
        return result(*change(pod("canary", look)))

    return answer


def without(name: str) -> Answer:
    return with_canary(lambda series: [each for each in series if each["metric"]["__name__"] != name])  # type: ignore[index]


def nan(name: str) -> Answer:
    def spoil(series: list[Series]) -> list[Series]:
        return [one("NaN", **each["metric"]) if each["metric"]["__name__"] == name else each for each in series]  # type: ignore[index, arg-type]

    return with_canary(spoil)


def test_what_was_scraped_since_the_step_began_becomes_the_two_windows() -> None:
    asked: list[str] = []

    seen, rollout = looked(lambda query, look: (asked.append(query), healthy(query, look))[1], looks=10)

    assert seen.canary == Window(3600, 0, 0, Latencies((5.0, 10.0, float("inf")), (3600, 0, 0)))
    assert (seen.stable, seen.age_seconds) == (seen.canary, AGE)
    assert all('namespace="recommender", app_kubernetes_io_name="recommender"' in query for query in asked)
    assert sum(whose(query) == "canary" for query in asked) == len(asked) / 2
    assert assess(rollout, CanaryEvidence(seen)).verdict is Verdict.PASS


def test_the_first_look_only_notes_where_the_counters_stand() -> None:
    assert looked(healthy, looks=1)[0].canary == Missing("the first look at a step only reads where its counters stand")


def test_counters_from_before_the_step_are_not_counted_from() -> None:
    late = replace(AT, entered_at=START + timedelta(seconds=5))
    with httpx.Client(transport=httpx.MockTransport(lambda r: healthy(r.url.params["query"], 1))) as client:
        seen, marks = PrometheusOperations(SETTINGS, client).read(late, PODS, now=START + timedelta(seconds=10))

    assert seen.canary == Missing("the newest counters are from before the step")
    assert '"canary": {"pods": {}' in marks["pods"]


def boom(_query: str, _look: int) -> httpx.Response:
    raise httpx.ConnectError("refused")


DOWN = result(*pod("canary", 2, up=0))
TWICE = result(*pod("canary", 2), *pod("canary", 2, job="others"))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (nan("recommend_degraded_total"), "the metrics hold a count that is no number"),
        (without("recommend_degraded_total"), "the metrics do not declare recommend_degraded"),
        (without("up"), "Prometheus scrapes canary by 0 jobs; the matchers are to name one"),
        (only("__name__", TWICE), "Prometheus scrapes canary by 2 jobs; the matchers are to name one"),
        (only("__name__", DOWN), "Prometheus cannot read the metrics of canary"),
        (only("timestamp", result()), "Prometheus cannot read the metrics of canary"),
        (only("__name__", result()), 'Prometheus knows 0 of 1 ready pods by namespace="recommender", app'),
        (only("__name__", result({"metric": {}, "value": []})), "Prometheus did not answer with counters (KeyError)"),
        (only("__name__", result(one("a", instance="a"))), "Prometheus did not answer with counters (ValueError)"),
        (only("__name__", httpx.Response(503)), "Prometheus did not answer with counters (HTTPStatusError)"),
        (only("__name__", httpx.Response(200, text="<html>")), "Prometheus did not answer with counters (JSONDecode"),
        (boom, "Prometheus did not answer with counters (ConnectError)"),
    ],
)
def test_what_cannot_be_counted_is_missing_with_its_reason_and_never_passes(answer: Answer, reason: str) -> None:
    seen, rollout = looked(answer, looks=10)

    assert isinstance(seen.canary, Missing)
    assert re.match(re.escape(reason), seen.canary.reason)
    assert assess(rollout, CanaryEvidence(seen)).verdict is Verdict.INCONCLUSIVE


def test_a_pod_that_is_ready_and_not_scraped_is_missed() -> None:
    seen, _ = looked(healthy, looks=2, pods={**PODS, "canary": PodsSeen(2, 2, ("2",), ("http://a", "http://b"))})

    assert isinstance(seen.canary, Missing)
    assert seen.canary.reason.startswith("Prometheus knows 1 of 2 ready pods by")


def test_series_that_nobody_has_scraped_for_long_are_stale_and_leave_the_step_open() -> None:
    def stopped(query: str, look: int) -> httpx.Response:
        return healthy(query, look if whose(query) == "stable" else min(look, 10))

    seen, rollout = looked(stopped, looks=16)

    found = assess(rollout, CanaryEvidence(seen))

    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reasons == ("operations: the evidence is 67 s old, at most 60 s count (INCONCLUSIVE)",)


def test_looks_between_two_scrapes_are_no_looks_at_the_cpu_time() -> None:
    def every_second(query: str, look: int) -> httpx.Response:
        return healthy(query, look - look % 2)

    seen, rollout = looked(every_second, looks=16)

    assert "saturation: 7 of at least 8 looks so far (INCONCLUSIVE)" in assess(rollout, CanaryEvidence(seen)).reasons


@pytest.mark.parametrize(
    ("url", "matchers"), [("prometheus", None), ("http://", None), ("http://p:1", 'variant="canary"')]
)
def test_settings_that_would_ask_nobody_or_the_wrong_pods_are_refused(url: str, matchers: str | None) -> None:
    with pytest.raises(SettingsRefused, match=r"and PROMETHEUS_MATCHERS holds \{variant\}; got"):
        prometheus_settings(url, matchers, namespace="shop")


def test_the_address_alone_is_enough_and_without_it_nobody_is_asked() -> None:
    asked = prometheus_settings("http://p:9090/", None, namespace="shop")

    assert asked == PrometheusSettings(url="http://p:9090", namespace="shop")
    assert prometheus_settings(None, "x", namespace="shop") is None

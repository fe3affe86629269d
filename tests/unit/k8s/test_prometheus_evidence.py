"""Prometheus as a source of operations: NaN, nothing and stale data are missing evidence and hold the step."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from k8s.evidence.prometheus import PrometheusOperations, PrometheusSettings
from k8s.evidence.window import Latencies, Missing, Operations, Window
from k8s.judgement.assess import CanaryEvidence, assess
from k8s.policy.rules import CanaryPolicy, RolloutPolicy
from k8s.rollout.rollout import Rollout
from k8s.rollout.states import State
from training.verdict import Verdict

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(minutes=5)
POLICY = RolloutPolicy(canary=CanaryPolicy(clicks=None, conversions=None))
AT = Rollout("1-2", "1", "2", POLICY, START, START, State.CANARY, 0)
Answer = Callable[[str], httpx.Response]


def value(number: str, **labels: str) -> dict[str, object]:
    return {"metric": labels, "value": [0, number]}


def result(*values: dict[str, object]) -> httpx.Response:
    return httpx.Response(200, json={"status": "success", "data": {"result": list(values)}})


def healthy(query: str) -> httpx.Response:
    """What a server with 2,000 requests of each variant says."""
    if "timestamp" in query:
        return result(value("7"))
    if "bucket" in query:
        return result(value("2000", le="0.005"), value("2000", le="0.1"), value("2000", le="+Inf"))
    return result(value("0" if "5.." in query or "degraded" in query else "2000"))


def read(answer: Answer, *, now: datetime = NOW) -> Operations:
    def respond(request: httpx.Request) -> httpx.Response:
        return answer(request.url.params["query"])

    with httpx.Client(transport=httpx.MockTransport(respond)) as client:
        return PrometheusOperations(PrometheusSettings("http://prometheus"), client).read(AT, {}, now=now)[0]


def only(part: str, answer: httpx.Response) -> Answer:
    """Healthy but for the queries of the canary that hold this part."""
    return lambda query: answer if part in query and "canary" in query else healthy(query)


def test_increases_since_the_step_began_become_the_two_windows() -> None:
    asked: list[str] = []

    seen = read(lambda query: (asked.append(query), healthy(query))[1])

    assert seen.canary == Window(2000, 0, 0, Latencies((5.0, 100.0, float("inf")), (2000, 0, 0)))
    assert (seen.stable, seen.age_seconds) == (seen.canary, 7.0)
    assert all("[300s]" in query for query in asked if "increase" in query)
    assert sum('variant="canary"' in query for query in asked) == len(asked) / 2
    assert assess(AT, CanaryEvidence(seen)).verdict is Verdict.PASS


def boom(_query: str) -> httpx.Response:
    raise httpx.ConnectError("refused")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (only("degraded", result(value("NaN"))), "Prometheus gave nan for sum(increase(recommend_degraded_total"),
        (only("bucket", result()), "Prometheus gave 0 values for sum by (le)"),
        (only("requests", result()), "Prometheus gave 0 values for time() - min(timestamp("),
        (only("degraded", result(value("1"), value("2"))), "Prometheus gave 2 values for"),
        (only("degraded", result({"metric": {}, "value": []})), "Prometheus gave no number for"),
        (only("requests", httpx.Response(503)), "Prometheus did not answer (HTTPStatusError)"),
        (only("requests", httpx.Response(200, text="<html>")), "Prometheus did not answer (JSONDecodeError)"),
        (boom, "Prometheus did not answer (ConnectError)"),
    ],
)
def test_what_cannot_be_counted_is_missing_with_its_reason_and_never_passes(answer: Answer, reason: str) -> None:
    seen = read(answer)

    assert isinstance(seen.canary, Missing)
    assert re.match(re.escape(reason), seen.canary.reason)
    assert assess(AT, CanaryEvidence(seen)).verdict is Verdict.INCONCLUSIVE


def test_series_that_nobody_has_scraped_for_long_are_stale_and_leave_the_step_open() -> None:
    seen = read(only("timestamp", result(value("300"))))

    found = assess(AT, CanaryEvidence(seen))

    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reasons == ("operations: the evidence is 300 s old, at most 60 s count (INCONCLUSIVE)",)


def test_a_step_that_has_just_begun_is_not_asked_about() -> None:
    seen = read(healthy, now=START + timedelta(seconds=29))

    assert seen.canary == Missing("the step is 29 s old, Prometheus needs 30 s of it")

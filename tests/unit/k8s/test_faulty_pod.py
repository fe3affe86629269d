"""The proxy that makes a pod faulty: it counts the fault, and passes on what only the pod knows."""

import json

import httpx
import pytest

from k8s.dataplane.traefik_routes import HEADER
from k8s.evidence.scrape import parse
from k8s.evidence.window import Missing
from k8s.laptop.choices import Fault
from k8s.laptop.fault import DELAY_SECONDS, FaultyPod

UPSTREAM = """# TYPE recommend_requests_total counter
recommend_requests_total{code="200"} 1000
# TYPE recommend_degraded_total counter
recommend_degraded_total{part="features"} 4
# TYPE recommend_duration_seconds histogram
recommend_duration_seconds_bucket{le="+Inf"} 1000
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 3.5
"""


def pod(fault: Fault) -> FaultyPod:
    def answer(request: httpx.Request) -> httpx.Response:
        text = UPSTREAM if request.url.path == "/metrics" else json.dumps({"path": request.url.path})
        return httpx.Response(200, text=text)

    return FaultyPod("http://pod", fault, httpx.Client(transport=httpx.MockTransport(answer)))


def test_every_tenth_recommendation_fails_and_nothing_else_does() -> None:
    faulty = pod(Fault.ERRORS)

    codes = [faulty.post("/recommend", b"{}")[0] for _ in range(20)]

    assert [place for place, code in enumerate(codes, start=1) if code == 500] == [10, 20]
    assert [faulty.post("/events", b"[]")[0] for _ in range(10)] == [200] * 10
    assert faulty.get("/readyz") == (200, b'{"path": "/readyz"}')


def test_a_slow_pod_is_late_in_its_own_histogram() -> None:
    faulty = pod(Fault.SLOW)

    faulty.post("/recommend", b"{}")

    found = parse(faulty.get("/metrics")[1].decode())
    assert not isinstance(found, Missing)
    assert found.reached[found.bounds_ms.index(1000 * DELAY_SECONDS)] == 0
    assert found.reached[-1] == 1


def test_the_metrics_are_what_callers_saw_and_what_only_the_pod_knows() -> None:
    faulty = pod(Fault.ERRORS)
    for _ in range(10):
        faulty.post("/recommend", b"{}")

    found = parse(faulty.get("/metrics")[1].decode())

    assert not isinstance(found, Missing)
    assert (found.requests, found.errors, found.degraded, found.cpu) == (10, 1, 4, 3.5)


def test_the_bucket_of_a_request_is_passed_on() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, text="{}")

    faulty = FaultyPod("http://pod", Fault.SLOW, httpx.Client(transport=httpx.MockTransport(answer)))

    faulty.post("/recommend", b"{}", {HEADER: "7"})

    assert asked[0].headers[HEADER] == "7"


def test_a_pod_without_data_serves_and_hides_its_metrics() -> None:
    faulty = pod(Fault.NODATA)

    assert faulty.post("/recommend", b"{}")[0] == 200
    assert faulty.get("/metrics") == (404, b"no metrics, on purpose")


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.NODATA])
def test_a_pod_that_is_gone_is_an_error_of_the_gateway_kind(fault: Fault) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    faulty = FaultyPod("http://pod", fault, httpx.Client(transport=httpx.MockTransport(refuse)))

    assert faulty.post("/recommend", b"{}")[0] == 502
    assert faulty.get("/metrics")[0] == 502

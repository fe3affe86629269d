import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from serving.metrics import Metrics, register_metrics
from serving.operations.exporters import TracesRefused
from serving.operations.front import Front
from serving.operations.traces import open_traces, stage_ended
from serving.settings import ServingSettings


@pytest.fixture
def metrics() -> Metrics:
    return register_metrics(CollectorRegistry())


@pytest.fixture
def ask(settings: ServingSettings, metrics: Metrics, serve: Callable[..., Any]) -> Callable[..., Any]:
    """A client of a front with these settings, its two apps, and `metrics`."""

    async def recommend(_: Request) -> Response:
        stage_ended("user", 0.25)
        stage_ended("rank", 0.5, failed=True)
        return PlainTextResponse(f"ours, {front.in_flight} in flight")

    async def readyz(_: Request) -> Response:
        return PlainTextResponse("ready")

    async def bentos(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse(f"Bento's {scope['path']}")(scope, receive, send)

    ours = Starlette(routes=[Route("/recommend", recommend, methods=["POST"]), Route("/readyz", readyz)])
    ours.state.runtime = None
    front = Front(bentos, ours=ours)

    @contextmanager
    def client_with(*, draining: bool = False, started: bool = True, **changes: Any) -> Iterator[Any]:
        changed = settings.model_copy(update=changes)
        ours.state.runtime = SimpleNamespace(settings=changed, metrics=metrics) if started else None
        ours.state.draining = draining
        with serve(front, started=False) as client:
            yield client

    return client_with


def test_an_endpoint_that_raises_nothing_is_called_without_its_route_and_by_its_method_alone(
    serve: Callable[..., Any], settings: ServingSettings, metrics: Metrics
) -> None:
    async def straight(request: Request) -> Response:
        return PlainTextResponse(f"straight to {request.app.state.name}, {(await request.body()).decode()}")

    async def route(_: Request) -> Response:
        return PlainTextResponse("by its route")

    ours = Starlette(routes=[Route("/recommend", route, methods=["POST", "PUT"])])
    ours.state.name, ours.state.runtime = "ours", SimpleNamespace(settings=settings, metrics=metrics)
    with serve(Front(ours, ours=ours, straight={("POST", "/recommend"): straight}), started=False) as client:
        assert client.post("/recommend", content="a body").text == "straight to ours, a body"
        assert client.portal.call(client.http.put, "/recommend").text == "by its route"
        assert client.get("/recommend").status_code == 405


def test_our_paths_are_ours_and_the_others_are_bentos(ask: Callable[..., Any]) -> None:
    with ask() as client:
        assert client.post("/recommend").text == "ours, 1 in flight"
        assert client.get("/livez").text == "Bento's /livez"
        assert client.get("/readyz").text == "ready"


def test_metrics_are_this_processs_own(ask: Callable[..., Any]) -> None:
    with ask() as client:
        reply = client.get("/metrics")

    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain")
    assert "process_resident_memory_bytes" in reply.text


def test_a_process_that_leaves_is_unready_answers_on_and_closes_connections(ask: Callable[..., Any]) -> None:
    with ask(draining=True) as client:
        ready, answer = client.get("/readyz"), client.post("/recommend")

    assert (ready.status_code, ready.json()) == (503, {"ready": False, "draining": True})
    assert answer.status_code == 200
    assert answer.headers["connection"] == "close"


def test_a_process_that_stays_keeps_connections(ask: Callable[..., Any]) -> None:
    with ask() as client:
        assert "connection" not in client.post("/recommend").headers


def test_without_the_key_a_request_is_refused_and_counted_and_probes_are_not(
    ask: Callable[..., Any], metrics: Metrics
) -> None:
    with ask(api_key=SecretStr("s3cret")) as client:
        refused, let_in = client.post("/recommend"), client.post("/recommend", headers={"X-API-Key": "s3cret"})
        probes = [client.get(path).status_code for path in ("/readyz", "/livez", "/metrics")]
        docs = client.get("/docs.json")

    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert "a request needs one of this service's keys" in refused.json()["error"]
    assert (let_in.status_code, probes, docs.status_code) == (200, [200, 200, 200], 401)
    assert metrics.refused.labels("key")._value.get() == 2


def test_too_many_requests_are_refused_with_retry_after(ask: Callable[..., Any], metrics: Metrics) -> None:
    with ask(rate_per_second=0.01, rate_burst=2) as client:
        replies = [client.post("/recommend") for _ in range(3)]

    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert 90 <= int(replies[2].headers["retry-after"]) <= 100
    assert metrics.refused.labels("rate")._value.get() == 1


def test_after_an_answer_nothing_is_in_flight(ask: Callable[..., Any], metrics: Metrics) -> None:
    with ask() as client:
        client.post("/recommend")

    assert metrics.in_flight.collect()[0].samples[0].value == 0


def test_before_there_is_a_runtime_requests_reach_the_app(ask: Callable[..., Any]) -> None:
    with ask(started=False) as client:
        assert client.get("/readyz").text == "ready"


def spans_in(path: Path) -> dict[str, Any]:
    return {span["name"]: span for span in map(json.loads, path.read_text().splitlines())}


def test_a_trace_has_a_span_for_the_request_and_one_below_it_for_each_stage(
    ask: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "spans.jsonl"
    caller = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}

    with ask(traces=f"file://{file}") as client:
        client.post("/recommend", headers=caller)
    with ask(traces=None) as client:
        client.get("/readyz")  # another runtime: what the one before left behind is sent

    spans = spans_in(file)
    server = spans["POST /recommend"]
    assert spans.keys() == {"POST /recommend", "user", "rank"}
    assert server["attributes"]["http.response.status_code"] == 200
    assert server["parent_id"] == "0xb7ad6b7169203331"
    assert {span["context"]["trace_id"] for span in spans.values()} == {"0x0af7651916cd43dd8448eb211c80319c"}
    assert {spans[stage]["parent_id"] for stage in ("user", "rank")} == {server["context"]["span_id"]}
    assert spans["rank"]["status"]["status_code"] == "ERROR"
    assert server["resource"]["attributes"]["service.version"] == "7"


def test_with_traces_off_a_stage_that_ends_says_nothing(settings: ServingSettings) -> None:
    stage_ended("user", 0.1)

    assert open_traces(settings) is None


def test_while_traces_are_off_nothing_of_them_is_imported() -> None:
    code = "import sys, serving.operations.front; print([m for m in sys.modules if m.startswith('opentelemetry')])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


@pytest.mark.parametrize("target", ["", "spans.jsonl", "file://relative", "ftp://host", "http://"])
def test_a_place_that_traces_cannot_be_sent_to_is_refused(settings: ServingSettings, target: str) -> None:
    with pytest.raises(TracesRefused, match=r"must be file:///PATH or the http\(s\) address of an OTLP endpoint; got"):
        open_traces(settings.model_copy(update={"traces": target}))


def test_a_file_that_cannot_be_written_is_refused(settings: ServingSettings, tmp_path: Path) -> None:
    with pytest.raises(TracesRefused, match="must name a file that can be written"):
        open_traces(settings.model_copy(update={"traces": f"file://{tmp_path}"}))


def test_without_the_exporter_the_sentence_says_what_to_install(
    settings: ServingSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)

    with pytest.raises(TracesRefused, match=r"pip install '.\[traces\]'"):
        open_traces(settings.model_copy(update={"traces": "http://localhost:4318/v1/traces"}))

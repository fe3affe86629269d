"""A fault to practise on: a loopback proxy that makes one pod answer with errors, late, or without metrics.

Proxy and pod together play one bad pod, so the proxy answers /metrics with what it measured itself, the fault
included, and passes on what only the pod knows (degraded answers, /readyz). The service has no switch for faults. A
worse version needs no proxy: simulated people, who know what is worse, click less.
"""

import itertools
import sys
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from k8s.dataplane.traefik_routes import HEADER
from k8s.laptop.choices import Fault
from k8s.loopback import LOOPBACK, loopback_client

# Every tenth request fails: 10 %, and evenly, so that a run can be repeated.
FAIL_EVERY = 10
DELAY_SECONDS = 0.1
_MILLISECONDS = (2, 4, 6, 8, 10, 15, 20, 25, 30, 40, 50, 100, 110, 120, 130, 150, 200, 500, 1_000, 5_000)


class FaultyPod:
    """Forwards to a pod, adds the fault, and counts what callers see."""

    def __init__(self, upstream: str, fault: Fault, client: httpx.Client) -> None:
        self._upstream = upstream
        self._fault = fault
        self._client = client
        self._order = itertools.count(1)
        self._registry = CollectorRegistry()
        self._requests = Counter("recommend_requests_total", "Requests", ["code"], registry=self._registry)
        self._duration = Histogram(
            "recommend_duration_seconds",
            "Latency",
            registry=self._registry,
            buckets=[milliseconds / 1_000 for milliseconds in _MILLISECONDS],
        )

    def post(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """Answer a POST; only /recommend is made faulty and counted."""
        if path != "/recommend":
            return self._forward("POST", path, body, headers)
        began = time.monotonic()
        code, answer = self._recommend(body, headers)
        self._duration.observe(time.monotonic() - began)
        self._requests.labels(code=str(code)).inc()
        return code, answer

    def get(self, path: str) -> tuple[int, bytes]:
        if path == "/metrics" and self._fault is Fault.NODATA:
            return 404, b"no metrics, on purpose"
        code, answer = self._forward("GET", path, b"")
        return (code, self._metrics(answer)) if path == "/metrics" and code == 200 else (code, answer)

    def _recommend(self, body: bytes, headers: Mapping[str, str] | None) -> tuple[int, bytes]:
        if self._fault is Fault.ERRORS and next(self._order) % FAIL_EVERY == 0:
            return 500, b'{"error": "a fault put here on purpose"}'
        if self._fault is Fault.SLOW:
            time.sleep(DELAY_SECONDS)
        return self._forward("POST", "/recommend", body, headers)

    def _forward(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        try:
            answer = self._client.request(method, self._upstream + path, content=body, headers=headers)
        except httpx.HTTPError:
            return 502, b'{"error": "the pod does not answer"}'
        return answer.status_code, answer.content

    def _metrics(self, upstream: bytes) -> bytes:
        known_only_there = (b"recommend_degraded", b"process_cpu_seconds")
        kept = [line for line in upstream.splitlines(keepends=True) if any(name in line for name in known_only_there)]
        return generate_latest(self._registry) + b"".join(kept)


def serve_fault(upstream: str, *, port: int, fault: Fault) -> None:
    """Run the proxy until the process is ended."""
    with loopback_client() as client, ThreadingHTTPServer((LOOPBACK, port), _Handler) as server:
        _Handler.pod = FaultyPod(upstream, fault, client)
        server.serve_forever()


def proxy_command(upstream: str, port: int, fault: Fault) -> list[str]:
    """The command line of the proxy."""
    options = ["--upstream", upstream, "--port", str(port), "--kind", fault.value]
    return [sys.executable, "-m", "k8s", "fault", *options]


class _Handler(BaseHTTPRequestHandler):
    """HTTP around a FaultyPod; http.server makes one a connection, hence the attribute of the class."""

    pod: FaultyPod
    protocol_version = "HTTP/1.1"
    # One segment for each answer: headers and body in two make the other side wait 40 ms to acknowledge the
    # first.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer(*self.pod.get(self.path))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        bucket = self.headers.get(HEADER)
        self._answer(*self.pod.post(self.path, body, None if bucket is None else {HEADER: bucket}))

    def _answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: every request is counted, none is logged."""

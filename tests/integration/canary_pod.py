"""A served version in a few lines, for tests of the rollout: the endpoints of `serving` without a model."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

VERSION, PORT, VARIANT = sys.argv[1:4]
REGISTRY = CollectorRegistry()
REQUESTS = Counter("recommend_requests_total", "Requests", ["code"], registry=REGISTRY)
DEGRADED = Counter("recommend_degraded_total", "Degraded answers", ["part"], registry=REGISTRY)
DURATION = Histogram("recommend_duration_seconds", "Latency", registry=REGISTRY)


class Pod(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        ready = {"ready": True, "model_version": VERSION, "variant": VARIANT}
        self.answer(json.dumps(ready).encode() if self.path == "/readyz" else generate_latest(REGISTRY))

    def do_POST(self) -> None:
        with DURATION.time():
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            items = [{"item_id": str(rank), "score": 1 / rank, "rank": rank} for rank in range(1, asked["k"] + 1)]
            slate = {"items": items, "model_version": VERSION, "variant": VARIANT, "degraded": []}
            self.answer(json.dumps(slate).encode())
        REQUESTS.labels(code="200").inc()

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet: the log is for what goes wrong."""


ThreadingHTTPServer(("127.0.0.1", int(PORT)), Pod).serve_forever()

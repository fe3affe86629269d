"""A served version in a few lines, for tests of the rollout: the endpoints of `serving` without a model."""

import contextlib
import json
import os
import sys
import threading
import time
import uuid
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest

from feature_repo.dataset.request_log_schema import REQUEST_LOG_SCHEMA

# The last is the folder of the request log; without it none is written.
VERSION, PORT, VARIANT, *LOG = sys.argv[1:]
# An answer takes so long, one after another, as those of a process with one interpreter do.
SECONDS, TURN = float(os.environ.get("ANSWER_SECONDS", 0)), threading.Lock()
WAITING: list[dict[str, object]] = []
REGISTRY = CollectorRegistry()
REQUESTS = Counter("recommend_requests_total", "Requests", ["code"], registry=REGISTRY)
DEGRADED = Counter("recommend_degraded_total", "Degraded answers", ["part"], registry=REGISTRY)
POSTS = Counter("posts_total", "Requests by path, mirrored ones included", ["path"], registry=REGISTRY)
DURATION = Histogram("recommend_duration_seconds", "Latency", registry=REGISTRY)
ProcessCollector(registry=REGISTRY)


class Pod(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        ready = {"ready": True, "model_version": VERSION, "variant": VARIANT}
        self.answer(json.dumps(ready).encode() if self.path == "/readyz" else generate_latest(REGISTRY))

    def do_POST(self) -> None:
        POSTS.labels(path=self.path).inc()
        with DURATION.time(), TURN if SECONDS else contextlib.nullcontext():
            time.sleep(SECONDS)
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            left = [item for item in map(str, range(1, 31)) if item not in asked.get("exclude", ())][: asked["k"]]
            items = [{"item_id": item, "score": 1 / int(item), "rank": rank} for rank, item in enumerate(left, 1)]
            request_id = uuid.uuid4().hex
            slate = {"items": items, "model_version": VERSION, "variant": VARIANT, "degraded": []}
            slate["request_id"] = request_id
            self.log_slate(request_id, asked, left)
            self.answer(json.dumps(slate).encode())
        REQUESTS.labels(code="200").inc()

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_slate(self, request_id: str, asked: dict, items: list[str]) -> None:
        now = datetime.now(UTC)
        moment = asked.get("context", {}).get("timestamp")
        bucket = self.headers.get("X-Recommender-Bucket", "")
        row = dict.fromkeys(REQUEST_LOG_SCHEMA.names) | {
            **{"request_id": request_id, "received_at": now, "user_id": asked["user_id"], "variant": VARIANT},
            **{"moment": datetime.fromisoformat(moment) if moment else now, "model_version": VERSION},
            **{"rollout": os.environ.get("SERVE_ROLLOUT"), "bucket": int(bucket) if bucket.isdecimal() else None},
            **{"degraded": [], "k": asked["k"], "slate": items, "candidates": items, "sources": ["-"] * len(items)},
            **{"scores": [1 / int(item) for item in items], "features": [], "feature_names": []},
        }
        WAITING.append(row)

    def log_message(self, *_: object) -> None:
        """Quiet: the log is for what goes wrong."""


def write_log() -> None:
    """Everything that waits, into a file of its own, as the service does."""
    while True:
        time.sleep(0.2)
        rows = [WAITING.pop(0) for _ in range(len(WAITING))]
        if rows:
            stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
            path = f"{LOG[0]}/{stamp}-{VARIANT}-{uuid.uuid4().hex}.parquet"
            pq.write_table(pa.Table.from_pylist(rows, schema=REQUEST_LOG_SCHEMA), f"{path}.partial")
            Path(f"{path}.partial").replace(path)


if LOG:
    threading.Thread(target=write_log, daemon=True).start()
ThreadingHTTPServer(("127.0.0.1", int(PORT)), Pod).serve_forever()

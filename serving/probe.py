"""Measure a served version: seconds to ready, and the latency of real requests one after another."""

import http.client
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace, write_json
from feature_repo.dataset.split import load_split
from serving.process import HOST, ServerFailed, call_on, running_server
from serving.request_log import read_request_log

# What every serving process of this kind must import; start-up is judged beside it, in the same run.
BARE_IMPORTS = "import feast, xgboost, onnxruntime"
SLATE = 10


@dataclass(frozen=True)
class Asked:
    """The requests of one probe: their ids in the log, and milliseconds each."""

    request_ids: list[str]
    milliseconds: npt.NDArray[np.float64]
    degraded: int


def run_probe(workspace: Workspace, *, version: str, requests: int) -> dict[str, Any]:
    """Probe `version` with `requests` held-out events, write latency.json, return what it says.

    Raises:
        RecommenderError: there is no data or bundle, or the server fails a request.
    """
    bodies = [recommend_body(user_id, moment) for user_id, moment in held_out_requests(workspace, requests)]
    with running_server(workspace, version=version) as server:
        asked = ask(server.port, bodies)
    # After the server, so that the files are in the page cache: the comparison favours the bare imports.
    import_seconds = seconds_of_bare_imports()
    report = {
        "version": version,
        "made_at": datetime.now(UTC).isoformat(),
        "requests": len(bodies),
        "candidates": median_candidates(workspace, asked.request_ids),
        "degraded": asked.degraded,
        "p50_ms": float(np.percentile(asked.milliseconds, 50)),
        "p99_ms": float(np.percentile(asked.milliseconds, 99)),
        "ready_seconds": server.ready_seconds,
        "import_seconds": import_seconds,
        "ready_ratio": server.ready_seconds / import_seconds,
    }
    write_json(workspace.reports / "latency.json", report)
    return report


def held_out_requests(workspace: Workspace, count: int) -> list[tuple[str, datetime]]:
    """Users and moments of held-out events, spread evenly over the window, oldest first.

    Raises:
        MissingArtifact: there are no events, or fewer held-out ones than asked for.
    """
    split = load_split(workspace)
    held_out = (pc.field("timestamp") >= pa.scalar(split.challenger_end, pa.timestamp("us", tz="UTC"))) & (
        pc.field("timestamp") <= pa.scalar(split.test_end, pa.timestamp("us", tz="UTC"))
    )
    events = ds.dataset(workspace.events).to_table(columns=["user_id", "timestamp"], filter=held_out)
    if events.num_rows < count:
        raise MissingArtifact(f"a probe of {count} requests needs as many held-out events; got {events.num_rows}")
    chosen = events.take(np.linspace(0, events.num_rows - 1, count).astype(np.int64))
    return list(zip(chosen["user_id"].to_pylist(), chosen["timestamp"].to_pylist(), strict=True))


def recommend_body(user_id: str, moment: datetime) -> bytes:
    return json.dumps({"user_id": user_id, "k": SLATE, "context": {"timestamp": moment.isoformat()}}).encode()


def ask(port: int, bodies: list[bytes]) -> Asked:
    """Send each body after the answer to the one before, on one connection.

    Raises:
        ServerFailed: an answer is not 200.
    """
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    answers: list[dict[str, Any]] = []
    milliseconds = np.zeros(len(bodies))
    try:
        connection.connect()
        for i, body in enumerate(bodies):
            started = time.perf_counter()
            reply = call_on(connection, "POST", "/recommend", body)
            milliseconds[i] = (time.perf_counter() - started) * 1_000
            if reply.status != http.client.OK:
                raise ServerFailed(f"POST /recommend must answer 200; got {reply.status}: {reply.body[:200]!r}")
            answers.append(reply.json())
    finally:
        connection.close()
    return Asked([a["request_id"] for a in answers], milliseconds, sum(bool(a["degraded"]) for a in answers))


def seconds_of_bare_imports() -> float:
    """Wall time of a fresh Python that imports the libraries and ends."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", BARE_IMPORTS], check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return time.perf_counter() - started


def median_candidates(workspace: Workspace, request_ids: list[str]) -> int:
    """How many candidates were ranked for a request in the middle, by the request log."""
    log = read_request_log(workspace, ["request_id", "candidates"])
    ours = log.filter(pc.is_in(log["request_id"], pa.array(request_ids, pa.string())))
    return int(np.median(pc.list_value_length(ours["candidates"]).to_numpy())) if ours.num_rows else 0

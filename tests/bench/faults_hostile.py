"""Thousands of requests that nobody should send: half made to measure, half from the service's own document."""

import http.client
from collections import Counter
from typing import Any

from described_requests import cases, status_of
from hostile import PATHS, Hostile, requests
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.failures import FailureGroup

from feature_repo.core.console import console
from serving.process import HOST, call, call_on

BATCH = 500  # more of one run are ever more alike
BROKEN_WORD = 500  # counted for an answer that the document does not allow
MOST_TOLD = 1_000  # characters of such an answer


def statuses(port: int, count: int) -> Counter[int]:
    """How often each status came; an answer against the service's own document counts as 500."""
    found: Counter[int] = Counter()
    document = call(port, "GET", "/openapi.json").json()
    of_each = -(-count // (2 * len(PATHS)))
    for path in PATHS:
        _repeat(of_each, cases(document, path), lambda case: found.update([_described(case, port)]))
    _repeat(count - count // 2, requests(), lambda request: found.update([_sent(request, port)]))
    return found


def _repeat(count: int, strategy: Any, ask: Any) -> None:
    for place in range(0, count, BATCH):
        size = min(BATCH, count - place)

        @settings(
            max_examples=size,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(value=strategy)
        def run(value: Any) -> None:
            ask(value)

        run()


def _described(case: Any, port: int) -> int:
    try:
        return status_of(case, port)
    except FailureGroup as broken:
        told = "; ".join(str(failure) for failure in broken.exceptions)
        console.print(f"faults: POST {case.path} {case.body!r}: {told}"[:MOST_TOLD], markup=False)
        return BROKEN_WORD


def _sent(request: Hostile, port: int) -> int:
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    try:
        status = call_on(connection, request.method, request.path, request.body).status
    finally:
        connection.close()
    if status >= BROKEN_WORD:
        console.print(f"faults: {request}: {status}"[:MOST_TOLD], markup=False)
    return status

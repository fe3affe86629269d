"""The HTTP interface as an ASGI app. It is mounted into the Bento, which adds /livez and /metrics.

A native Bento endpoint hops to a worker thread and back for each request; a mounted app does not, and answers
twice as many requests a second.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from serving.bucket import BUCKET_HEADER
from serving.events import parse_events
from serving.graph.preferences import PreferencesNotStored
from serving.http import RecommendQuery, parse_preferences, parse_recommend, parse_similar, to_json
from serving.inbox import EventsNotStored
from serving.openapi import openapi
from serving.page import page_routes
from serving.rules import BadRequest
from serving.runtime import Runtime

logger = logging.getLogger("serving.app")

RETRY_AFTER_SECONDS = 5


def create_app(open_runtime: Callable[[], Runtime]) -> Starlette:
    """The app; when a server starts it calls `open_runtime`, unless `app.state.runtime` was set before."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.runtime = app.state.runtime or open_runtime()
        try:
            yield
        finally:
            runtime, app.state.runtime = app.state.runtime, None
            # Off the event loop, since the log's last file is written here.
            await run_in_threadpool(runtime.close)

    app = Starlette(
        routes=[
            Route("/recommend", recommend, methods=["POST"]),
            Route("/events", events, methods=["POST"]),
            Route("/similar", similar, methods=["POST"]),
            Route("/preferences", preferences, methods=["POST"]),
            Route("/readyz", readyz, methods=["GET"]),
            Route("/openapi.json", described, methods=["GET"]),
            *page_routes(),
        ],
        exception_handlers={BadRequest: refuse, EventsNotStored: events_again, PreferencesNotStored: ask_again},
        lifespan=lifespan,
    )
    app.state.runtime = None
    return app


async def recommend(request: Request) -> Response:
    """POST /recommend: 200 with a slate whatever is down, 400 for what breaks a rule."""
    runtime: Runtime = request.app.state.runtime
    started = time.perf_counter()
    try:
        body = await read_body(request, runtime.settings.max_body_bytes)
        query = parse_recommend(body, runtime.settings, buckets=request.headers.getlist(BUCKET_HEADER))
    except BadRequest as error:
        runtime.metrics.requests.labels("400").inc()
        return await refuse(request, error)
    response = json_response(to_json(await _recommend(runtime, query, started)))
    response.background = BackgroundTask(_answered, runtime, time.perf_counter() - started)
    return response


async def _answered(runtime: Runtime, seconds: float) -> None:
    """Write down an answer that took so long, and do what it left to be done."""
    await asyncio.sleep(0)  # it goes out when the event loop has its turn
    runtime.metrics.duration.observe(seconds)
    runtime.metrics.requests.labels("200").inc()
    runtime.later.run()


# Whatever happens in it is an answer, so it needs none of what is around a route.
STRAIGHT = {("POST", "/recommend"): recommend}


async def _recommend(runtime: Runtime, query: RecommendQuery, started: float) -> dict[str, Any]:
    # On the event loop on purpose. The graph is a few milliseconds of work that holds the interpreter lock: in a
    # thread it would not run beside another request, it would only pay for two hand-overs. Only the read of the
    # store is waited for elsewhere, since a store may hang.
    try:
        return await runtime.recommend_async(query, now=datetime.now(UTC), started=started)
    except Exception:  # the outermost loop: a user gets an answer, the log gets the traceback
        logger.exception("recommend_failed")
        return runtime.failed(bucket=query.bucket)


async def similar(request: Request) -> Response:
    """POST /similar: items like one item; popular items for an unknown one."""
    runtime: Runtime = request.app.state.runtime
    query = parse_similar(await read_body(request, runtime.settings.max_body_bytes), runtime.settings)
    return json_response(to_json(runtime.similar(query)))


async def events(request: Request) -> Response:
    """POST /events: 202 once the batch is durable, else 503."""
    runtime: Runtime = request.app.state.runtime
    batch = parse_events(await read_body(request, runtime.settings.max_body_bytes), runtime.settings)
    # In a thread: a sync to disk takes milliseconds in which the interpreter is free.
    receipt = await run_in_threadpool(runtime.inbox.receive, batch)
    runtime.metrics.events.labels("accepted").inc(receipt.accepted)
    runtime.metrics.events.labels("duplicate").inc(receipt.duplicates)
    body = to_json({"accepted": receipt.accepted, "duplicates": receipt.duplicates})
    return json_response(body, status=202)


async def preferences(request: Request) -> Response:
    """POST /preferences: what a new user declares to like; 200 once it is durable, else 503."""
    runtime: Runtime = request.app.state.runtime
    query = parse_preferences(await read_body(request, runtime.settings.max_body_bytes), runtime.settings)
    return json_response(to_json(await run_in_threadpool(runtime.declare, query)))


async def readyz(request: Request) -> Response:
    """GET /readyz: which version this process serves, or 503 while it can serve nothing."""
    runtime: Runtime | None = request.app.state.runtime
    if runtime is None:
        return json_response(to_json({"ready": False}), status=503)
    if reason := runtime.not_ready():
        return json_response(to_json({"ready": False, "reason": reason}), status=503)
    served = {"ready": True, "model_version": runtime.settings.version, "variant": runtime.settings.variant}
    return json_response(to_json(served))


async def described(request: Request) -> Response:
    """GET /openapi.json: what the other paths take and give."""
    return json_response(to_json(openapi(request.app.state.runtime.settings)))


async def read_body(request: Request, limit: int) -> bytes:
    """The body, read no further than its limit.

    Raises:
        BadRequest: it is longer, or the connection ends within it.
    """
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise BadRequest(f"the body must have at most {limit} bytes; got more")
    except ClientDisconnect:
        raise BadRequest(f"the body must be complete; the connection ended after {len(body)} bytes") from None
    return bytes(body)


def json_response(body: bytes, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(body, status_code=status, media_type="application/json", headers=headers)


async def refuse(_: Request, error: Exception) -> Response:
    return json_response(to_json({"error": str(error)}), status=400)


async def events_again(request: Request, error: Exception) -> Response:
    runtime: Runtime = request.app.state.runtime
    runtime.metrics.events.labels("not_stored").inc()
    return await ask_again(request, error)


async def ask_again(_: Request, error: Exception) -> Response:
    logger.error("not_stored error=%s", error)
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return json_response(to_json({"error": str(error)}), status=503, headers=headers)

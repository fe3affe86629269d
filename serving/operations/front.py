"""The first thing a request meets: an ASGI app before Bento's, which sends our paths straight to our own app.

Bento's middlewares cost more than everything else around an answer, and what they do (metrics by path, spans, a time
limit by cancelling) is done here in microseconds or by the stages themselves. Bento keeps /livez and what it adds.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from serving.http import to_json
from serving.operations.guard import Guard, Refusal, guard_of
from serving.operations.traces import Traces, open_traces

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Endpoint = Callable[[Request], Awaitable[Response]]

# Where there is a front before Bento's middlewares, the one among them has nothing left to do.
_PASSED = "serving.front"


class Front:
    """Guards, counts and routes requests. `ours.state.runtime` is None until the process can answer.

    `ours.state.draining`, once true, makes the process unready and closes each connection after its answer. `straight`
    are endpoints of `ours` by method and path that raise nothing: they are called without the layers around a route,
    which took 0.1 ms of a request.
    """

    def __init__(
        self, app: App, *, ours: Starlette, straight: Mapping[tuple[str, str], Endpoint] | None = None
    ) -> None:
        self._bentos = app
        self._ours = ours
        self._straight = {place: app_of(endpoint, ours) for place, endpoint in (straight or {}).items()}
        self._paths = frozenset(str(route.path) for route in ours.routes if hasattr(route, "path"))
        self._runtime: Any = None
        self._guard = Guard()
        self._traces: Traces | None = None
        self.in_flight = 0
        ours.state.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _PASSED in scope:
            await self._bentos(scope, receive, send)
            return
        if self._runtime is not self._ours.state.runtime:
            self.open()
        if self._ours.state.draining:
            send = closing(send)
        await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path == "/metrics":
            await respond(send, 200, generate_latest(REGISTRY), ("content-type", CONTENT_TYPE_LATEST))
        elif path == "/readyz" and self._ours.state.draining:
            await respond_json(send, 503, {"ready": False, "draining": True})
        elif (refusal := self._refusal(path, scope)) is not None:
            self._runtime.metrics.refused.labels(refusal.reason).inc()
            await respond_json(send, refusal.status, {"error": refusal.sentence}, refusal.header)
        else:
            scope[_PASSED] = True
            self.in_flight += 1
            try:
                await self._pass_on(self._app_at(scope["method"], path), scope, receive, send)
            finally:
                self.in_flight -= 1

    def _app_at(self, method: str, path: str) -> App:
        return self._straight.get((method, path)) or (self._ours if path in self._paths else self._bentos)

    async def _pass_on(self, app: App, scope: Scope, receive: Receive, send: Send) -> None:
        if self._traces is None:
            await app(scope, receive, send)
        else:
            await self._traces.request(app, scope, receive, send)

    def _refusal(self, path: str, scope: Scope) -> Refusal | None:
        if self._guard.open:
            return None
        address = (scope.get("client") or ("",))[0]
        return self._guard.refusal(path, scope["headers"], address, now=time.monotonic())

    def open(self) -> None:
        """Become what the settings of the runtime say; it happens by itself with the first request to a new one.

        Raises:
            TracesRefused: SERVE_TRACES names no place that spans can be sent to.
        """
        if self._traces is not None:
            self._traces.close()
        self._runtime, self._guard, self._traces = self._ours.state.runtime, Guard(), None
        if self._runtime is not None:
            settings = self._runtime.settings
            self._guard, self._traces = guard_of(settings), open_traces(settings)
            self._runtime.metrics.in_flight.set_function(lambda: self.in_flight)


def app_of(endpoint: Endpoint, ours: Starlette) -> App:
    """An endpoint of `ours` as an app of its own."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = ours
        response = await endpoint(Request(scope, receive))
        await response(scope, receive, send)

    return app


def closing(send: Send) -> Send:
    """`send` that tells the client to use another connection for its next request."""

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
        await send(message)

    return wrapped


async def respond_json(send: Send, status: int, value: object, *headers: tuple[str, str]) -> None:
    await respond(send, status, to_json(value), ("content-type", "application/json"), *headers)


async def respond(send: Send, status: int, body: bytes, *headers: tuple[str, str]) -> None:
    named = [(name.encode(), value.encode()) for name, value in headers]
    named.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": named})
    await send({"type": "http.response.body", "body": body})

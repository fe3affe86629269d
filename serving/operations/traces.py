"""OpenTelemetry traces: off unless SERVE_TRACES says where to. Nothing of them is imported while they are off.

A span for each request, a child of its caller's where a `traceparent` header says so, and below it one for each stage.
The stages are timed anyhow, so a span is made of a stage after it has ended, and costs nothing where there is no trace.
"""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from serving.operations.exporters import span_exporter
from serving.settings import ServingSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

Scope = MutableMapping[str, Any]

_CURRENT: "ContextVar[Traces | None]" = ContextVar("traces", default=None)


def stage_ended(name: str, seconds: float, *, failed: bool = False) -> None:
    """Say that a stage of the current request ended now and took `seconds`; without a trace nothing happens."""
    traces = _CURRENT.get()
    if traces is not None:
        traces.stage(name, seconds, failed=failed)


class Traces:
    """Spans of one process; `exporter` takes them, in a thread of its own."""

    def __init__(self, exporter: "SpanExporter", *, version: str, variant: str, share: float) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
        from opentelemetry.trace import SpanKind, Status, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        resource = Resource.create(
            {"service.name": "recommender", "service.version": version, "deployment.environment.name": variant}
        )
        # No process-wide provider: Bento has one of its own.
        self._provider = TracerProvider(resource=resource, sampler=ParentBasedTraceIdRatio(share))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("serving")
        self._extract = TraceContextTextMapPropagator().extract
        self._server, self._error = SpanKind.SERVER, Status(StatusCode.ERROR)

    async def request(self, app: Callable[..., Awaitable[None]], scope: Scope, receive: Any, send: Any) -> None:
        """Run `app` inside a span of the request."""
        caller = self._extract({name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]})
        attributes = {"http.request.method": scope["method"], "url.path": scope["path"]}
        name = f"{scope['method']} {scope['path']}"
        token = _CURRENT.set(self)
        try:
            with self._tracer.start_as_current_span(
                name, context=caller, kind=self._server, attributes=attributes
            ) as span:

                async def noted(message: MutableMapping[str, Any]) -> None:
                    if message["type"] == "http.response.start":
                        span.set_attribute("http.response.status_code", message["status"])
                    await send(message)

                await app(scope, receive, noted)
        finally:
            _CURRENT.reset(token)

    def stage(self, name: str, seconds: float, *, failed: bool) -> None:
        """A finished span of `seconds` that ends now, below the current request's."""
        ended = time.time_ns()
        span = self._tracer.start_span(name, start_time=ended - int(seconds * 1e9))
        if failed:
            span.set_status(self._error)
        span.end(ended)

    def close(self) -> None:
        """Send what is waiting."""
        self._provider.shutdown()


def open_traces(settings: ServingSettings) -> Traces | None:
    """The traces that SERVE_TRACES asks for; None when it asks for none.

    Raises:
        TracesRefused: it names neither a file nor an OTLP endpoint, or the exporter is not installed.
    """
    if settings.traces is None:
        return None
    exporter = span_exporter(settings.traces)
    return Traces(exporter, version=settings.version, variant=settings.variant, share=settings.traces_share)

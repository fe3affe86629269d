"""Where spans go: a file of JSON lines, or an OTLP endpoint."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from feature_repo.core.errors import RecommenderError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult


class TracesRefused(RecommenderError):
    """SERVE_TRACES names no place that traces can be sent to."""


def span_exporter(target: str) -> "SpanExporter":
    """What sends spans to `target`, the value of SERVE_TRACES.

    Raises:
        TracesRefused: it names neither a file nor an OTLP endpoint, or the exporter is not installed.
    """
    kind, _, rest = target.partition("://")
    if kind == "file" and rest.startswith("/"):
        return _file_exporter(rest)
    if kind in ("http", "https") and rest:
        return _otlp_exporter(target)
    raise TracesRefused(f"SERVE_TRACES must be file:///PATH or the http(s) address of an OTLP endpoint; got {target!r}")


def _file_exporter(path: str) -> "SpanExporter":
    try:
        # It stays open for as long as the process does.
        file = open(path, "a", encoding="utf-8")  # noqa: PTH123, SIM115
    except OSError as error:
        raise TracesRefused(f"SERVE_TRACES must name a file that can be written; got {path} ({error})") from None
    exporter: SpanExporter = FileSpans(file)  # type: ignore[assignment]
    return exporter


class FileSpans:
    """One span a line, in OpenTelemetry's own JSON. A `SpanExporter` by its methods: its base is not imported here."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def export(self, spans: "Sequence[ReadableSpan]") -> "SpanExportResult":
        from opentelemetry.sdk.trace.export import SpanExportResult

        self._file.writelines(f"{span.to_json(indent=None)}\n" for span in spans)
        self._file.flush()
        return SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 0) -> bool:  # noqa: ARG002 - every export is flushed
        return True

    def shutdown(self) -> None:
        self._file.close()


def _otlp_exporter(endpoint: str) -> "SpanExporter":
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        raise TracesRefused(
            "SERVE_TRACES with an OTLP endpoint needs the package opentelemetry-exporter-otlp-proto-http; "
            "it is not installed: pip install '.[traces]'"
        ) from None
    exporter: SpanExporter = OTLPSpanExporter(endpoint=endpoint)
    return exporter

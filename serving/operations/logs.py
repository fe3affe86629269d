"""Log lines as JSON, one object a line with one schema: `at`, `level`, `logger`, `event`, and the event's own fields.

Calls look like `logger.info("opened version=%s", version)`: the first word names the event, the rest its fields. So a
line is read by a person as it stands, and by a machine without a pattern of its own.
"""

import logging
import re
from datetime import UTC, datetime
from typing import Any, Literal

from pythonjsonlogger.orjson import OrjsonFormatter

# Who somebody is must not be found in a log that leaves the machine.
HIDDEN_FIELDS = frozenset({"user_id", "api_key", "session", "history"})
HIDDEN = "hidden"
_FIELD = re.compile(r"(?P<name>[a-z_0-9]+)=%[-+ #0-9.]*[a-z]")
_PLACEHOLDER = re.compile(r"%[-+ #0-9.]*[a-z]")
# What these say about themselves adds nothing to our lines.
QUIET = ("bentoml", "uvicorn", "opentelemetry", "httpx", "feast")

LogFormat = Literal["json", "text"]


class EventFormatter(OrjsonFormatter):
    """`extra` is put into every line, as version and variant are."""

    def __init__(self, extra: dict[str, str]) -> None:
        super().__init__(rename_fields={"exc_info": "traceback"}, static_fields=extra)

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        log_data["at"] = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        log_data |= {"level": record.levelname.lower(), "logger": record.name}
        log_data |= event_of(record)
        super().add_fields(log_data, record, message_dict)
        log_data.pop("message", None)


def event_of(record: logging.LogRecord) -> dict[str, Any]:
    """The event's name and fields, without who it was about. Of a call that is not written as ours are: its text."""
    template, names = str(record.msg), _FIELD.findall(str(record.msg))
    arguments = record.args if isinstance(record.args, tuple) else ()
    if len(names) != len(arguments) or len(_PLACEHOLDER.findall(template)) != len(arguments):
        return {"event": "message", "text": record.getMessage()}
    fields = {name: _plain(value) for name, value in zip(names, arguments, strict=True)}
    return {"event": template.split(" ", 1)[0]} | {n: HIDDEN if n in HIDDEN_FIELDS else v for n, v in fields.items()}


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else str(value)


class QuietText(logging.Formatter):
    """The same events as text, for a person at a terminal; who it was about is hidden there, too."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        fields = event_of(record)
        if fields["event"] != "message":
            shown = " ".join(f"{name}={value}" for name, value in fields.items() if name != "event")
            record.message = f"{fields['event']} {shown}".rstrip()
        return super().formatMessage(record)


def log_to_stderr(log_format: LogFormat = "json", **extra: str) -> None:
    """One line for each event, on stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(EventFormatter(extra) if log_format == "json" else QuietText())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)

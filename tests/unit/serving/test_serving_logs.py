import json
import logging
from collections.abc import Iterator

import pytest

from serving.operations.logs import QUIET, EventFormatter, QuietText, log_to_stderr


def record(message: str, *arguments: object, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("serving.test", level, "f.py", 1, message, arguments, None)


def line(of: logging.LogRecord) -> dict[str, object]:
    formatted: dict[str, object] = json.loads(EventFormatter({"version": "7", "variant": "canary"}).format(of))
    return formatted


def test_an_event_and_its_fields_come_from_the_call_as_it_is_written() -> None:
    found = line(record("item_table_loaded items=%d seconds=%.3f file=%s", 40, 0.25, "a b"))

    assert str(found.pop("at")).endswith("+00:00")
    assert found == {
        "level": "info",
        "logger": "serving.test",
        "event": "item_table_loaded",
        "items": 40,
        "seconds": 0.25,
        "file": "a b",
        "version": "7",
        "variant": "canary",
    }


def test_who_it_was_about_is_hidden_in_both_formats() -> None:
    about = record("recommend_failed user_id=%r", "alice", level=logging.ERROR)

    assert line(about)["user_id"] == "hidden"
    assert "alice" not in QuietText().format(about)
    assert "recommend_failed user_id=hidden" in QuietText().format(about)


def test_what_was_not_written_as_an_event_is_a_message() -> None:
    assert line(record("Something %s happened", "odd"))["text"] == "Something odd happened"
    assert line(record("100% done"))["text"] == "100% done"
    assert line(record("a=%s b", "x"))["event"] == "a=%s"


def test_an_error_keeps_its_traceback_on_the_same_line() -> None:
    about = record("failed")
    try:
        raise ZeroDivisionError("a bug")
    except ZeroDivisionError as error:
        about.exc_info = (type(error), error, error.__traceback__)

    text = EventFormatter({}).format(about)

    assert "\n" not in text
    assert "ZeroDivisionError: a bug" in json.loads(text)["traceback"]


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger and the quiet ones, put back as they were."""
    root = logging.getLogger()
    handlers, level, quiet = root.handlers[:], root.level, {n: logging.getLogger(n).level for n in QUIET}
    root.handlers = []
    yield root
    root.handlers, root.level = handlers, level
    for name, before in quiet.items():
        logging.getLogger(name).setLevel(before)


@pytest.mark.usefixtures("root")
def test_lines_go_to_stderr_and_libraries_are_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("json", version="7")

    logging.getLogger("serving.test").info("opened parts=%d", 3)
    logging.getLogger("uvicorn.error").info("Started")

    lines = capsys.readouterr().err.splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["opened"]
    assert json.loads(lines[0])["version"] == "7"

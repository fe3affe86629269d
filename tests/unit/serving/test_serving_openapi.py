"""The document says of a moment what the parsers say."""

import json
from pathlib import Path

import jsonschema_rs
import pytest

from serving.events import parse_events
from serving.http import parse_recommend
from serving.openapi import openapi
from serving.rules import BadRequest
from serving.settings import ServingSettings

SETTINGS = ServingSettings(version="1", bundle=Path("bundle"))


def allowed(path: str, body: object) -> bool:
    taken = openapi(SETTINGS)["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return jsonschema_rs.validator_for(taken, validate_formats=True).is_valid(body)


def test_the_context_of_a_request_holds_its_moment() -> None:
    body = {"user_id": "u", "context": {"timestamp": "noon"}}

    assert not allowed("/recommend", body)
    with pytest.raises(BadRequest, match=r"context\.timestamp must be a time"):
        parse_recommend(json.dumps(body).encode(), SETTINGS)


def test_the_context_of_an_event_holds_any_texts_since_its_moment_stands_beside_it() -> None:
    event = {"user_id": "u", "item_id": "i", "timestamp": "2026-01-01T00:00:00Z", "event_type": "view"}
    events = [{**event, "context": {"timestamp": "noon"}}]

    assert allowed("/events", events)
    (parsed,) = parse_events(json.dumps(events).encode(), SETTINGS)
    assert parsed.context == {"timestamp": "noon"}
    assert not allowed("/events", [{**event, "timestamp": "noon"}])

"""What the HTTP interface takes and gives, as an OpenAPI 3.1 document with the limits that this process was told."""

from typing import Any

from feature_repo.core.assignment import BUCKETS
from serving.bucket import BUCKET_HEADER
from serving.events import MAX_POSITION
from serving.http import DEFAULT_K
from serving.rules import MAX_CONTEXT_FIELDS, MAX_ID_CHARACTERS
from serving.settings import ServingSettings

Schema = dict[str, Any]

ID: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_ID_CHARACTERS, "pattern": r"\S"}
TEXT: Schema = {"type": "string", "maxLength": MAX_ID_CHARACTERS}
MOMENT: Schema = {"type": "string", "format": "date-time"}
CONTEXT: Schema = {
    "type": "object",
    "maxProperties": MAX_CONTEXT_FIELDS,
    "additionalProperties": TEXT,
}
# A request's moment is read from it; an event says its own beside its context.
ASKED_CONTEXT: Schema = {**CONTEXT, "properties": {"timestamp": MOMENT}}
COUNT: Schema = {"type": "integer", "minimum": 0}
RANKED: Schema = {
    "type": "object",
    "required": ["item_id", "score", "rank", "source", "propensity"],
    "properties": {
        "item_id": TEXT,
        "score": {"type": "number"},
        "rank": {"type": "integer", "minimum": 1},
        "source": TEXT,
        "propensity": {"type": "number", "minimum": 0, "maximum": 1},
        "reason": {"type": "string"},
    },
}
BUCKET: Schema = {
    "name": BUCKET_HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "integer", "minimum": 0, "maximum": BUCKETS - 1},
}


def openapi(settings: ServingSettings) -> Schema:
    """The document of a process with these settings."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "recommender", "version": settings.version},
        "paths": {
            "/recommend": {
                "post": _operation("A slate for a user", _recommend(settings), {200: _slate()})
                | {"parameters": [BUCKET]}
            },
            "/events": {
                "post": _operation("Events to keep", _events(settings), {202: _counts("accepted", "duplicates")})
            },
            "/similar": {"post": _operation("Items like one", _similar(settings), {200: _items("model_version")})},
            "/preferences": {
                "post": _operation(
                    "What a new user likes", _preferences(settings), {200: _counts("items", "attributes")}
                )
            },
        },
    }


def _operation(summary: str, body: Schema, answers: dict[int, Schema]) -> Schema:
    error = _object(["error"], {"error": {"type": "string"}})
    refused = {400: "a rule is broken", 401: "a key is missing", 429: "too many requests", 503: "not at present"}
    responses = {str(code): _content("an answer", schema) for code, schema in answers.items()}
    responses |= {str(code): _content(words, error) for code, words in refused.items()}
    taken = {"required": True, "content": {"application/json": {"schema": body}}}
    return {"summary": summary, "requestBody": taken, "responses": responses}


def _content(words: str, schema: Schema) -> Schema:
    return {"description": words, "content": {"application/json": {"schema": schema}}}


def _object(required: list[str], properties: Schema, *, closed: bool = False) -> Schema:
    found: Schema = {"type": "object", "required": required, "properties": properties}
    return {**found, "additionalProperties": False} if closed else found


def _list(of: Schema, most: int, least: int = 0) -> Schema:
    return {"type": "array", "items": of, "minItems": least, "maxItems": most}


def _k(settings: ServingSettings) -> Schema:
    return {"type": "integer", "minimum": 1, "maximum": settings.max_k, "default": min(DEFAULT_K, settings.max_k)}


def _recommend(settings: ServingSettings) -> Schema:
    fields = {
        "user_id": ID,
        "k": _k(settings),
        "context": ASKED_CONTEXT,
        "exclude": _list(ID, settings.max_exclude),
        "session": _list(ID, settings.max_session),
        "explain": {"type": "boolean"},
    }
    return _object(["user_id"], fields, closed=True)


def _similar(settings: ServingSettings) -> Schema:
    return _object(["item_id"], {"item_id": ID, "k": _k(settings)}, closed=True)


def _preferences(settings: ServingSettings) -> Schema:
    most = settings.max_preferences
    liked = {"anyOf": [TEXT, _list(TEXT, most)]}
    attributes = {"type": "object", "maxProperties": most, "propertyNames": TEXT, "additionalProperties": liked}
    fields = {"user_id": ID, "items": _list(ID, most), "attributes": attributes}
    return _object(["user_id"], fields, closed=True)


def _events(settings: ServingSettings) -> Schema:
    nullable: Schema = {
        "event_id": ID,
        "value": {"type": "number"},
        "request_id": ID,
        "position": {"type": "integer", "minimum": 0, "maximum": MAX_POSITION},
        "consent": {"type": "boolean"},
    }
    optional = {name: {**of, "type": [of["type"], "null"]} for name, of in nullable.items()} | {"context": CONTEXT}
    required = {"user_id": ID, "item_id": ID, "timestamp": MOMENT, "event_type": ID}
    event = _object([*required], {**required, **optional}, closed=True)
    batch = _list(event, settings.max_events, least=1)
    return {"anyOf": [batch, _object(["events"], {"events": batch}, closed=True)]}


def _slate() -> Schema:
    texts = {"request_id": TEXT, "variant": TEXT}
    rest: Schema = {"bucket": {"type": ["integer", "null"]}, "degraded": {"type": "array", "items": TEXT}}
    slate = _items("model_version")
    return _object([*slate["required"], *texts, *rest], {**slate["properties"], **texts, **rest})


def _items(name: str) -> Schema:
    return _object(["items", name], {"items": {"type": "array", "items": RANKED}, name: TEXT})


def _counts(*names: str) -> Schema:
    return _object([*names], dict.fromkeys(names, COUNT))

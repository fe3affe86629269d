"""The bodies of POST /recommend, /similar and /preferences as values, and answers as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from serving.bucket import parse_bucket
from serving.graph.preferences import Preferences
from serving.rules import (
    ID,
    OBJECT,
    TEXT,
    TRUTH,
    Fields,
    list_of,
    parse_context,
    parse_json,
    parse_moment,
    whole_number,
)
from serving.settings import ServingSettings

DEFAULT_K = 10
_RECOMMEND_FIELDS = frozenset({"user_id", "k", "context", "exclude", "session", "explain"})
_SIMILAR_FIELDS = frozenset({"item_id", "k"})
_PREFERENCES_FIELDS = frozenset({"user_id", "items", "attributes"})


@dataclass(frozen=True)
class RecommendQuery:
    """A valid body of POST /recommend. `moment` is None when the request is about now; `explain` asks for reasons."""

    user_id: str
    k: int
    moment: datetime | None
    context: Mapping[str, str]
    exclude: frozenset[str]
    session: tuple[str, ...]
    explain: bool = False
    bucket: int | None = None  # of the user, where the caller sent one; see serving/bucket.py


@dataclass(frozen=True)
class SimilarQuery:
    """A valid body of POST /similar."""

    item_id: str
    k: int


@dataclass(frozen=True)
class PreferencesQuery:
    """A valid body of POST /preferences."""

    user_id: str
    preferences: Preferences


def parse_recommend(body: bytes, settings: ServingSettings, *, buckets: Sequence[str] = ()) -> RecommendQuery:
    """The query in a body of POST /recommend; `buckets` are the values of its header BUCKET_HEADER.

    Raises:
        BadRequest: the body breaks a rule.
    """
    fields = _fields(body, _RECOMMEND_FIELDS)
    context = parse_context("context", fields.values.get("context", {}))
    timestamp = context.pop("timestamp", None)
    return RecommendQuery(
        user_id=fields.required("user_id", ID),
        k=_parse_k(fields, settings),
        moment=None if timestamp is None else parse_moment("context.timestamp", timestamp),
        context=context,
        exclude=frozenset(_parse_ids(fields, "exclude", settings.max_exclude)),
        session=tuple(_parse_ids(fields, "session", settings.max_session)),
        explain=bool(TRUTH.check("explain", fields.values.get("explain", False))),
        bucket=parse_bucket(buckets),
    )


def parse_similar(body: bytes, settings: ServingSettings) -> SimilarQuery:
    """The query in a body of POST /similar.

    Raises:
        BadRequest: the body breaks a rule.
    """
    fields = _fields(body, _SIMILAR_FIELDS)
    return SimilarQuery(item_id=fields.required("item_id", ID), k=_parse_k(fields, settings))


def parse_preferences(body: bytes, settings: ServingSettings) -> PreferencesQuery:
    """The declaration in a body of POST /preferences; without items and attributes it takes back an earlier one.

    Raises:
        BadRequest: the body breaks a rule.
    """
    fields, most = _fields(body, _PREFERENCES_FIELDS), settings.max_preferences
    attributes = OBJECT.check("attributes", fields.values.get("attributes", {}))
    list_of("attributes", first=0, last=most).check("attributes", list(attributes))
    liked = {}
    for name, values in attributes.items():
        TEXT.check("a field's name in attributes", name)
        place = f"attributes.{name}"
        given = list_of("values", first=0, last=most).check(place, values if isinstance(values, list) else [values])
        liked[name] = tuple(TEXT.check(f"{place}[{i}]", value) for i, value in enumerate(given))
    items = tuple(dict.fromkeys(_parse_ids(fields, "items", most)))
    return PreferencesQuery(fields.required("user_id", ID), Preferences(items, liked))


def _fields(body: bytes, known: frozenset[str]) -> Fields:
    fields = Fields(OBJECT.check("the body", parse_json(body)))
    fields.refuse_unknown(known)
    return fields


def _parse_k(fields: Fields, settings: ServingSettings) -> int:
    default = min(DEFAULT_K, settings.max_k)
    return int(whole_number(1, settings.max_k).check("k", fields.values.get("k", default)))


def _parse_ids(fields: Fields, name: str, limit: int) -> list[str]:
    ids = list_of("ids", first=0, last=limit).check(name, fields.values.get(name, []))
    return [ID.check(f"{name}[{i}]", value) for i, value in enumerate(ids)]


def to_json(value: Any) -> bytes:
    return orjson.dumps(value, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)


def _plain(value: Any) -> Any:
    # Feature rows hold more than JSON's types: arrays of objects, and numpy's scalars.
    return value.tolist() if hasattr(value, "tolist") else str(value)

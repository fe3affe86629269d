"""Requests that nobody should send: any bytes, any JSON, and bodies that are nearly right, as hypothesis strategies."""

from dataclasses import dataclass
from typing import Any

import orjson
from hypothesis import strategies as st

PATHS = ("/recommend", "/events", "/similar", "/preferences")
NASTY = (
    *("", " ", "\x00", "\u202e", "\ufeff", "🦊" * 300, "a" * 513, "'; DROP TABLE users; --", "../../etc/passwd", "%00"),
    *("NaN", "null", "-0", "1e999", "{}", "u1", "i1", "warm-up", "\r\nX-Injected: 1"),
)
MOMENTS = (
    *("1998-07-25T00:00:00Z", "9999-12-31T23:59:59+14:00", "0001-01-01T00:00:00-14:00", "1970-01-01T00:00:00Z"),
    *("2199-12-31T23:59:59.999999Z", "2016-12-31T23:59:60Z", "2024-02-30T00:00:00Z", "1998-07-25", "24:00", "W"),
)
WHOLE = st.one_of(st.integers(-(2**63), 2**64 - 1), st.sampled_from((0, 1, -1, 100, 101, 2**31, 2**53)))


@dataclass(frozen=True)
class Hostile:
    """One request."""

    method: str
    path: str
    body: bytes


def texts() -> st.SearchStrategy[str]:
    # Half of a surrogate pair cannot be sent as UTF-8; as bytes it comes with the raw bodies.
    return st.one_of(st.sampled_from(NASTY), st.text(st.characters(exclude_categories=["Cs"]), max_size=40))


def values() -> st.SearchStrategy[Any]:
    simple = st.one_of(st.none(), st.booleans(), WHOLE, st.floats(), texts(), st.sampled_from(MOMENTS))
    return st.recursive(
        simple, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts(), inner, max_size=5), max_leaves=12
    )


def _field(right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly right, else anything at all."""
    return st.one_of(right, right, right, values())


def _ids() -> st.SearchStrategy[Any]:
    known = st.integers(0, 60).map(lambda n: f"i{n}")
    return st.lists(st.one_of(known, texts()), max_size=30)


def _context() -> st.SearchStrategy[Any]:
    moment = st.one_of(st.sampled_from(MOMENTS), st.datetimes().map(lambda at: f"{at.isoformat()}Z"))
    return st.one_of(st.fixed_dictionaries({}, optional={"timestamp": moment}), st.dictionaries(texts(), texts()))


def bodies_of(path: str) -> st.SearchStrategy[Any]:
    """JSON that is nearly what `path` takes."""
    user = _field(st.one_of(st.integers(0, 30).map(lambda n: f"u{n}"), texts()))
    item = _field(st.one_of(st.integers(0, 60).map(lambda n: f"i{n}"), texts()))
    k, ids, context = _field(st.integers(0, 101)), _field(_ids()), _field(_context())
    if path == "/recommend":
        optional = {"k": k, "context": context, "exclude": ids, "session": ids, "explain": _field(st.booleans())}
        return st.fixed_dictionaries({"user_id": user}, optional=optional)
    if path == "/similar":
        return st.fixed_dictionaries({"item_id": item}, optional={"k": k})
    if path == "/preferences":
        liked = st.dictionaries(texts(), st.one_of(texts(), st.lists(texts(), max_size=4)), max_size=4)
        return st.fixed_dictionaries({"user_id": user}, optional={"items": ids, "attributes": _field(liked)})
    event = st.fixed_dictionaries(
        {
            "user_id": user,
            "item_id": item,
            "timestamp": _field(st.sampled_from(MOMENTS)),
            "event_type": _field(st.one_of(st.sampled_from(("view", "hide", "dislike")), texts())),
        },
        optional={
            "event_id": _field(texts()),
            "value": _field(st.floats()),
            "request_id": _field(texts()),
            "position": _field(st.integers(-1, 1_000_001)),
            "consent": _field(st.booleans()),
            "context": context,
        },
    )
    return st.one_of(st.lists(event, max_size=4), st.lists(event, max_size=4).map(lambda e: {"events": e}), values())


def _encoded(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # a whole number of more than 64 bits
        return repr(value).encode("utf-8", "surrogatepass")


def requests() -> st.SearchStrategy[Hostile]:
    """Nearly right bodies most of the time; else any JSON, any bytes, or another method."""
    nearly = [st.builds(Hostile, st.just("POST"), st.just(path), bodies_of(path).map(_encoded)) for path in PATHS]
    raw = st.one_of(values().map(_encoded), st.binary(max_size=200))
    anything = st.builds(Hostile, st.just("POST"), st.sampled_from(PATHS), raw)
    methods = st.sampled_from(("GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"))
    return st.one_of(*nearly, *nearly, anything, st.builds(Hostile, methods, st.sampled_from(PATHS), raw))

"""Rules about values that arrive as JSON. Every refusal says the rule and what arrived."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

import orjson

from feature_repo.core.errors import RecommenderError

MAX_ID_CHARACTERS = 512
MAX_CONTEXT_FIELDS = 32
# Feature times are 64-bit counts, in nanoseconds somewhere below us; other years overflow them.
FIRST_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MOMENT = datetime(2200, 1, 1, tzinfo=UTC)


class BadRequest(RecommenderError):
    """What arrived breaks a rule of the interface; answered with 400 and this sentence."""


@dataclass(frozen=True)
class Rule:
    """One rule about a value: its words, and its test."""

    words: str
    holds: Callable[[Any], bool] = field(repr=False)

    def check(self, name: str, value: Any) -> Any:
        if not self.holds(value):
            raise BadRequest(f"{name} must be {self.words}; got {shown(value)}")
        return value


@dataclass(frozen=True)
class Fields:
    """The fields of one JSON object, and how sentences name the place it stands in."""

    values: Mapping[str, Any]
    place: str = "the body"
    prefix: str = ""

    def name(self, key: str) -> str:
        return f"{self.prefix}{key}"

    def required(self, key: str, rule: Rule) -> Any:
        return rule.check(self.name(key), self.values.get(key))

    def optional(self, key: str, rule: Rule) -> Any:
        """None when the field is absent or null."""
        return None if self.values.get(key) is None else self.required(key, rule)

    def refuse_unknown(self, known: frozenset[str]) -> None:
        unknown = sorted(set(self.values) - known)
        if unknown:
            may_have = ", ".join(sorted(known))
            raise BadRequest(f"{self.place} may have the fields {may_have}; got {shown(unknown[0])}")


def is_integer(value: Any) -> bool:
    # bool is an int in Python; in JSON it is not a number.
    return isinstance(value, int) and not isinstance(value, bool)


def is_id(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and len(value) <= MAX_ID_CHARACTERS


def is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_ID_CHARACTERS


def is_finite(value: Any) -> bool:
    return (is_integer(value) or isinstance(value, float)) and math.isfinite(value)


@cache
def whole_number(first: int, last: int) -> Rule:
    return Rule(f"a whole number from {first} to {last}", lambda v: is_integer(v) and first <= v <= last)


@cache
def list_of(what: str, *, first: int, last: int) -> Rule:
    return Rule(f"a list of {first} to {last} {what}", lambda v: isinstance(v, list) and first <= len(v) <= last)


ID = Rule(f"a text of 1 to {MAX_ID_CHARACTERS} characters, not all blank", is_id)
TEXT = Rule(f"a text of at most {MAX_ID_CHARACTERS} characters", is_text)
FINITE = Rule("a finite number", is_finite)
TRUTH = Rule("true or false", lambda value: isinstance(value, bool))
OBJECT = Rule("a JSON object", lambda value: isinstance(value, dict))
TIMESTAMP = Rule("a time in ISO 8601 with its zone", lambda value: isinstance(value, str))
CONTEXT = Rule(
    f"a JSON object of at most {MAX_CONTEXT_FIELDS} fields",
    lambda value: isinstance(value, dict) and len(value) <= MAX_CONTEXT_FIELDS,
)


def parse_json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        beginning = body[:80].decode("utf-8", "replace")
        raise BadRequest(f"the body must be JSON ({error}); got {shown(beginning)}") from None


def parse_moment(name: str, value: Any) -> datetime:
    """A moment in UTC. A time without a zone is refused: guessing one shifts features by hours."""
    try:
        moment = datetime.fromisoformat(TIMESTAMP.check(name, value))
        if moment.tzinfo is None:
            raise BadRequest(f"{name} must name its zone, as in 2024-05-01T12:00:00Z; got {shown(value)}")
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadRequest(f"{name} must be {TIMESTAMP.words}; got {shown(value)}") from None
    if not FIRST_MOMENT <= moment < LAST_MOMENT:
        years = f"{FIRST_MOMENT.year} to {LAST_MOMENT.year - 1}"
        raise BadRequest(f"{name} must be in the years {years}; got {shown(value)}")
    return moment


def parse_context(name: str, value: Any) -> dict[str, str]:
    """The named texts that come with a request or an event."""
    context = CONTEXT.check(name, value)
    for key in context:
        TEXT.check(f"a field's name in {name}", key)
    return {key: TEXT.check(f"{name}.{key}", text) for key, text in context.items()}


def shown(value: Any) -> str:
    """What arrived, short enough for a sentence."""
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."

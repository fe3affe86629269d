"""The rules file, YAML or JSON, to validated rules. Every refusal is one sentence with the rule and what arrived."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from serving.filters.which import RulesRefused
from serving.rerank.rules import Rules

MAX_BYTES = 200_000


class _TextLoader(yaml.BaseLoader):
    """Every scalar is text until its field says what it is: 12:00 is a time of day and 17 an item id, not numbers."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str) or key in seen:
                raise RulesRefused(f"the rules file must state each field once; got {key!r} in line {_line(key_node)}")
            seen.add(key)
        return dict(super().construct_mapping(node, deep))


def read_rules(path: Path) -> Rules:
    """The rules in `path`.

    Raises:
        RulesRefused: the file cannot be read or breaks a rule.
    """
    return parse_rules(read_bytes(path))


def read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RulesRefused(f"the rules file must be readable; {path.name} is not ({error.strerror})") from None


def parse_rules(content: bytes) -> Rules:
    """The rules that `content` states; nothing, or only comments, states none.

    Raises:
        RulesRefused: the content is too long, is no YAML, or breaks a rule.
    """
    if len(content) > MAX_BYTES:
        raise RulesRefused(f"the rules file must have at most {MAX_BYTES} bytes; got {len(content)}")
    try:
        stated = yaml.load(content.decode("utf-8"), Loader=_TextLoader)
    except (UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        raise RulesRefused(f"the rules file must be YAML or JSON in UTF-8; got {_one_line(error)}") from None
    if stated is None or stated == "":
        return Rules()
    if not isinstance(stated, Mapping):
        raise RulesRefused(f"the rules file must hold fields like caps or pins; got {_short(stated)}")
    try:
        return Rules.model_validate(stated)
    except ValidationError as error:
        raise RulesRefused(_sentence(stated, error)) from None


def version_of(content: bytes) -> str:
    """SHA-256 of the file, by which the audit log names it."""
    return hashlib.sha256(content).hexdigest()


def _sentence(stated: Mapping[str, Any], error: ValidationError) -> str:
    """The first refusal, with the place of the field and the name of its rule."""
    first = error.errors(include_url=False)[0]
    message = str(first["msg"]).removeprefix("Value error, ")
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    name = _name_of(stated, first["loc"])
    rule = f"rule {name!r}, " if name else ""
    place = ".".join(str(part) for part in first["loc"])
    came = _short(first["input"]) if place else f"the fields {', '.join(stated)}"
    where = f"rules file, {rule}{place}" if place else "rules file"
    return f"{where}: {message[:1].lower()}{message[1:]}; got {came}{more}"


def _name_of(stated: Any, place: tuple[int | str, ...]) -> str:
    """The name of the innermost rule around `place`."""
    name = ""
    for part in place:
        try:
            stated = stated[part]
        except (KeyError, IndexError, TypeError):
            break
        if isinstance(stated, Mapping) and isinstance(stated.get("name"), str):
            name = stated["name"]
    return name


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1

"""A rollout policy from a file: the first broken rule becomes one sentence, before anything is touched."""

from pathlib import Path

import yaml
from pydantic import ValidationError

from feature_repo.core.errors import RecommenderError
from k8s.policy.rules import RolloutPolicy


class PolicyRefused(RecommenderError):
    """A rollout policy breaks a rule."""


def load_policy(path: Path) -> RolloutPolicy:
    """Read a policy from YAML. What the file does not name keeps its default; an unknown key is refused."""
    try:
        stated = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PolicyRefused(f"{path}: expected a readable YAML file; got {' '.join(str(error).split())}") from error
    if not isinstance(stated, dict):
        raise PolicyRefused(f"{path}: expected a mapping of policy keys; got {type(stated).__name__}")
    return policy_of(stated, named=str(path))


def policy_of(stated: dict[str, object], *, named: str) -> RolloutPolicy:
    """Build a policy from values.

    Raises:
        PolicyRefused: a rule is broken; the sentence names the file, the key, the rule and the value.
    """
    try:
        return RolloutPolicy.model_validate(stated)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        rule = first["msg"].removeprefix("Value error, ")
        raise PolicyRefused(f"{named}: {key}: {rule}; got {first['input']!r}") from error

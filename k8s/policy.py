"""What a rollout must show before it may go on: one frozen, typed file of numbers with their units."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from feature_repo.core.errors import RecommenderError

Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class PolicyError(RecommenderError):
    """A rollout policy breaks a rule."""


class Policy(BaseModel):
    """How far, how long and by which margins a canary is judged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Weights of the canary, one for each step, in percent of requests; they rise and end at 100.
    steps: tuple[Annotated[int, Field(ge=1, le=100)], ...] = (10, 50, 100)
    # Fewest requests that the canary itself has answered in a step before the step is judged.
    min_canary_requests: Annotated[int, Field(ge=1)] = 150
    # Deadline of a step: most requests, both variants together, that a step may replay.
    max_step_requests: Annotated[int, Field(ge=1)] = 6000
    # Deadline of a step: most seconds that a step may take.
    max_step_seconds: Positive = 120.0
    # Largest excess of the canary's share of failed requests (5xx) over the stable's, as a share of requests.
    max_error_share_excess: Share = 0.02
    # Largest excess of the canary's share of degraded answers over the stable's, as a share of requests.
    max_degraded_share_excess: Share = 0.05
    # Largest ratio of the canary's p99 latency to the stable's, dimensionless.
    max_p99_ratio: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.5
    # Excess of p99, in milliseconds, that is never held against a canary: below it a ratio measures noise.
    p99_floor_ms: Positive = 25.0
    # Confidence of every one-sided limit, as a probability.
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    # Oldest stable evidence, in seconds, that the step at weight 100 may be judged against.
    max_stable_age_seconds: Positive = 900.0

    @field_validator("steps")
    @classmethod
    def _steps_rise_to_100(cls, steps: tuple[int, ...]) -> tuple[int, ...]:
        rising = all(lower < higher for lower, higher in pairwise(steps))
        if not steps or not rising or steps[-1] != 100:
            raise ValueError(f"expected weights that rise and end at 100; got {list(steps)}")
        return steps


def load_policy(path: Path) -> Policy:
    """Read a policy from YAML. What the file does not name keeps its default; an unknown key is refused."""
    try:
        stated = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PolicyError(f"{path}: expected a readable YAML file; got {_one_line(error)}") from error
    if not isinstance(stated, dict):
        raise PolicyError(f"{path}: expected a mapping of policy keys; got {type(stated).__name__}")
    return policy_of(stated, named=str(path))


def policy_of(stated: dict[str, object], *, named: str) -> Policy:
    """Build a policy from values; the first broken rule becomes one sentence that quotes the value."""
    try:
        return Policy.model_validate(stated)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise PolicyError(f"{named}: {key}: {first['msg']}; got {first['input']!r}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())

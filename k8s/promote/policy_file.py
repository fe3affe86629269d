"""One file for a whole release: the gates before it, the rollout's shadow and canary, the age that reports may have.

`shadow` and `canary` are two things at once: how the rollout's steps are judged (k8s/policy), and that a promotion asks
for their reports. A step that is null is neither run nor asked for.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from feature_repo.core.errors import SettingsRefused
from k8s.policy.rules import RolloutPolicy
from training.promotion.policy import PromotionPolicy, policy_of, read_mapping, sentence

STEPS = ("shadow", "canary")


@dataclass(frozen=True)
class ReleasePolicy:
    """What is asked before an alias moves, and how the steps towards it are judged."""

    promotion: PromotionPolicy
    rollout: RolloutPolicy


def load_release_policy(path: Path | None) -> ReleasePolicy:
    """The policy in a YAML file; the default one without a file.

    Raises:
        SettingsRefused: a key is unknown, a value breaks its rule, steps fall, or a margin has no unit.
    """
    if path is None:
        return ReleasePolicy(PromotionPolicy(), RolloutPolicy())
    return release_policy_of(read_mapping(path), named=str(path))


def release_policy_of(stated: dict[str, Any], *, named: str) -> ReleasePolicy:
    """A policy from values as a file has them; refusals as in `load_release_policy`."""
    of_rollout = {key: value for key, value in stated.items() if key in RolloutPolicy.model_fields}
    if of_rollout.get("canary", "") is None:
        del of_rollout["canary"]
    asked: dict[str, Any] = {step: None if stated[step] is None else {} for step in STEPS if step in stated}
    of_promotion = {key: value for key, value in stated.items() if key not in RolloutPolicy.model_fields}
    promotion = policy_of({**of_promotion, **asked}, named=named)
    try:
        return ReleasePolicy(promotion, RolloutPolicy.model_validate(of_rollout))
    except ValidationError as error:
        raise SettingsRefused(f"{named}: {sentence(error)}") from None

from pathlib import Path
from typing import Any

import pytest

import k8s.promote
from feature_repo.core.errors import SettingsRefused
from k8s.policy.rules import RolloutPolicy
from k8s.promote.policy_file import load_release_policy, release_policy_of
from training.promotion.policy import Offline, PromotionPolicy, Told

PRODUCTION = Path(k8s.promote.__file__).with_name("production.yaml")


def test_without_a_file_the_defaults_hold() -> None:
    policy = load_release_policy(None)

    assert (policy.promotion, policy.rollout) == (PromotionPolicy(), RolloutPolicy())


def test_the_production_policy_asks_for_every_gate() -> None:
    policy = load_release_policy(PRODUCTION)

    assert all(getattr(policy.promotion.offline, name) is not None for name in Offline.model_fields)
    assert (policy.promotion.shadow, policy.promotion.canary) == (Told(), Told())
    assert policy.rollout.canary.steps == (1, 5, 25, 50)
    assert policy.rollout.shadow is not None


def test_a_step_that_is_null_is_neither_run_nor_asked_for() -> None:
    policy = release_policy_of({"shadow": None, "canary": None}, named="policy.yaml")

    assert (policy.promotion.shadow, policy.promotion.canary, policy.rollout.shadow) == (None, None, None)


@pytest.mark.parametrize(
    ("stated", "sentence"),
    [
        ({"gates": {}}, "gates is no key of a policy"),
        ({"canary": {"stepps": [1]}}, "canary.stepps is no key of a policy"),
        ({"canary": {"steps": [5, 1]}}, "canary.steps: expected weights from 1 to 99 that rise; got [5, 1]"),
        ({"offline": {"quality": {"max_loss": 5}}}, "offline.quality.max_loss: expected a number with its unit"),
        ({"canary": {"errors": {"tolerated": 0.1, "limit": "1 %"}}}, "canary.errors.tolerated: expected"),
    ],
)
def test_what_breaks_a_rule_anywhere_in_the_file_is_refused(stated: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsRefused) as refused:
        release_policy_of(stated, named="policy.yaml")

    assert str(refused.value).startswith(f"policy.yaml: {sentence}")

from pathlib import Path
from typing import Any

import pytest

from feature_repo.core.errors import SettingsRefused
from training.promotion.policy import PromotionPolicy, policy_of, read_mapping


def test_a_policy_is_written_with_units_and_kept_in_one() -> None:
    stated = {
        "max_report_age": "2 days",
        "offline": {
            "quality": {"max_loss": "2.5 %"},
            "retrievers": {"max_loss": "0.01 points"},
            "latency": {"max_p50": "8 ms", "max_p99": "0.04 s"},
            "coverage": {"least": "0.9 share"},
            "drift": None,
        },
        "shadow": {},
    }

    policy = policy_of(stated, named="policy.yaml")

    assert policy.max_report_age == 48.0
    assert policy.offline.quality is not None
    assert policy.offline.quality.max_loss == pytest.approx(0.025)
    assert policy.offline.retrievers is not None
    assert policy.offline.retrievers.max_loss == 0.01
    assert policy.offline.latency is not None
    assert policy.offline.latency.max_p99 == 40.0
    assert policy.offline.coverage is not None
    assert policy.offline.coverage.least == 0.9
    assert policy.offline.drift is None
    assert policy.shadow is not None


@pytest.mark.parametrize(
    ("stated", "sentence"),
    [
        ({"ofline": {}}, "ofline is no key of a policy"),
        ({"offline": {"qualty": {}}}, "offline.qualty is no key of a policy"),
        (
            {"offline": {"quality": {"max_loss": 0.05}}},
            "offline.quality.max_loss: expected a number with its unit, % or share; got 0.05",
        ),
        (
            {"offline": {"quality": {"max_loss": "0.05"}}},
            "offline.quality.max_loss: expected a number with its unit, % or share; got '0.05'",
        ),
        (
            {"offline": {"latency": {"max_p99": "5 %"}}},
            "offline.latency.max_p99: expected a number with its unit, ms or s; got '5 %'",
        ),
        (
            {"offline": {"coverage": {"least": "120 %"}}},
            "offline.coverage.least: expected at most 1, in share; got '120 %'",
        ),
        (
            {"offline": {"quality": {"max_loss": "-5 %"}}},
            "offline.quality.max_loss: expected a number with its unit, % or share; got '-5 %'",
        ),
        ({"max_report_age": 7}, "max_report_age: expected a number with its unit, h or hours or days or day; got 7"),
        (
            {"offline": {"leaks": {"least_rows": 0}}},
            "offline.leaks.least_rows: Input should be greater than or equal to 1; got 0",
        ),
    ],
)
def test_what_breaks_a_rule_is_refused_with_a_sentence(stated: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsRefused) as refused:
        policy_of(stated, named="policy.yaml")

    assert str(refused.value) == f"policy.yaml: {sentence}"


def test_an_empty_file_of_keys_is_the_default() -> None:
    assert policy_of({}, named="policy.yaml") == PromotionPolicy()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("- a\n- b\n", "expected a mapping of policy keys; got list"), ("a: [", "expected a readable YAML file; got")],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)

    with pytest.raises(SettingsRefused, match=sentence):
        read_mapping(path)

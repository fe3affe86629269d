"""A policy is refused before anything is touched."""

from pathlib import Path

import pytest

from k8s.laptop.policy import LAPTOP
from k8s.policy.load import PolicyRefused, load_policy
from k8s.policy.rules import CanaryPolicy, RolloutPolicy


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "policy.yaml"


def test_what_a_file_does_not_name_keeps_its_default(file: Path) -> None:
    file.write_text(
        "canary: {steps: [5, 50], clicks: {limits: [20 %, 5 %]}, deadline: 30 min, "
        "errors: {limit: 1 %, tolerated: 0.1 %}}"
    )

    policy = load_policy(file)

    assert (policy.canary.steps, policy.canary.deadline, policy.canary.errors.limit) == ((5, 50), 1800, 0.01)
    assert policy.canary.clicks is not None
    assert policy.canary.clicks.limits == pytest.approx((0.2, 0.05))
    assert policy.shadow == RolloutPolicy().shadow


@pytest.mark.parametrize("policy", [RolloutPolicy(), LAPTOP], ids=["default", "laptop"])
def test_a_policy_comes_back_from_its_own_words(policy: RolloutPolicy) -> None:
    assert RolloutPolicy.model_validate_json(policy.model_dump_json()) == policy


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("canary: {min_request: 3}", "canary.min_request: Extra inputs are not permitted; got 3"),
        ("rollback: true", "rollback: Extra inputs are not permitted; got True"),
        ("canary: {steps: [50, 10]}", r"canary.steps: expected weights from 1 to 99 that rise; got \[50, 10\]"),
        ("canary: {steps: []}", r"expected weights from 1 to 99 that rise; got \[\]"),
        ("canary: {steps: [5, 100]}", "canary.steps.1: .*less than or equal to 99; got 100"),
        ("canary: {steps: [5, 50]}", "canary: expected a limit of clicks for each of 2 steps; got 4"),
        (
            "canary: {errors: {tolerated: 0.1 %, limit: 0.5}}",
            r"errors.limit: expected a number with its unit \(%\), like",
        ),
        ("canary: {errors: {tolerated: 0.1 %, limit: 5 ms}}", "canary.errors.limit: expected a number with its unit"),
        ("canary: {errors: {tolerated: 0.1 %, limit: 0 %}}", "limit: expected more than 0 % and less than 100 %; got"),
        ("canary: {errors: {tolerated: 200 %, limit: 1 %}}", "tolerated: expected at most 100 %; got '200 %'"),
        ("canary: {errors: {tolerated: 1 %, limit: 1 %}}", "canary.errors: expected tolerated to be below limit"),
        ("canary: {clicks: {limits: [25 %, 15 %, 10 %, 2 %]}}", "expected every limit of clicks to be above what is"),
        ("canary: {latency: {max_ratio: 0.5 x}}", "max_ratio: expected a ratio of at least 1 x; got '0.5 x'"),
        (
            "canary: {latency: {floor: 25}}",
            r"latency.floor: expected a number with its unit \(ms, s\), like '25 ms'; got 25",
        ),
        ("canary: {deadline: 1e999 s}", "expected a number with its unit|expected a finite number"),
        ("canary: {deadline: .nan}", "canary.deadline: expected a number with its unit"),
        ("canary", "expected a mapping of policy keys; got str"),
        ("canary: [", "expected a readable YAML file; got "),
    ],
)
def test_a_broken_policy_is_one_sentence_with_file_rule_and_value(file: Path, text: str, sentence: str) -> None:
    file.write_text(text)

    with pytest.raises(PolicyRefused, match=sentence) as told:
        load_policy(file)

    assert str(told.value).startswith(f"{file}: ")
    assert "\n" not in str(told.value)


def test_a_policy_file_that_is_not_there_is_refused(file: Path) -> None:
    with pytest.raises(PolicyRefused, match=r"expected a readable YAML file; got .*No such file"):
        load_policy(file)


def test_a_policy_that_nobody_changes_is_the_one_of_the_figures() -> None:
    assert CanaryPolicy().steps == (1, 5, 25, 50)

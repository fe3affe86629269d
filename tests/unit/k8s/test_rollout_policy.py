"""A policy is refused before anything is touched."""

from pathlib import Path

import pytest

from k8s.policy import Policy, PolicyError, load_policy


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "policy.yaml"


def test_what_a_file_does_not_name_keeps_its_default(file: Path) -> None:
    file.write_text("steps: [5, 100]\nmin_canary_requests: 200\n")

    policy = load_policy(file)

    assert policy == Policy(steps=(5, 100), min_canary_requests=200)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("min_requests: 3", "min_requests: Extra inputs are not permitted; got 3"),
        ("steps: [50, 10, 100]", r"steps: .*expected weights that rise and end at 100; got \[50, 10, 100\]"),
        ("steps: [10, 50]", r"expected weights that rise and end at 100; got \[10, 50\]"),
        ("steps: []", r"expected weights that rise and end at 100; got \[\]"),
        ("steps: [0, 100]", "steps.0: .*greater than or equal to 1; got 0"),
        ("max_error_share_excess: .nan", "max_error_share_excess: "),
        ("max_p99_ratio: 0.5", "max_p99_ratio: .*greater than or equal to 1; got 0.5"),
        ("steps", "expected a mapping of policy keys; got str"),
        ("steps: [", "expected a readable YAML file; got "),
    ],
)
def test_a_broken_policy_is_one_sentence_with_file_rule_and_value(file: Path, text: str, sentence: str) -> None:
    file.write_text(text)

    with pytest.raises(PolicyError, match=sentence) as told:
        load_policy(file)

    assert str(told.value).startswith(f"{file}: ")
    assert "\n" not in str(told.value)


def test_a_policy_file_that_is_not_there_is_refused(file: Path) -> None:
    with pytest.raises(PolicyError, match=r"expected a readable YAML file; got .*No such file"):
        load_policy(file)

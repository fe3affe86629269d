import numpy as np
import pytest

from feature_repo.core.errors import NotMeasurable
from training.evaluation.bootstrap import Interval, mean_interval, user_weights
from training.evaluation.compare import above, difference, differences, not_below, seed_mean
from training.verdict import Verdict

USER = np.repeat(np.arange(40), 3)
WEIGHTS = user_weights(40, np.random.default_rng(0))


def test_many_models_at_once_get_the_intervals_of_one_at_a_time() -> None:
    rng = np.random.default_rng(1)
    values = {"ease": rng.random(120), "als": rng.random(120), "two-stage": rng.random((3, 120))}

    found = differences(values, "ease", USER, WEIGHTS)

    assert list(found) == ["als", "two-stage"]
    for name, interval in found.items():
        alone = difference(values[name], values["ease"], USER, WEIGHTS)
        assert (interval.value, interval.low, interval.high) == pytest.approx((alone.value, alone.low, alone.high))


def test_seeds_are_averaged_for_each_request_before_users_are_resampled() -> None:
    rng = np.random.default_rng(2)
    seeds, other = rng.random((3, 120)), rng.random(120)

    found = difference(seeds, other, USER, WEIGHTS)

    assert found == mean_interval(seeds.mean(axis=0) - other, USER, WEIGHTS)


def test_a_paired_interval_is_narrower_than_the_models_own() -> None:
    rng = np.random.default_rng(3)
    ability = rng.random(120)

    found = difference(ability + 0.01, ability, USER, WEIGHTS)

    own = mean_interval(ability, USER, WEIGHTS)
    assert found.low == pytest.approx(0.01)
    assert own.high - own.low > 0.05


def test_one_model_has_nothing_to_be_compared_with() -> None:
    assert differences({"ease": np.ones(120)}, "ease", USER, WEIGHTS) == {}


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.004, 0.01, Verdict.PASS),
        (-0.004, -0.001, Verdict.PASS),
        (-0.005, 0.01, Verdict.INCONCLUSIVE),
        (-0.02, 0.001, Verdict.INCONCLUSIVE),
        (-0.02, -0.001, Verdict.FAIL),
    ],
)
def test_not_below_looks_at_the_lower_limit(low: float, high: float, verdict: Verdict) -> None:
    assert not_below(Interval((low + high) / 2, low, high)) is verdict


def test_above_needs_the_whole_interval_above_zero() -> None:
    assert above(Interval(0.02, 0.01, 0.03)) is Verdict.PASS
    assert above(Interval(0.02, 0.0, 0.04)) is Verdict.INCONCLUSIVE
    assert above(Interval(-0.02, -0.03, -0.01)) is Verdict.FAIL


def test_a_missing_difference_is_never_success() -> None:
    assert not_below(None) is Verdict.INCONCLUSIVE
    assert above(None) is Verdict.INCONCLUSIVE


def test_comparisons_that_are_not_paired_are_refused() -> None:
    with pytest.raises(NotMeasurable, match="a paired comparison needs the same requests"):
        difference(np.ones(119), np.ones(120), USER, WEIGHTS)
    with pytest.raises(NotMeasurable, match=r"a reference among \['als'\]; got 'ease'"):
        differences({"als": np.ones(120)}, "ease", USER, WEIGHTS)
    with pytest.raises(NotMeasurable, match="at least 2 users to resample; got 1"):
        difference(np.ones(3), np.ones(3), np.zeros(3, int), user_weights(1, np.random.default_rng(0)))


@pytest.mark.parametrize("values", [np.zeros(0), np.zeros((0, 4)), np.array([np.nan]), np.zeros((1, 1, 1))])
def test_values_without_a_mean_are_refused(values: np.ndarray) -> None:
    with pytest.raises(NotMeasurable, match=r"finite values \[requests\] or \[seeds, requests\]"):
        seed_mean(values)

"""Estimates over users, adjusted by what was known before, and how many users they need."""

import math

import numpy as np
import pytest
from scipy import stats

from feature_repo.core.errors import NotMeasurable
from monitoring.experiments.adjustment import cuped, post_stratified
from monitoring.experiments.estimates import difference, linearised, mean, ratio, relative
from monitoring.experiments.mismatch import mismatch, mismatch_p_value
from monitoring.experiments.sample_size import Spread, power_of, users_for, users_for_sequential
from monitoring.experiments.sequential import half_width, mixture_variance, p_value, planned_variance
from monitoring.experiments.significance import benjamini_hochberg, chi_squared, mann_whitney, welch

RNG = np.random.default_rng(5)


def test_a_mean_has_the_textbook_variance() -> None:
    values = np.array([1.0, 2.0, 4.0, 9.0])

    found = mean(values)

    assert found.value == 4.0
    assert found.variance == pytest.approx(values.var(ddof=1) / 4)
    assert found.interval(0.05) == pytest.approx(stats.t.interval(0.95, 3, 4.0, math.sqrt(found.variance)))


def test_a_ratio_counts_users_and_not_impressions() -> None:
    clicks, shown = np.array([10.0, 0.0]), np.array([10.0, 10.0])

    found = ratio(clicks, shown)

    # Two users of ten equal impressions each tell as much as two numbers, 1 and 0.
    assert found.value == 0.5
    assert found.variance == pytest.approx(np.array([1.0, 0.0]).var(ddof=1) / 2)


def test_a_ratios_variance_is_that_of_its_linearised_values() -> None:
    shown = RNG.integers(1, 20, 500).astype(float)
    clicks = RNG.binomial(shown.astype(int), 0.2).astype(float)

    found = ratio(clicks, shown)
    values = linearised(clicks, shown)

    assert values.mean() == pytest.approx(found.value)
    assert values.var(ddof=1) / 500 == pytest.approx(found.variance)


def test_a_ratios_variance_is_what_repetition_shows() -> None:
    shown = 1 + RNG.poisson(5, (4_000, 200)).astype(float)
    clicks = RNG.binomial(shown.astype(int), RNG.beta(1, 9, shown.shape)).astype(float)

    found = ratio(clicks, shown)

    assert found.variance.mean() == pytest.approx(found.value.var(), rel=0.1)


def test_a_difference_of_means_is_welchs_test() -> None:
    one, two = RNG.normal(1.0, 2.0, 40), RNG.normal(0.0, 0.5, 25)

    found = difference(mean(one), mean(two))

    expected = stats.ttest_ind(one, two, equal_var=False)
    assert found.p_value() == pytest.approx(expected.pvalue)
    assert welch(one, two) == pytest.approx(expected.pvalue)
    assert found.interval(0.05) == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_a_lift_is_relative_to_the_control() -> None:
    control, treatment = RNG.normal(10, 1, 5_000), RNG.normal(11, 1, 5_000)

    low, high = relative(mean(treatment), mean(control)).interval(0.05)

    assert low < treatment.mean() / control.mean() - 1 < high
    assert high - low == pytest.approx(2 * 1.96 * 0.1 * math.sqrt((1 + 1.1**2) / 5_000), rel=0.05)


@pytest.mark.parametrize(
    ("numerator", "denominator", "words"),
    [
        ([1.0], [1.0], "at least 2 users; got 1"),
        ([0.0, 0.0], [0.0, 0.0], "denominator above zero"),
        ([1.0, float("nan")], [1.0, 1.0], "finite values of every user"),
    ],
)
def test_what_has_no_ratio_is_refused(numerator: list[float], denominator: list[float], words: str) -> None:
    with pytest.raises(NotMeasurable, match=words):
        ratio(np.array(numerator), np.array(denominator))


def test_a_constant_metric_is_refused() -> None:
    same = np.ones(10)

    with pytest.raises(NotMeasurable, match="one value for everybody"):
        difference(mean(same), mean(same))
    with pytest.raises(NotMeasurable, match="got 1 for everybody"):
        welch(same, same)
    with pytest.raises(NotMeasurable, match="control above zero"):
        relative(mean(np.array([0.0, 1.0])), mean(np.array([-1.0, 1.0])))
    with pytest.raises(NotMeasurable, match="2 users of each variant; got 1 and 10"):
        mann_whitney(same[:1], same)


def test_chi_squared_of_shares_by_hand() -> None:
    treatment, control = np.repeat([1.0, 0.0], [30, 70]), np.repeat([1.0, 0.0], [20, 80])

    found = chi_squared(treatment, control)

    # (30*80 - 20*70)^2 * 200 / (100 * 100 * 50 * 150) = 2.667 on one degree of freedom
    assert found == pytest.approx(stats.chi2.sf(8 / 3, 1))


def test_mann_whitney_is_not_carried_by_one_heavy_user() -> None:
    control = np.arange(50.0)
    treatment = np.append(np.arange(49.0), 1e6)

    assert mann_whitney(treatment, control) > 0.9


def test_benjamini_hochberg_by_hand() -> None:
    assert benjamini_hochberg([0.01, 0.04, 0.03, 0.20]) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.20])
    assert benjamini_hochberg([]) == []


def test_cuped_takes_out_what_was_known_and_keeps_the_mean() -> None:
    before = RNG.normal(0, 1, 4_000)
    values = 3 * before + RNG.normal(0, 1, 4_000)

    adjusted = cuped(values, before)

    assert adjusted.mean() == pytest.approx(values.mean())
    assert adjusted.var() == pytest.approx(1.0, rel=0.1)
    assert np.corrcoef(adjusted, before)[0, 1] == pytest.approx(0.0, abs=1e-9)


def test_a_covariate_that_says_nothing_changes_nothing() -> None:
    values = RNG.normal(0, 1, 10)

    assert cuped(values, np.zeros(10)).tolist() == values.tolist()


def test_strata_take_out_the_difference_between_them() -> None:
    stratum = np.repeat([0, 1], 200)
    treated = np.tile([True, False], 200)
    values = 10.0 * stratum + treated + RNG.normal(0, 0.1, 400)

    found = post_stratified(values, treated, stratum)

    assert found.value == pytest.approx(1.0, abs=0.05)
    assert found.variance == pytest.approx(0.01 * (1 / 200 + 1 / 200), rel=0.2)


def test_strata_that_explain_nothing_give_welchs_difference() -> None:
    treated = np.repeat([True, False], 50)
    values = RNG.normal(0, 1, 100)

    found = post_stratified(values, treated, np.zeros(100, int))
    plain = difference(mean(values[treated]), mean(values[~treated]))

    assert [found.value, found.variance, found.degrees] == pytest.approx([plain.value, plain.variance, plain.degrees])


def test_a_stratum_without_a_variant_or_without_spread_is_refused() -> None:
    treated = np.repeat([True, False], 5)

    with pytest.raises(NotMeasurable, match="stratum 0 has 0"):
        post_stratified(np.arange(10.0), treated, (~treated).astype(int))
    with pytest.raises(NotMeasurable, match="one value within every stratum"):
        post_stratified(np.ones(10), treated, np.zeros(10, int))


def test_a_sample_ratio_that_chance_does_not_give_is_a_sentence() -> None:
    shares = {"a": 0.5, "b": 0.5}

    assert mismatch({"a": 5_000, "b": 5_010}, shares) is None
    sentence = mismatch({"a": 5_000, "b": 5_600}, shares)
    assert sentence is not None
    assert "users a 5,000, b 5,600 under shares a 50%, b 50%" in sentence
    assert mismatch_p_value([90, 10], [0.9, 0.1]) == pytest.approx(1.0)


def test_nobody_has_no_sample_ratio() -> None:
    with pytest.raises(NotMeasurable, match="got none in any variant"):
        mismatch_p_value([0, 0], [0.5, 0.5])


def test_the_sample_size_is_the_textbooks() -> None:
    # Cohen (1988): d = 0.5 at 5 % and 80 % needs 64 in each group.
    assert users_for(0.5, Spread(1.0, 1.0), alpha=0.05, power=0.8) == (64, 64)
    assert power_of(0.5, Spread(1.0, 1.0), alpha=0.05, treatment=64, control=64) == pytest.approx(0.801, abs=1e-3)


def test_unequal_shares_need_more_users_in_all() -> None:
    few, many = users_for(0.5, Spread(1.0, 1.0), alpha=0.05, power=0.8, share=0.1)

    assert few < many
    assert few + many > 128


def test_a_spread_that_the_effect_multiplies_is_pooled_by_the_shares() -> None:
    # Var = 1.21 s^2 / (n/2) + s^2 / (n/2) with halves; a treatment of a tenth weighs nine times as much.
    assert Spread.multiplied(2.0, 0.1).pooled(0.5) ** 2 == pytest.approx(4 * 2.21 / 2)
    assert Spread(1.0, 3.0).pooled(0.1) ** 2 == pytest.approx(9 * 0.9 + 0.1)


def test_looking_all_the_time_costs_users() -> None:
    fixed = sum(users_for(0.1, Spread(1.0, 1.0), alpha=0.05, power=0.8))

    watched = sum(users_for_sequential(0.1, Spread(1.0, 1.0), alpha=0.05, power=0.8))

    assert 1.3 < watched / fixed < 2.5


@pytest.mark.parametrize(("effect", "spread", "words"), [(0.0, 1.0, "above zero"), (1e-5, 1.0, "thousand million")])
def test_no_effect_has_no_sample_size(effect: float, spread: float, words: str) -> None:
    with pytest.raises(NotMeasurable, match=words):
        users_for(effect, Spread(spread, spread), alpha=0.05, power=0.8)


def test_the_always_valid_interval_excludes_zero_exactly_where_its_p_value_is_below_alpha() -> None:
    variance = np.array([0.5, 0.1, 0.01])
    mixture = mixture_variance(0.1, alpha=0.05)

    width = half_width(variance, mixture=mixture, alpha=0.05)

    assert p_value(width, variance, mixture=mixture) == pytest.approx(np.full(3, 0.05))
    assert (p_value(np.zeros(3), variance, mixture=mixture) == 1.0).all()


def test_the_mixture_is_the_one_with_the_narrowest_interval() -> None:
    best = mixture_variance(0.3, alpha=0.05)

    widths = [float(half_width(np.array(0.3), mixture=best * factor, alpha=0.05)) for factor in (0.8, 1.0, 1.25)]

    assert widths[1] == min(widths)


def test_the_planned_variance_is_that_of_a_fixed_test() -> None:
    assert planned_variance(0.28, alpha=0.05, power=0.8) == pytest.approx(0.01, rel=0.01)

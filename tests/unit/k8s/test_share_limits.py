"""Confidence limits, against figures from the papers and against exact reckoning."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from k8s.statistics import chance_of_at_least, newcombe, wilson


def test_wilson_gives_the_figures_of_newcombes_table_of_single_proportions() -> None:
    """R. G. Newcombe (1998), Statistics in Medicine 17, 857-872, table I: 81 of 263, two-sided 95 %."""
    limits = wilson(81, 263, confidence=0.975)

    assert (limits.low, limits.high) == (pytest.approx(0.2553, abs=5e-5), pytest.approx(0.3662, abs=5e-5))


def test_newcombe_gives_the_figures_of_his_table_of_differences() -> None:
    """Statistics in Medicine 17 (1998), 873-890, table II, method 10: 56/70 minus 48/80, 95 %."""
    limits = newcombe((56, 70), (48, 80), confidence=0.975)

    assert (limits.low, limits.high) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))


def test_no_error_at_all_leaves_a_limit_that_shrinks_with_the_requests() -> None:
    assert newcombe((0, 100), (0, 900), confidence=0.95).high == pytest.approx(0.0263, abs=1e-4)
    assert newcombe((0, 1000), (0, 9000), confidence=0.95).high == pytest.approx(0.0027, abs=1e-4)


def test_without_an_error_133_requests_show_that_a_margin_of_two_percent_holds() -> None:
    """The figure that the command's help and the README give."""
    assert newcombe((0, 132), (0, 1188), confidence=0.95).high > 0.02
    assert newcombe((0, 133), (0, 1197), confidence=0.95).high <= 0.02


@given(st.integers(1, 3000), st.data())
def test_the_observed_share_lies_between_its_limits(total: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, total))

    limits = wilson(hits, total, confidence=0.95)

    assert 0 <= limits.low <= hits / total + 1e-12
    assert hits / total - 1e-12 <= limits.high <= 1


@pytest.mark.parametrize(("hits", "total"), [(0, 10), (1, 10), (5, 150), (40, 1000)])
def test_the_chance_is_the_exact_binomial_tail(hits: int, total: int) -> None:
    assert chance_of_at_least(hits, total, share=0.01) == pytest.approx(binom.sf(hits - 1, total, 0.01))


def test_a_part_of_a_hit_counts_as_none() -> None:
    assert chance_of_at_least(2.9, 100, share=0.01) == chance_of_at_least(2, 100, share=0.01)

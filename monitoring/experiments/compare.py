"""One metric of one treatment against the control: the difference, the lift, their intervals and p-values."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from monitoring.experiments.adjustment import cuped, post_stratified
from monitoring.experiments.comparison import Comparison
from monitoring.experiments.declaration import Experiment, Guardrail, Measured, Primary
from monitoring.experiments.estimates import Estimate, difference, linearised, mean, ratio, relative
from monitoring.experiments.metrics import IMPRESSIONS, METRICS, Metric
from monitoring.experiments.people import People
from monitoring.experiments.sequential import half_width, mixture_variance, p_value, planned_variance
from monitoring.experiments.significance import chi_squared, mann_whitney, welch

Array = np.ndarray[Any, Any]

TESTS = {"ratio": "delta method, by user", "amount": "Welch's t", "share": "chi-squared"}
ADJUSTED, ALWAYS = "Welch's t, adjusted for behaviour before", "always valid (mSPRT)"


def compare(people: People, measured: Measured, experiment: Experiment, *, treatment: str) -> Comparison:
    """Compare `treatment` with the control by one declared metric.

    Raises:
        NotMeasurable: the metric is the same for everybody, has no denominator, or a stratum lacks a variant.
    """
    metric = METRICS[measured.metric]
    both = (people.variant == treatment) | (people.variant == experiment.control)
    treated = people.variant[both] == treatment
    above, below = sums_of(people.during, metric, both)
    one, base = ratio(above[treated], below[treated]), ratio(above[~treated], below[~treated])
    plain = difference(one, base)
    gap = _adjusted(people, metric, experiment, both, treated)
    lift = relative(one, base) if gap is None else _adjusted_lift(gap, one, base)
    evidence = _once(metric, above, treated, gap or plain, lift, experiment, adjusted=gap is not None)
    if experiment.looks == "any":
        evidence = _always((gap or plain), lift, base, measured, experiment)
    (low, high), (gap_low, gap_high) = evidence.limits, evidence.gap_limits
    return Comparison(
        metric=measured.metric,
        role=_role(measured),
        treatment=treatment,
        better=measured.better,
        margin=measured.margin if isinstance(measured, Guardrail) else None,
        control_value=float(base.value),
        treatment_value=float(one.value),
        difference=float((gap or plain).value),
        difference_low=gap_low,
        difference_high=gap_high,
        lift=float(lift.value),
        lift_low=low,
        lift_high=high,
        p_value=evidence.p_value,
        test=evidence.test,
        rank_p_value=mann_whitney(above[treated], above[~treated]) if metric.kind == "amount" else None,
        variance_left=float((gap or plain).variance / plain.variance),
    )


@dataclass(frozen=True)
class _Evidence:
    """`limits` of the lift; `gap_limits` and `p_value` of the difference."""

    limits: tuple[float, float]
    gap_limits: tuple[float, float]
    p_value: float
    test: str


def _once(
    metric: Metric,
    above: Array,
    treated: Array,
    gap: Estimate,
    lift: Estimate,
    experiment: Experiment,
    *,
    adjusted: bool,
) -> _Evidence:
    (low, high), (gap_low, gap_high) = (of.interval(experiment.alpha_each) for of in (lift, gap))
    p, test = float(gap.p_value()), ADJUSTED if adjusted else TESTS[metric.kind]
    if not adjusted and metric.kind != "ratio":
        p = (welch if metric.kind == "amount" else chi_squared)(above[treated], above[~treated])
    return _Evidence((float(low), float(high)), (float(gap_low), float(gap_high)), p, test)


def _always(gap: Estimate, lift: Estimate, base: Estimate, measured: Measured, experiment: Experiment) -> _Evidence:
    alpha = experiment.alpha_each
    # The lift that the interval is made narrowest for. In units of the control, so that it fits every metric.
    smallest = measured.margin if isinstance(measured, Guardrail) else experiment.primary.minimum_effect
    mixture = mixture_variance(planned_variance(smallest, alpha=alpha, power=experiment.power), alpha=alpha)
    scaled = gap.over(base.value)
    low, high = _around(scaled, mixture, alpha)
    p = float(p_value(scaled.value, scaled.variance, mixture=mixture))
    control = float(base.value)
    return _Evidence(_around(lift, mixture, alpha), (low * control, high * control), p, ALWAYS)


def _around(found: Estimate, mixture: float, alpha: float) -> tuple[float, float]:
    half = float(half_width(found.variance, mixture=mixture, alpha=alpha))
    return float(found.value) - half, float(found.value) + half


def sums_of(sums: dict[str, Array], metric: Metric, users: Array) -> tuple[Array, Array]:
    above = sums[metric.numerator][users]
    if metric.kind == "share":
        above = (above > 0).astype(np.float64)
    return above, sums[metric.denominator][users] if metric.denominator else np.ones_like(above)


def _adjusted(people: People, metric: Metric, experiment: Experiment, both: Array, treated: Array) -> Estimate | None:
    """The difference with CUPED and strata; None where the declaration asks for neither."""
    if not experiment.covariate_days:
        return None
    above, below = sums_of(people.during, metric, both)
    earlier, _ = sums_of(people.before, metric, both)
    # Who was not there before has a covariate of 0 in every metric, which is as good a covariate as any.
    values = cuped(linearised(above, below), _centred(earlier, people.before, metric, both))
    if not experiment.strata:
        return difference(mean(values[treated]), mean(values[~treated]))
    return post_stratified(values, treated, strata_of(people.before[IMPRESSIONS][both], experiment.strata))


def _centred(earlier: Array, before: dict[str, Array], metric: Metric, both: Array) -> Array:
    """Of a ratio: by how much the user's sum was above what its denominator foretold."""
    if metric.denominator is None:
        return earlier
    below = before[metric.denominator][both]
    total = below.sum()
    return np.asarray(earlier - (earlier.sum() / total if total > 0 else 0.0) * below)


def strata_of(activity: Array, strata: int) -> Array:
    """Numbers from 0 [users]: newcomers, and then even groups of the others by their `activity` before."""
    active = activity[activity > 0]
    limits = np.unique(np.quantile(active, np.linspace(0, 1, strata + 1)[:-1])) if len(active) else active
    return np.unique(np.searchsorted(limits, activity, side="right"), return_inverse=True)[1]


def _adjusted_lift(gap: Estimate, treatment: Estimate, control: Estimate) -> Estimate:
    """The adjusted difference over the control's plain value, its variance smaller by the same factor."""
    shrunk = gap.variance / difference(treatment, control).variance
    return Estimate(gap.over(control.value).value, relative(treatment, control).variance * shrunk, gap.degrees)


def _role(measured: Measured) -> Literal["primary", "guardrail", "secondary"]:
    if isinstance(measured, Primary):
        return "primary"
    return "guardrail" if isinstance(measured, Guardrail) else "secondary"

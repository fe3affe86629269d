"""One feature's skew as shares with limits, and the verdict on all of them; values in, values out.

A value that differs from point-in-time retrieval is late when it is what the functions give for an older state that the
stores once held, and wrong otherwise. Late values say how far behind the stores were; wrong ones mean that serving and
training compute different things, and only they count against the threshold.

Limits of a share are those of Clopper and Pearson (1934), one-sided. FAIL needs proof, and one proof among many
features may be chance, so its level is divided by their number (Bonferroni); PASS needs every feature's upper limit,
which no number of features makes easier.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from monitoring.skew.settings import SkewPolicy
from training.verdict import Verdict

NAMED = 5


@dataclass(frozen=True)
class Share:
    """`count` of `requests`, with one-sided limits; all of [0, 1] where there is no request."""

    count: int
    requests: int
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.count / self.requests if self.requests else 0.0


def share(count: int, requests: int, *, confidence: float, among: int = 1) -> Share:
    """The share with its limits; the lower one holds for `among` shares at once."""
    from scipy.stats import beta

    error = 1 - confidence
    low = float(beta.ppf(error / among, count, requests - count + 1)) if count else 0.0
    high = float(beta.ppf(1 - error, count + 1, requests - count)) if count < requests else 1.0
    return Share(count, requests, low, high)


@dataclass(frozen=True)
class FeatureSkew:
    """One served feature: requests whose value differed, of these wrong and late ones; seconds that the state behind
    the feature was behind, over all requests. `side` is where its state comes from."""

    feature: str
    side: str
    differing: Share
    wrong: Share
    late: Share
    median_late_seconds: float
    p99_late_seconds: float


@dataclass(frozen=True)
class Assessment:
    verdict: Verdict
    reasons: tuple[str, ...]


def assess(
    features: Sequence[FeatureSkew],
    policy: SkewPolicy,
    *,
    requests: int,
    unknown: Mapping[str, int],
    findings: Sequence[str],
) -> Assessment:
    """The verdict on `requests` compared ones. `unknown` counts, by reason, those that could not be compared and
    should have been; `findings` are sentences on what is wrong with the log itself."""
    wrong = sorted((f for f in features if f.wrong.low > policy.threshold), key=lambda f: -f.wrong.value)
    late = [f for f in features if f.late.count and f.p99_late_seconds > policy.late_days * 86_400]
    failures = [*([_wrong_sentence(wrong, policy)] if wrong else []), *([_late_sentence(late, policy)] if late else [])]
    open_questions = [*findings, *_thin(requests, policy), *_unknown(unknown, requests, policy)]
    open_questions += [] if failures or open_questions else _unproved(features, policy)
    if failures:
        return Assessment(Verdict.FAIL, (*failures, *open_questions))
    if open_questions or not features:
        return Assessment(Verdict.INCONCLUSIVE, tuple(open_questions) or ("no feature could be compared",))
    most = max(features, key=lambda f: (f.wrong.value, f.differing.value))
    said = f"{len(features)} features of {requests:,} requests: wrong values in at most {most.wrong.value:.2%}"
    return Assessment(Verdict.PASS, (f"{said} of the requests, {_late_share(features)}",))


def _late_share(features: Sequence[FeatureSkew]) -> str:
    most = max(features, key=lambda f: f.late.value)
    if not most.late.count:
        return "none of them late"
    return f"late ones in up to {most.late.value:.1%} ({most.feature}, median {most.median_late_seconds:,.0f} s behind)"


def _wrong_sentence(wrong: Sequence[FeatureSkew], policy: SkewPolicy) -> str:
    named = ", ".join(f"{f.feature} in {f.wrong.value:.1%}" for f in wrong[:NAMED])
    more = f" and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
    return (
        f"{len(wrong)} features were served with wrong values in more than {policy.threshold:.1%} of the requests: "
        f"{named}{more}"
    )


def _late_sentence(late: Sequence[FeatureSkew], policy: SkewPolicy) -> str:
    most = max(late, key=lambda f: f.p99_late_seconds)
    return (
        f"the state behind {len(late)} features was more than {policy.late_days:g} days behind in 1 of 100 requests: "
        f"{most.feature} {most.p99_late_seconds / 86_400:.1f} days"
    )


def _thin(requests: int, policy: SkewPolicy) -> list[str]:
    if requests >= policy.minimum_requests:
        return []
    return [f"{requests:,} requests could be compared; the policy asks for at least {policy.minimum_requests:,}"]


def _unknown(unknown: Mapping[str, int], requests: int, policy: SkewPolicy) -> list[str]:
    total = sum(unknown.values())
    if not total or total <= policy.unknown_share * (total + requests):
        return []
    named = ", ".join(f"{count} {reason}" for reason, count in unknown.items() if count)
    return [f"{total} of {total + requests} requests could not be compared: {named}"]


def _unproved(features: Sequence[FeatureSkew], policy: SkewPolicy) -> list[str]:
    unproved = [f for f in features if f.wrong.high > policy.threshold]
    if not unproved:
        return []
    most = max(unproved, key=lambda f: f.wrong.high)
    return [
        f"for {len(unproved)} features the share of wrong values may be above {policy.threshold:.1%}: "
        f"{most.feature} {most.wrong.value:.2%}, at most {most.wrong.high:.2%}"
    ]

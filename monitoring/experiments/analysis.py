"""The analysis of an A/B experiment: everything that was seen, and what it comes to. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from feature_repo.core.errors import NotMeasurable
from monitoring.experiments.compare import compare
from monitoring.experiments.comparison import Comparison
from monitoring.experiments.declaration import Experiment
from monitoring.experiments.impressions import Joined
from monitoring.experiments.metrics import METRICS
from monitoring.experiments.mismatch import mismatch
from monitoring.experiments.people import People, people_of
from monitoring.experiments.plan import Plan, plan_of
from monitoring.experiments.sequential import FEWEST_USERS
from monitoring.experiments.significance import benjamini_hochberg
from training.verdict import Verdict

MOST_CROSSED = 0.01  # share of users in several variants above which nobody knows what was compared


@dataclass(frozen=True)
class Analysis:
    """`discoveries` are the adjusted p-values of the secondary metrics, in the order of `comparisons`."""

    verdict: Verdict
    reasons: tuple[str, ...]
    plan: Plan
    users: Mapping[str, int]
    crossed: int
    immature: int
    duplicated: int
    versions: Mapping[str, tuple[str, ...]]
    comparisons: tuple[Comparison, ...]
    discoveries: tuple[float, ...]


def analyse(joined: Joined, experiment: Experiment, *, now: datetime) -> Analysis:
    """What the experiment shows at `now`. What cannot be measured is INCONCLUSIVE, with its reason."""
    people, plan = people_of(joined.impressions, experiment), plan_of(experiment)
    users = {name: people.count(name) for name in experiment.variants}
    early = _too_early(users, experiment, now)
    # Figures that nobody can see cannot tempt anybody to stop on a good day.
    withheld = bool(early) and experiment.looks == "once"
    comparisons, unmeasured = ([], []) if withheld else _compared(people, users, experiment)
    doubts = [*_doubts(people, users, experiment), *early, *unmeasured]
    secondary = [c.p_value for c in comparisons if c.role == "secondary"]
    verdict, reasons = (Verdict.INCONCLUSIVE, tuple(doubts)) if doubts else judge(comparisons, experiment)
    if verdict is Verdict.INCONCLUSIVE:
        reasons = (*reasons, *_short_of(users, plan))
    return Analysis(
        verdict=verdict,
        reasons=reasons,
        plan=plan,
        users=users,
        crossed=people.crossed,
        immature=joined.immature,
        duplicated=joined.duplicated,
        versions=people.versions,
        comparisons=tuple(comparisons),
        discoveries=tuple(benjamini_hochberg(secondary)),
    )


def judge(comparisons: Sequence[Comparison], experiment: Experiment) -> tuple[Verdict, tuple[str, ...]]:
    """PASS: a treatment is better by the primary metric and keeps every guardrail. FAIL: none can.

    A treatment fails when it is surely worse by the primary metric, or surely beyond a guardrail's margin.
    """
    of = {name: [c for c in comparisons if c.treatment == name] for name in experiment.treatments}
    judged = {name: _judge_one(found, experiment) for name, found in of.items()}
    for wanted in (Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL):
        reasons = [reason for verdict, said in judged.values() if verdict is wanted for reason in said]
        if reasons:
            return wanted, tuple(reasons)
    raise NotMeasurable("a verdict needs a treatment that was compared; got none")


def _judge_one(comparisons: Sequence[Comparison], experiment: Experiment) -> tuple[Verdict, list[str]]:
    primary = next(c for c in comparisons if c.role == "primary")
    guardrails = [c for c in comparisons if c.role == "guardrail" and c.margin is not None]
    broken = [c for c in guardrails if c.gain_high < -(c.margin or 0)]
    unsure = [c for c in guardrails if c.gain_low <= -(c.margin or 0) and c not in broken]
    # By the difference's p-value: a lift's interval is wider, since the control's own value is uncertain.
    sure = primary.p_value <= experiment.alpha_each
    better, worse = sure and primary.gain > 0, sure and primary.gain < 0
    if worse or broken:
        return Verdict.FAIL, [_told(c, "is worse") for c in ([primary] if worse else []) + broken]
    if better and not unsure:
        return Verdict.PASS, [_told(primary, "is better")] + [_told(c, "keeps its margin") for c in guardrails]
    open_ones = ([] if better else [primary]) + unsure
    return Verdict.INCONCLUSIVE, [_told(c, "is not decided") for c in open_ones]


def _told(c: Comparison, what: str) -> str:
    margin = "" if c.margin is None else f", margin {c.margin:.1%}"
    return (
        f"{c.treatment}: {METRICS[c.metric].words} {what}: lift {c.lift:+.1%} ({c.lift_low:+.1%} to {c.lift_high:+.1%})"
        f"{margin}"
    )


def _doubts(people: People, users: Mapping[str, int], experiment: Experiment) -> list[str]:
    """Why no difference between the variants would mean anything."""
    found = [f"variant {name} has no user" for name, count in users.items() if count == 0]
    total = sum(users.values())
    if total and people.crossed > MOST_CROSSED * (total + people.crossed):
        found.append(
            f"{people.crossed:,} of {total + people.crossed:,} users saw several variants: users were not kept in one"
        )
    odd = mismatch(users, experiment.variants) if total else None
    found += [odd] if odd else []
    for name, versions in people.versions.items():
        if len(versions) > 1:
            found.append(f"variant {name} was answered by versions {', '.join(versions)}: it stands for none of them")
    return found


def _too_early(users: Mapping[str, int], experiment: Experiment, now: datetime) -> list[str]:
    over = experiment.ends + experiment.window
    waits = experiment.looks == "once" and now < over
    few = {name: count for name, count in users.items() if 0 < count < FEWEST_USERS}
    return [
        *(f"variant {name} has {count:,} of at least {FEWEST_USERS} users" for name, count in few.items()),
        *([f"it is read once, after its last window: {over.isoformat()}"] if waits else []),
    ]


def _short_of(users: Mapping[str, int], plan: Plan) -> list[str]:
    """Why an effect that is there may not have been found."""
    return [
        f"variant {name} has {users[name]:,} of {needed:,} planned users"
        for name, needed in plan.users.items()
        if users[name] < needed
    ]


def _compared(people: People, users: Mapping[str, int], experiment: Experiment) -> tuple[list[Comparison], list[str]]:
    """All comparisons that can be made, and a sentence for each that cannot."""
    found, unmeasured = [], []
    for treatment in experiment.treatments:
        if not users[treatment] or not users[experiment.control]:
            continue
        for measured in (experiment.primary, *experiment.guardrails, *experiment.secondary):
            try:
                found.append(compare(people, measured, experiment, treatment=treatment))
            except NotMeasurable as error:
                unmeasured.append(f"{treatment}: {METRICS[measured.metric].words}: {error}")
    return found, unmeasured

"""Has the world moved away from what the champion was judged on? Columns with thresholds, one verdict with reasons.

Only evidence makes a colour. FAIL is a column that moved further than quiet windows do: the thresholds are for all
columns together, so one is enough. Too little evidence, a window that is damaged, or a column that cannot be compared
is INCONCLUSIVE: a broken upstream column should be mended, not retrained on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from monitoring.drift.policy import DriftPolicy
from monitoring.drift.window import WindowSize
from training.verdict import Verdict

NAMED_IN_A_REASON = 5
QUIET = "quiet windows stay within"


@dataclass(frozen=True)
class ColumnResult:
    """One column compared, or the `finding` why not; an `expected` finding is said and not judged.

    `shift` of the mean and `distance` (Wasserstein) are in standard deviations of the reference; `distance` is None
    where the mean says all (a flag, an age that grows, how alike slates are).
    """

    column: str
    shift: float | None = None
    shift_threshold: float | None = None
    distance: float | None = None
    distance_threshold: float | None = None
    finding: str | None = None
    expected: bool = False

    @property
    def compared(self) -> bool:
        return self.finding is None and self.shift is not None

    @property
    def excess(self) -> float:
        """How far away, as a multiple of the threshold; the further of shift and distance."""
        if not self.compared:
            return 0.0
        pairs = ((self.shift, self.shift_threshold), (self.distance, self.distance_threshold))
        return max(abs(value) / limit for value, limit in pairs if value is not None and limit)

    @property
    def drifted(self) -> bool:
        return self.excess > 1.0


@dataclass(frozen=True)
class Assessment:
    verdict: Verdict
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Side:
    """One window's evidence. `users` is the effective number of them."""

    name: str
    size: WindowSize
    users: float
    flaws: tuple[str, ...] = ()


def assess_drift(columns: Sequence[ColumnResult], policy: DriftPolicy, sides: Sequence[Side]) -> Assessment:
    """Return the verdict on one window: damage and too little evidence, then drift, then what could not be compared."""
    unfit = tuple(reason for side in sides for reason in unfit_reasons(side, policy))
    judged = [column for column in columns if not column.expected]
    if unfit:
        return Assessment(Verdict.INCONCLUSIVE, unfit)
    if not any(column.compared for column in judged):
        return Assessment(Verdict.INCONCLUSIVE, ("no column to compare", *_findings(judged), *_not_judged(columns)))
    drifted = sorted((c for c in judged if c.drifted), key=lambda c: c.excess, reverse=True)
    findings = _findings(judged)
    said = (_moved(drifted, len(judged), policy), _sight(judged), *_not_judged(columns))
    if drifted:
        return Assessment(Verdict.FAIL, (*said, *findings))
    blind = _blind(judged, policy)
    if findings or blind:
        return Assessment(Verdict.INCONCLUSIVE, (*findings, *blind, *said))
    return Assessment(Verdict.PASS, said)


def unfit_reasons(side: Side, policy: DriftPolicy) -> tuple[str, ...]:
    """Name each way in which a window is too small, or too damaged, to be judged."""
    if side.size.rows == 0:
        return (f"{side.name} window is empty",)
    bounds = (
        (side.size.rows, policy.minimum_rows, "rows"),
        (side.size.requests, policy.minimum_requests, "requests"),
        (round(side.users), policy.minimum_users, "effective users"),
    )
    thin = (
        f"{side.name} window has {got:,} {unit}; the policy asks for at least {least:,}"
        for got, least, unit in bounds
        if got < least
    )
    repeated = side.size.repeated
    twice = (f"{side.name} window has {repeated:,} of {side.size.rows:,} rows twice",) if repeated else ()
    return (*thin, *twice, *(f"{side.name} window: {flaw}" for flaw in side.flaws))


def _blind(judged: Sequence[ColumnResult], policy: DriftPolicy) -> tuple[str, ...]:
    """Quiet says nothing where a shift could not have been seen."""
    widest = _median_threshold(judged)
    if widest <= policy.widest_shift:
        return ()
    return (
        f"half of the columns could shift by {widest:.2f} sd of the reference unseen; the policy asks for at most "
        f"{policy.widest_shift:g}: a reference or a window with more users or days is needed",
    )


def _sight(judged: Sequence[ColumnResult]) -> str:
    return f"in half of the columns a shift of {_median_threshold(judged):.2f} sd of the reference would be seen"


def _median_threshold(judged: Sequence[ColumnResult]) -> float:
    limits = sorted(column.shift_threshold for column in judged if column.shift_threshold is not None)
    return limits[len(limits) // 2] if limits else float("inf")


def _findings(judged: Sequence[ColumnResult]) -> tuple[str, ...]:
    return tuple(f"{c.column}: {c.finding or 'no finite number to compare'}" for c in judged if not c.compared)


def _not_judged(columns: Sequence[ColumnResult]) -> tuple[str, ...]:
    by_finding: dict[str, list[str]] = {}
    for column in columns:
        if column.expected:
            by_finding.setdefault(str(column.finding), []).append(column.column)
    return tuple(f"not judged, {finding}: {', '.join(names)}" for finding, names in by_finding.items())


def _moved(drifted: Sequence[ColumnResult], total: int, policy: DriftPolicy) -> str:
    """Say how many columns moved and the furthest by name, each beside what a quiet window does."""
    rule = f"at most {policy.alarm_rate:.1%} of quiet windows would be called drift"
    if not drifted:
        return f"none of {total} columns moved further than quiet windows do ({rule})"
    named = ", ".join(_named(column) for column in drifted[:NAMED_IN_A_REASON])
    more = f" and {len(drifted) - NAMED_IN_A_REASON} more" if len(drifted) > NAMED_IN_A_REASON else ""
    return f"{len(drifted)} of {total} columns moved further than quiet windows do: {named}{more} ({rule})"


def _named(column: ColumnResult) -> str:
    shift, limit = column.shift or 0.0, column.shift_threshold or 0.0
    if abs(shift) > limit:
        return f"{column.column} {shift:+.2f} sd ({QUIET} {limit:.2f})"
    return f"{column.column} changed shape by {column.distance:.2f} sd ({QUIET} {column.distance_threshold:.2f})"

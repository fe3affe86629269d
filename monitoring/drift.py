"""Has the world moved away from what the champion was judged on? A policy, distances, a verdict with reasons.

Only evidence makes a colour. Too few rows, or a column that cannot be compared, is INCONCLUSIVE: a broken
upstream column is drift to a distance and silence to a report that skips it, and it should be mended, not
retrained on. FAIL needs a share of all columns, since one column in thirty crosses any threshold by chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import isfinite

from feature_repo.core.errors import RecommenderError
from training.verdict import Verdict

# Evidently gives one number a column; for these methods it is a distance, where larger means further away.
# Its p-value methods are refused: they read the other way round, and their size follows the number of rows.
DISTANCES = {
    "wasserstein": "mean shift of the sorted values, in standard deviations of the reference",
    "jensenshannon": "Jensen-Shannon distance of the binned distributions, 0 to 0.83",
}
NAMED_IN_A_REASON = 5


@dataclass(frozen=True)
class DriftPolicy:
    """What counts as drift. Evidently's own defaults change with the number of rows, so all is set here."""

    method: str = "wasserstein"  # a key of DISTANCES, for numbers
    threshold: float = 0.2  # distance from which such a column has drifted, in the method's unit
    flags: str = "*=*"  # names of the columns that hold 0 or 1 for one value of an attribute
    flag_method: str = "jensenshannon"  # their distance: it needs no standard deviation, which may be 0 here
    flag_threshold: float = 0.1  # as far apart as 0.28 standard deviations of a flag
    rare_share: float = 0.01  # share of the rarer value up to which a flag may be constant by chance
    fail_share: float = 0.3  # share of all columns, drifted, from which the verdict is FAIL
    minimum_rows: int = 500  # rows a window needs
    minimum_requests: int = 200  # requests a window needs: a slate's rows share their user features
    sample_rows: int = 20_000  # rows of each window that Evidently sees
    seed: int = 20_240  # of that sample
    missing_rise: float = 0.05  # rise of the share of missing values that is a finding
    constant_by_design: frozenset[str] = frozenset()  # columns that may hold one value in both windows

    def __post_init__(self) -> None:
        for method in (self.method, self.flag_method):
            if method not in DISTANCES:
                raise RecommenderError(f"drift method: expected one of {sorted(DISTANCES)}; got {method!r}")
        for threshold in (self.threshold, self.flag_threshold):
            if not (isfinite(threshold) and threshold > 0):
                raise RecommenderError(f"drift threshold: expected a number above 0; got {threshold}")
        if not 0 < self.fail_share <= 1:
            raise RecommenderError(f"drift fail share: expected above 0, at most 1; got {self.fail_share}")
        if self.sample_rows < self.minimum_rows:
            raise RecommenderError(
                f"drift sample: expected at least minimum_rows, {self.minimum_rows}; got {self.sample_rows}"
            )

    def is_flag(self, column: str) -> bool:
        return fnmatchcase(column, self.flags)

    def rule(self, column: str) -> tuple[str, float]:
        """Return method and threshold for one column."""
        return (self.flag_method, self.flag_threshold) if self.is_flag(column) else (self.method, self.threshold)

    def expects_constant(self, column: str) -> bool:
        """Tell whether one value in both windows is no alarm; a rare genre may be in neither."""
        return column in self.constant_by_design or self.is_flag(column)


@dataclass(frozen=True)
class WindowSize:
    """How much evidence a window holds, before sampling."""

    rows: int
    requests: int


@dataclass(frozen=True)
class ColumnResult:
    """One column compared, or the `finding` why not; an `expected` finding is said and not judged."""

    column: str
    method: str
    statistic: float | None
    threshold: float
    finding: str | None = None
    expected: bool = False

    @property
    def compared(self) -> bool:
        return self.finding is None and self.statistic is not None and isfinite(self.statistic)

    @property
    def drifted(self) -> bool:
        return self.excess >= 1.0

    @property
    def excess(self) -> float:
        """How far away, as a multiple of the threshold: comparable between columns of different methods."""
        return self.statistic / self.threshold if self.compared and self.statistic is not None else 0.0


@dataclass(frozen=True)
class Assessment:
    verdict: Verdict
    reasons: tuple[str, ...]


def assess_drift(
    columns: Sequence[ColumnResult], policy: DriftPolicy, *, reference: WindowSize, current: WindowSize
) -> Assessment:
    """Return the verdict on one window: too little evidence, then drift, then what could not be compared."""
    thin = (*_thin("reference", reference, policy), *_thin("current", current, policy))
    judged = [column for column in columns if not column.expected]
    findings = tuple(_finding(column) for column in judged if not column.compared)
    drifted = sorted((c for c in judged if c.drifted), key=lambda c: c.excess, reverse=True)
    said = (_share(drifted, len(judged), policy), *_not_judged(columns))
    if thin:
        return Assessment(Verdict.INCONCLUSIVE, thin)
    if not judged:
        return Assessment(Verdict.INCONCLUSIVE, ("no column to compare", *_not_judged(columns)))
    if len(drifted) / len(judged) >= policy.fail_share:
        return Assessment(Verdict.FAIL, (*said, *findings))
    if findings:
        return Assessment(Verdict.INCONCLUSIVE, (*findings, *said))
    return Assessment(Verdict.PASS, said)


def _thin(name: str, window: WindowSize, policy: DriftPolicy) -> tuple[str, ...]:
    """Name each way in which a window is too small to be judged."""
    if window.rows == 0:
        return (f"{name} window is empty",)
    bounds = (
        (window.rows, policy.minimum_rows, "rows"),
        (window.requests, policy.minimum_requests, "requests"),
    )
    return tuple(
        f"{name} window has {got:,} {unit}; the policy asks for at least {least:,}"
        for got, least, unit in bounds
        if got < least
    )


def _finding(column: ColumnResult) -> str:
    return f"{column.column}: {column.finding or 'Evidently gave no finite number'}"


def _not_judged(columns: Sequence[ColumnResult]) -> tuple[str, ...]:
    names = ", ".join(column.column for column in columns if column.expected)
    return (f"not judged, one value in both windows as the policy expects: {names}",) if names else ()


def _share(drifted: Sequence[ColumnResult], total: int, policy: DriftPolicy) -> str:
    """Say how many columns drifted, the furthest by name, and what the policy makes of it."""
    rule = f"{policy.method} >= {policy.threshold:g}, flags {policy.flag_method} >= {policy.flag_threshold:g}"
    rule = f"{rule}; FAIL from {policy.fail_share:.0%} of the columns"
    if not drifted:
        return f"0 of {total} columns drifted ({rule})"
    named = ", ".join(f"{c.column} {c.statistic:.2f}" for c in drifted[:NAMED_IN_A_REASON])
    more = f" and {len(drifted) - NAMED_IN_A_REASON} more" if len(drifted) > NAMED_IN_A_REASON else ""
    return f"{len(drifted)} of {total} columns drifted: {named}{more} ({rule})"

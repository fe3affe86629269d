"""What is known of a challenger, as values. Where something is not known, `Absent` says why."""

from collections.abc import Mapping
from dataclasses import dataclass

from training.evaluation.bootstrap import Interval
from training.verdict import Verdict


@dataclass(frozen=True)
class Absent:
    """There is no such evidence: no report, an unreadable or stale one, or one of other versions."""

    why: str


@dataclass(frozen=True)
class Compared:
    """Challenger less champion, paired by user, and the champion's own value."""

    champion: float
    difference: Interval


@dataclass(frozen=True)
class Both:
    """One figure of both versions."""

    champion: float
    challenger: float


@dataclass(frozen=True)
class SegmentCompared:
    """One segment of users; no interval where fewer than two users make it up."""

    name: str
    users: int
    champion: float
    difference: Interval | None


@dataclass(frozen=True)
class Latency:
    """Of one version alone, in milliseconds."""

    requests: int
    degraded: int
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Leaks:
    """What the leak check of the challenger's training compared, and found."""

    rows: int
    found: int


@dataclass(frozen=True)
class Report:
    """A report that judges for itself."""

    verdict: Verdict
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Drift:
    """The drift of the champion's world, and how many hours later the challenger's training window ends."""

    report: Report
    newer_hours: float


@dataclass(frozen=True)
class Evidence:
    """Everything that a policy may ask for."""

    quality: Compared | Absent
    retrievers: Mapping[str, Interval] | Absent  # by protocol
    coverage: Both | Absent
    novelty: Both | Absent
    segments: tuple[SegmentCompared, ...] | Absent
    index_recall: float | Absent
    leaks: Leaks | Absent
    drift: Drift | Absent
    latency: Latency | Absent
    fairness: Report | Absent
    skew: Report | Absent
    shadow: Report | Absent
    canary: Report | Absent

"""The newest window, alone and together with the one before: what stays can be seen although days differ.

A change that all rows of a day share, such as busier items, is uncertain by the days of a window and not by its rows.
Two windows hold twice the days. Each of the two questions has half of the alarm rate, so a quiet window is called drift
as seldom as by one (Bonferroni). A chart that sums more than two (CUSUM; Page, Biometrika 1954) would see smaller
changes, later.
"""

from dataclasses import replace

import pyarrow as pa

from monitoring.drift.judge import Judge, Judgement
from monitoring.drift.policy import DriftPolicy
from monitoring.drift.verdict import Assessment
from monitoring.drift.window import Window, WindowSize
from training.verdict import Verdict

HALF = 0.5  # of the alarm rate for each question
TOGETHER = "together with the window before"


def judge_newest(judge: Judge, current: Window, previous: Window | None, policy: DriftPolicy) -> Judgement:
    """Judge the newest window; without a `previous` one that can be judged with it, alone and at the full rate.

    Raises:
        RecommenderError: moments of a window are no timestamps.
    """
    both = pooled(previous, current) if previous and previous.size.requests >= policy.minimum_requests else None
    if both is None:
        return judge.judge(current)
    alone = judge.judge(current, HALF)
    if alone.assessment.verdict is not Verdict.PASS:
        return alone
    together = judge.judge(both, HALF)
    if together.assessment.verdict is Verdict.INCONCLUSIVE:
        return judge.judge(current)
    return with_sustained(alone, together)


def with_sustained(alone: Judgement, together: Judgement) -> Judgement:
    """What passed alone, with the verdict of both; columns that drifted together are shown as they did."""
    drifted = {column.column: column for column in together.columns if column.drifted}
    columns = tuple(drifted.get(column.column, column) for column in alone.columns)
    reasons = (f"{TOGETHER}, {together.assessment.reasons[0]}", *alone.assessment.reasons)
    return replace(alone, assessment=Assessment(together.assessment.verdict, reasons), columns=columns)


def pooled(previous: Window, current: Window) -> Window | None:
    """Both windows as one, or None where they do not hold the same columns."""
    if previous.sample.schema != current.sample.schema:
        return None
    rows, requests, repeated = (
        getattr(previous.size, name) + getattr(current.size, name) for name in ("rows", "requests", "repeated")
    )
    sample = pa.concat_tables([previous.sample, current.sample])
    flaws = tuple(dict.fromkeys((*previous.flaws, *current.flaws)))
    return Window(WindowSize(rows, requests, repeated), sample, flaws, current.source)

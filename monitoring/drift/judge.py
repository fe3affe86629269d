"""The judge of one champion: compares windows with its reference, as many as come."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor, log
from typing import Any

import numpy as np

from monitoring.drift.blocks import effective
from monitoring.drift.bootstrap import Shape, Thresholds
from monitoring.drift.columns import Rows, rows_of
from monitoring.drift.distance import wasserstein
from monitoring.drift.embeddings import Embeddings
from monitoring.drift.outliers import OUTLIERS
from monitoring.drift.policy import DriftPolicy
from monitoring.drift.profile import finding, same_constant
from monitoring.drift.ready import Ready, make_ready
from monitoring.drift.slates import MEANS, NEWCOMERS
from monitoring.drift.verdict import Assessment, ColumnResult, Side, assess_drift, unfit_reasons
from monitoring.drift.window import LABEL, Window

Array = np.ndarray[Any, Any]

STEPS = (1.05, 1.01, 1.05)  # windows with users, days, requests that differ by less share the smaller's thresholds
WEEK = 7


@dataclass(frozen=True)
class Judgement:
    """A verdict with the columns that it rests on and the two windows' evidence."""

    assessment: Assessment
    columns: tuple[ColumnResult, ...]
    sides: tuple[Side, Side]


class Judge:
    """Holds the reference ready. Thresholds are worked out once for each shape of window, and kept."""

    def __init__(self, reference: Window, policy: DriftPolicy, embeddings: Embeddings | None = None) -> None:
        self._policy = policy
        self._embeddings = embeddings
        self._reference = reference
        self._ready: Ready | None = None
        self._known: dict[tuple[int, int, int, float], Thresholds] = {}

    @property
    def reference(self) -> Window:
        return self._reference

    @property
    def ready(self) -> Ready:
        if self._ready is None:
            self._ready = make_ready(self._reference, self._policy, self._embeddings)
        return self._ready

    def judge(self, current: Window, share: float = 1.0) -> Judgement:
        """Compare one window; `share` of the policy's alarm rate is for this comparison.

        Raises:
            RecommenderError: moments of a window are no timestamps.
        """
        if not (self._reference.size.rows and current.size.rows):
            empty = (Side("reference", self._reference.size, 0.0), Side("current", current.size, 0.0))
            return Judgement(assess_drift((), self._policy, [side for side in empty if not side.size.rows]), (), empty)
        before, policy = self.ready, self._policy
        after, _ = rows_of(current, policy, before.basis)
        sides = (before.side, Side("current", current.size, effective(after.user), current.flaws))
        if any(unfit_reasons(side, policy) for side in sides):
            return Judgement(assess_drift((), policy, sides), (), sides)
        values = before.columns(after)
        left_out = self._left_out(after, current, values)
        columns = (*left_out, *self._compared(after, values, left_out, share))
        return Judgement(assess_drift(columns, policy, sides), columns, sides)

    def _left_out(self, after: Rows, current: Window, given: Mapping[str, Array]) -> list[ColumnResult]:
        """Columns that cannot be compared, or need not be."""
        before, policy, found = self.ready, self._policy, []
        for name in dict.fromkeys([*before.rows.profiles, *after.profiles]):
            sides = (before.rows.profiles.get(name), after.profiles.get(name))
            if policy.expects_constant(name) and same_constant(*sides):
                found.append(ColumnResult(name, finding="one value in both windows as expected", expected=True))
            elif reason := finding(name, reference=sides[0], current=sides[1], policy=policy):
                found.append(ColumnResult(name, finding=reason))
            elif name not in before.names and name not in before.basis.levels:
                found.append(ColumnResult(name, finding="does not vary in the reference, as a rate a day"))
        for name in before.names:
            if name not in given and name not in before.rows.profiles and not _owned(name, found):
                found.append(_absent(name, current))
        weeks = min(len(np.unique(rows.day)) for rows in (before.rows, after)) >= WEEK
        if not weeks:
            calendar = (name for name in before.names if policy.is_calendar(name))
            found += [ColumnResult(n, finding="a window holds no whole week", expected=True) for n in calendar]
        return found

    def _compared(
        self, after: Rows, values: Mapping[str, Array], left_out: list[ColumnResult], share: float
    ) -> list[ColumnResult]:
        before = self.ready
        if not before.names:
            return []
        thresholds = self._thresholds(after, share)
        grown = max(0.0, after.mean_day - before.rows.mean_day)
        return [
            self._result(name, values[name], place, thresholds, grown)
            for place, name in enumerate(before.names)
            if name in values and not _owned(name, left_out)
        ]

    def _result(self, name: str, values: Array, place: int, limits: Thresholds, grown: float) -> ColumnResult:
        before, policy = self.ready, self._policy
        finite = values[np.isfinite(values)]
        if not len(finite):
            return ColumnResult(name, finding="holds no value in the current window")
        scale = float(before.calibration.scale[place])
        moved = float(finite.mean()) - before.means[name]
        age, flag = policy.is_age(name), name in before.flags
        if age:
            # Between standing still, where new ones come as old ones leave, and a day for each day that went by.
            moved -= min(max(moved, 0.0), grown)
        elif name in NEWCOMERS or name == OUTLIERS:
            # A log that grows older knows more of its users and items, and fewer odd rows hurt nobody.
            moved = max(moved, 0.0)
        # How alike the reference's slates are is measured without their own users: the mean is the same, the shape not.
        distance = None if age or flag or name in MEANS else wasserstein(before.ordered[name], finite) / scale
        far = None if distance is None else max(float(limits.distance[place]), policy.smallest_distance)
        return ColumnResult(name, moved / scale, max(float(limits.shift[place]), policy.smallest_shift), distance, far)

    def _thresholds(self, after: Rows, share: float) -> Thresholds:
        held_by = (effective(after.user), effective(after.day), float(len(np.unique(after.request))))
        steps = [floor(log(max(held, 1.0), step) + 1e-9) for held, step in zip(held_by, STEPS, strict=True)]
        users, days, requests = (step**at for step, at in zip(STEPS, steps, strict=True))
        key = (steps[0], steps[1], steps[2], share)
        if key not in self._known:
            shape = Shape(users, days, max(1, floor(requests)))
            self._known[key] = self.ready.calibration.thresholds(shape, share)
        return self._known[key]


def _owned(name: str, found: list[ColumnResult]) -> bool:
    """Whether a column, or the one that it was made of, is among those left out."""
    made_of = name.removeprefix("missing:")
    return any(one.column in (name, made_of) or name.startswith(f"{one.column}=") for one in found)


def _absent(name: str, current: Window) -> ColumnResult:
    if name == LABEL and current.source == "log":
        return ColumnResult(name, finding="a log's answers are counted otherwise than a replay's", expected=True)
    return ColumnResult(name, finding="missing from the current window")

"""The reference made ready once: its columns, their bins and scales, and the blocks that thresholds are drawn from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitoring.drift.blocks import bin_centres, bin_edges, blocks_of, effective
from monitoring.drift.bootstrap import Calibration, Shape
from monitoring.drift.columns import GAPS, Basis, Rows, rows_of
from monitoring.drift.distance import Sorted
from monitoring.drift.embeddings import Embeddings, Projected, projected
from monitoring.drift.outliers import OUTLIERS, Usual, usual
from monitoring.drift.policy import DriftPolicy
from monitoring.drift.slates import NEW_ITEM, NEW_USER, UNSEEN, Shown, shown_in, slate_columns
from monitoring.drift.verdict import Side
from monitoring.drift.window import LABEL, Window

Array = np.ndarray[Any, Any]

BINS = 24  # of a column's values in the bootstrap
ROUNDING = 1e-6  # of the largest value
SHARES = frozenset({NEW_USER, NEW_ITEM, UNSEEN, LABEL, OUTLIERS})


@dataclass(frozen=True)
class Ready:
    """`names` are the columns that are judged, in the order of `calibration`; `flags` those that hold 0 or 1."""

    rows: Rows
    basis: Basis
    shown: Shown | None
    projected: Projected | None
    usual: Usual | None
    names: tuple[str, ...]
    flags: frozenset[str]
    ordered: Mapping[str, Sorted]
    means: Mapping[str, float]
    calibration: Calibration
    side: Side

    def columns(self, rows: Rows) -> dict[str, Array]:
        """Every column of another window, by name."""
        return self._with_outliers(rows, _columns(rows, self.shown, self.projected, own=False))

    def own_columns(self) -> dict[str, Array]:
        """Every column of the reference itself."""
        return self._with_outliers(self.rows, _columns(self.rows, self.shown, self.projected, own=True))

    def _with_outliers(self, rows: Rows, values: dict[str, Array]) -> dict[str, Array]:
        return _with_outliers(self.usual, rows, values)


def make_ready(window: Window, policy: DriftPolicy, embeddings: Embeddings | None = None) -> Ready:
    """Take the reference apart; nothing random but the blocks that are drawn where there are too many.

    Raises:
        RecommenderError: its moments are no timestamps.
    """
    rows, basis = rows_of(window, policy)
    shown = shown_in(rows)
    directions = projected(embeddings, rows.items) if embeddings and rows.items is not None and len(rows) else None
    values = _columns(rows, shown, directions, own=True)
    ordinary = usual(rows, values, _measures(rows, policy), share=policy.outlier_share)
    values = _with_outliers(ordinary, rows, values)
    finite = {name: held[np.isfinite(held)] for name, held in values.items()}
    levels = {f"{name}={level}" for name, held in basis.levels.items() for level in held}
    flags = frozenset(n for n in values if policy.is_flag(n) or n in SHARES or n in levels or n.startswith(GAPS))
    names = tuple(name for name, held in finite.items() if len(held) and (name in flags or _varies(held)))
    edges = {name: bin_edges(values[name], BINS) for name in names}
    centres = [bin_centres(values[name], edges[name]) for name in names]
    calibration = Calibration(
        blocks=blocks_of(rows, values, names, edges, bins_a_column=BINS, most=policy.blocks, seed=policy.seed),
        scale=np.array([_scale(finite[name], policy, flag=name in flags) for name in names]),
        centres=np.stack(centres) if centres else np.zeros((0, BINS)),
        shape=Shape(effective(rows.user), effective(rows.day), len(np.unique(rows.request))),
        alarm_rate=policy.alarm_rate,
        draws=policy.draws,
        seed=policy.seed,
    )
    return Ready(
        rows=rows,
        basis=basis,
        shown=shown,
        projected=directions,
        usual=ordinary,
        names=names,
        flags=flags,
        ordered={name: Sorted.of(finite[name]) for name in names},
        means={name: float(finite[name].mean()) for name in names},
        calibration=calibration,
        side=Side("reference", window.size, effective(rows.user), window.flaws),
    )


def _columns(rows: Rows, shown: Shown | None, directions: Projected | None, *, own: bool) -> dict[str, Array]:
    of_items = directions.columns(rows.items) if directions and rows.items is not None else {}
    return {**rows.values, **slate_columns(rows, shown, own=own), **of_items}


def _with_outliers(ordinary: Usual | None, rows: Rows, values: dict[str, Array]) -> dict[str, Array]:
    return values | {OUTLIERS: ordinary.column(rows, values)} if ordinary else values


def _measures(rows: Rows, policy: DriftPolicy) -> tuple[str, ...]:
    """The file's numbers in which a row can be far out: no flag, no hour, and nothing that only grows older."""
    told_otherwise = (policy.is_flag, policy.is_calendar, policy.is_age)
    numeric = (name for name in rows.profiles if name in rows.values)
    return tuple(name for name in numeric if not any(told(name) for told in told_otherwise))


def _varies(values: Array) -> bool:
    """Whether there is more than the rounding of 32 bits."""
    return float(np.ptp(values)) > ROUNDING * float(np.abs(values).max())


def _scale(values: Array, policy: DriftPolicy, *, flag: bool) -> float:
    """One standard deviation; of a flag at least that of a rare one, since one row more is no drift."""
    spread = float(values.std())
    rare = policy.rare_share * (1 - policy.rare_share)
    return max(spread, rare**0.5) if flag else spread

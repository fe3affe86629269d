"""Shares of simulated runs as rows: the figure with its exact 95 % limits, held against a range."""

from scipy.stats import binomtest

from bench.rows import Row

BENCH = "monitoring"


def share_row(
    name: str,
    hits: int,
    runs: int,
    *,
    low: float = 0.0,
    high: float = 1.0,
    beside: tuple[str, float | None] = ("", None),
) -> Row:
    """`hits` of `runs` as a percentage. It holds where both Clopper-Pearson limits lie from `low` to `high`."""
    limits = binomtest(hits, runs).proportion_ci(0.95, method="exact")
    told = f"{name} ({100 * limits.low:.2f} to {100 * limits.high:.2f} %, {runs:,} runs)"
    bound = "" if (low, high) == (0.0, 1.0) else f"{100 * low:g} to {100 * high:g} %"
    holds = limits.low >= low and limits.high <= high
    return Row(BENCH, told, 100 * hits / runs, "%", *beside, bound, holds)


def figure_row(
    name: str, value: float, limits: tuple[float, float], *, unit: str, beside: tuple[str, float | None] = ("", None)
) -> Row:
    """A figure that nothing is asked of, with its 95 % limits."""
    return Row(BENCH, f"{name} ({limits[0]:.3g} to {limits[1]:.3g})", value, unit, *beside, "", holds=True)

"""How the chance of a false alarm is split: over measures, and for operations over steps too.

Bonferroni's inequality, with parts that are fixed beforehand: whatever depends on whatever, the chance that anything
rolls back a canary that is no worse than what is tolerated is at most the sum of the parts.
"""

import math

# Parts of the policy's false_alarm. They sum to one; the part of a rate that is not judged is not used.
PARTS = {
    "clicks": 0.4,
    "conversions": 0.1,
    "errors": 0.2,
    "degraded": 0.05,
    "p50": 0.1,
    "tail": 0.1,
    "saturation": 0.05,
}
# Operations start anew at every step, since load is what a step changes. The shadow gets this part, and every later
# step half of what is left: a fault of the build itself shows in the first step, which has the fewest requests.
SHADOW_PART = 0.1


def log_needed(alpha: float) -> float:
    """The log e-value that a test at this level waits for."""
    return -math.log(alpha)


def rate_alarm(false_alarm: float, measure: str) -> float:
    """Level of a rate, whose evidence grows over the whole rollout."""
    return false_alarm * PARTS[measure]


def operations_alarm(false_alarm: float, measure: str, index: int) -> float:
    """Level of an operation in one step; -1 is the shadow."""
    part = false_alarm * PARTS[measure]
    return part * SHADOW_PART if index < 0 else part * (1 - SHADOW_PART) * 0.5 ** (index + 1)

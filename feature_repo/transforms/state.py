"""What the tables of state hold, for those who write them and those who read them.

Without Ibis, which nothing needs that only reads: a serving process starts a second sooner and is 40 MB smaller.
"""

import math

from feature_repo.dataset.declaration import Dataset, EntityTable

MICROSECONDS_A_DAY = 86_400_000_000
THOUSANDTHS = 1_000

# Days of a key's counts. The longest window is 90 days, and as many buckets as there are days in it are always enough.
BUCKETS = 90
REACH_WINDOWS = (1, 7, 30, 90)  # completed days before the day of the request

HISTORY_ITEMS = 200  # what pairs of user and item, sessions and active hours are counted over
TASTE_EVENTS = 50  # whose items' categories are a user's tastes
SEEN_ITEMS = 1000  # what the filter of consumed items knows
HIDDEN_ITEMS = 1000  # what the filter of items that the user does not want knows


def thousandths(value: float | None) -> int:
    """What `as_log` makes of one value; 0 where there is none."""
    return 0 if value is None else math.floor(value * THOUSANDTHS + 0.5)


def funnel(dataset: Dataset) -> tuple[str, ...]:
    """The event types with a positive weight, weakest first; empty where there is only one."""
    steps = sorted((weight, kind) for kind, weight in dataset.weights.items() if weight > 0)
    return tuple(kind for _, kind in steps) if len(steps) > 1 else ()


def step_columns(steps: int) -> tuple[str, ...]:
    return tuple(f"item_step_{place}" for place in range(1, steps + 1))


def taste_attributes(declared: EntityTable | None) -> tuple[str, ...]:
    """The item attributes that tastes are kept of: those whose values many items share."""
    return (*declared.categorical, *declared.multi) if declared else ()


def hiding_types(dataset: Dataset) -> list[str]:
    """The event types by which a user says that an item is not wanted: those with a negative weight."""
    return [kind for kind, weight in dataset.weights.items() if weight < 0]

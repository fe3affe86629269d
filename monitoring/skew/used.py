"""The states that requests were served with, told from what was served.

Times that are possible come from state.py. The one whose state leaves least unexplained is taken, and the request's own
moment where none leaves less than the state of that moment does.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from feature_repo.transforms.state import MICROSECONDS_A_DAY
from monitoring.skew.served import Served
from monitoring.skew.state import FOREVER, UNKNOWN, History, agreed_span, same_table, times_within

Array = np.ndarray[Any, Any]
# How many values states of times [n] leave unexplained [n], of the requests at places [n].
Unexplained = Callable[[Array, Array], Array]

CANDIDATES = 40  # of a request, that are asked for the item table's time
TRIED = 5  # requests of one item table on which its possible times are tried
SECOND_US = 1_000_000
COUNT, RECENCY = "item_events", "item_recency_days"


def user_times(
    served: Served, user_ids: Array, known: Mapping[str, History], differing: Array, unexplained: Unexplained
) -> Array:
    """The times [r] of the user rows that were served; `differing` [r] counts their values that are not those of the
    requests' moments."""
    asked: list[tuple[int, int]] = []
    for place in np.flatnonzero(differing).tolist():
        history = known.get(user_ids[place], UNKNOWN)
        asked += [(place, time) for time in _times_of_row(served.rows[place], history, int(served.moments_us[place]))]
    found: Array = served.moments_us.copy()
    if not asked:
        return found
    places, times = (np.array(column, np.int64) for column in zip(*asked, strict=True))
    fewest = differing.copy()
    for place, time, count in zip(places.tolist(), times.tolist(), unexplained(places, times).tolist(), strict=True):
        if count < fewest[place]:
            fewest[place], found[place] = count, time
    return found


def _times_of_row(row: Mapping[str, Any], history: History, moment_us: int) -> list[int]:
    """The last moments at which the states that a raw row may be were the newest, but for that of the request."""
    numbers = {
        history.with_count(_number(row.get("user_event_count"))),
        history.with_last(_number(row.get("user_last_event")), within=0),
    }
    numbers -= {None, history.number_at(moment_us)}
    spans = (history.span(number) for number in numbers if number is not None)
    return [high if high < FOREVER else low for low, high in spans]


def _number(value: Any) -> float:
    """A number of a raw row; nothing, or something else than a number, is NaN."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")


def item_times(
    served: Served, names: Sequence[str], known: Mapping[str, History], differing: Array, unexplained: Unexplained
) -> Array:
    """The times [r] of the item tables that were served; `differing` [r] as for users, `names` those of the matrix."""
    found: Array = served.moments_us.copy()
    affected = np.flatnonzero(differing)
    columns = [list(names).index(name) for name in (COUNT, RECENCY)]
    spans = [_span_of_table(served.of(np.array([place])), columns, known) for place in affected]
    for members, span in same_table(spans):
        places = affected[members]
        tried = places[:TRIED]
        fewest, best = int(differing[tried].sum()), None
        for time in times_within(span, until_us=int(served.moments_us[places].max())):
            count = int(unexplained(tried, np.full(len(tried), time)).sum())
            if count < fewest:
                fewest, best = count, time
            if count == 0:
                break
        if best is not None:
            found[places] = best
    return found


def _span_of_table(one: Served, columns: Sequence[int], known: Mapping[str, History]) -> tuple[int, int]:
    """When the item table of one request may have been read."""
    moment = int(one.moments_us[0])
    cells = one.matrix[:CANDIDATES, list(columns)].astype(np.float64).tolist()
    spans = []
    for item, (count, days) in zip(one.item_ids[:CANDIDATES].tolist(), cells, strict=True):
        history = known.get(item, UNKNOWN)
        # Days of 32 bits are exact to a part in ten million.
        within = SECOND_US + abs(days) * MICROSECONDS_A_DAY * 2e-7
        numbers = history.with_count(count), history.with_last(moment - days * MICROSECONDS_A_DAY, within=within)
        spans += [history.span(number) for number in numbers if number is not None]
    return agreed_span(spans)

"""Which logged request an event answers.

An event that names its request answers that one. Any other answers the last request of its user before it: one event is
never the answer to two requests. Either way only within the attribution window, which begins with the request: what
comes later is no answer, and a request whose window is not over yet has none that is complete.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

NONE = -1


@dataclass(frozen=True)
class Asked:
    """r requests in order of time: ids [r], users [r], UTC microseconds [r]."""

    request_ids: Array
    user_ids: Array
    moments_us: Array


@dataclass(frozen=True)
class Happened:
    """e events: users [e], UTC microseconds [e], and the request that each one names [e], None where it names none."""

    user_ids: Array
    moments_us: Array
    request_ids: Array


def answered_requests(asked: Asked, happened: Happened, *, window_us: int) -> Array:
    """The number of the request that each event answers [e], NONE where it answers none.

    An event that names a request of someone else, or one that is not in `asked`, answers none.
    """
    number = {name: place for place, name in enumerate(asked.request_ids.tolist())}
    of_user: dict[str, list[int]] = {}
    for place, user in enumerate(asked.user_ids.tolist()):
        of_user.setdefault(user, []).append(place)
    times = {user: asked.moments_us[places] for user, places in of_user.items()}
    found = np.full(len(happened.user_ids), NONE, np.int64)
    events = zip(happened.user_ids.tolist(), happened.moments_us.tolist(), happened.request_ids.tolist(), strict=True)
    for at, (user, moment, request) in enumerate(events):
        if request is not None:
            place = number.get(request, NONE)
        elif user in times:
            # A page that is asked for and used at the same microsecond was asked for first.
            before = int(np.searchsorted(times[user], moment, side="right"))
            place = of_user[user][before - 1] if before else NONE
        else:
            continue
        if place != NONE and asked.user_ids[place] == user:
            waited = moment - int(asked.moments_us[place])
            found[at] = place if 0 <= waited < window_us else NONE
    return found

"""Windows with a known truth for fairness: users with a level of their own, groups, a harm of a stated size."""

from typing import Any

import numpy as np
from scipy import sparse

from monitoring.fairness.groups import HEAD, NEW, TAIL, Grouping
from monitoring.fairness.window import FairnessWindow, Shown

Array = np.ndarray[Any, Any]

K, CATALOGUE, CATEGORIES = 5, 60, 6
DAY_US = 86_400_000_000


def fair_window(
    rng: np.random.Generator,
    *,
    users: int = 200,
    requests_each: int = 10,
    groups: int = 4,
    kept: float = 1.0,
    of_group: int = 0,
    challenger: bool = True,
) -> FairnessWindow:
    """A champion, and a challenger as good as it but in `of_group`, where it has `kept` of the champion's hits.

    A user's chance of a hit at a place is a level of their own, 0.3 on average, so requests of one user move together.
    """
    user = np.repeat(np.arange(users), requests_each)
    requests = len(user)
    level = rng.beta(3, 7, size=users)[user]
    of = user % groups
    shares = np.where(of == of_group, kept, 1.0)
    names = np.array([f"g{number}" for number in range(groups)], object)
    shown = {"1": _shown(rng, level)}
    if challenger:
        shown["2"] = _shown(rng, level * shares)
    places = np.arange(CATALOGUE)
    return FairnessWindow(
        shown=shown,
        user=user,
        users=users,
        moments_us=1_700_000_000_000_000 + np.tile(np.arange(requests_each), users) * DAY_US,
        groupings=(Grouping("group", names[of]),),
        not_judged=(),
        item_group=np.where(places < 12, HEAD, np.where(places < 54, TAIL, NEW)).astype(object),
        history=sparse.csr_array((rng.random((requests, CATALOGUE)) < 0.1).astype(float)),
        vectors=sparse.csr_array(np.eye(CATEGORIES)[places % CATEGORIES]),
    )


def _shown(rng: np.random.Generator, level: Array) -> Shown:
    """Distinct items by chance, and hits with the chance `level` [r]."""
    slates = rng.random((len(level), CATALOGUE)).argpartition(K, axis=1)[:, :K]
    return Shown(slates, rng.random((len(level), K)) < level[:, None], np.full(len(level), K))

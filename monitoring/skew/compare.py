"""Logged values against retrieved ones, feature by feature; a request differs where one of its candidates does."""

from collections.abc import Mapping, Sequence
from math import isclose
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def cells_differ(logged: Array, retrieved: Array, *, relative: float, absolute: float) -> Array:
    """Bool of the arguments' shape; NaN is the same as NaN, and as nothing else."""
    same = np.isclose(logged, retrieved, rtol=relative, atol=absolute, equal_nan=True)
    different: Array = ~same
    return different


def of_requests(cells: Array, request: Array, requests: int) -> Array:
    """Bool [requests, f]: whether any candidate's cell [n, f] is True; `request` [n] ascends."""
    found = np.zeros((requests, cells.shape[1]), bool)
    if len(request):
        rows, starts = np.unique(request, return_index=True)
        found[rows] = np.logical_or.reduceat(cells, starts, axis=0)
    return found


def rows_differ(
    served: Sequence[Mapping[str, Any]], retrieved: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> Array:
    """Bool [r, names]: whether the raw user rows differ. No value and an empty list are the same: nothing is known."""
    pairs = zip(served, retrieved, strict=True)
    found = [[not same_value(one.get(name), other.get(name)) for name in names] for one, other in pairs]
    return np.array(found, bool).reshape(len(served), len(names))


def same_value(logged: Any, retrieved: Any) -> bool:
    """Equal in value and in kind: the text "1" is not the number 1, and a truth is no number."""
    if _nothing(logged) or _nothing(retrieved):
        return _nothing(logged) and _nothing(retrieved)
    if isinstance(logged, list) and isinstance(retrieved, list):
        return len(logged) == len(retrieved) and all(map(same_value, logged, retrieved))
    if _number(logged) and _number(retrieved):
        return logged == retrieved or isclose(logged, retrieved, rel_tol=1e-9)
    return type(logged) is type(retrieved) and bool(logged == retrieved)


def _nothing(value: Any) -> bool:
    return value is None or value == [] or (isinstance(value, float) and np.isnan(value))


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

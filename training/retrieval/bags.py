"""Bags of items met: what each of them counts, for many queries as one sparse matrix.

A bag has tens of items, and requests come one by one: a dict is filled and put in order sooner than arrays are.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np
from scipy import sparse

Array = np.ndarray[Any, Any]

Bag = Mapping[int, float]


def ordered(bag: Bag) -> tuple[Array, Array]:
    """Items [b] in ascending order, int32, and what they count, float32."""
    items = sorted(bag)
    return np.array(items, np.int32), np.fromiter(map(bag.__getitem__, items), np.float32, len(items))


def stacked(bags: Sequence[Bag], items: int) -> sparse.csr_array:
    """Row by row the `bags` [q] over so many items, float32 [q, items]."""
    parts = [ordered(bag) for bag in bags] or [ordered({})]
    indices, data = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
    found = sparse.csr_array.__new__(sparse.csr_array)
    starts = np.array([0, *accumulate(map(len, bags))], np.int32)
    vars(found).update(vars(_no_bags(len(bags), items)), data=data, indices=indices, indptr=starts)
    return found


@lru_cache(maxsize=1)
def _no_bags(queries: int, items: int) -> sparse.csr_array:
    """What a matrix has besides its parts: scipy's checks of those take longer than making them."""
    return sparse.csr_array((queries, items), dtype=np.float32)

"""Text to index: every known value its own, or, where there are too many, a bucket of a hash.

Index 0 means unknown or missing, so a new user, item or category always has an encoding.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Vocabulary:
    """`values[i]` has index i + 1."""

    values: tuple[str, ...]
    indexes: dict[str, int] = field(repr=False)

    def __len__(self) -> int:
        return len(self.values) + 1

    @property
    def collision_rate(self) -> float:
        return 0.0

    @property
    def labels(self) -> tuple[str, ...]:
        """A name for each index from 1 on."""
        return self.values

    def encode(self, texts: Array) -> Array:
        """Indexes of `texts`, any shape, as int64 of the same shape."""
        found = np.fromiter(map(self.indexes.get, texts.ravel().tolist(), repeat(0)), np.int64, texts.size)
        return found.reshape(texts.shape)

    def to_json(self) -> Any:
        return list(self.values)


@dataclass(frozen=True)
class HashedVocabulary:
    """Values share `buckets`; `collision_rate` is the share of the known values that had to share one."""

    buckets: int
    collision_rate: float

    def __len__(self) -> int:
        return self.buckets + 1

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(f"#{bucket}" for bucket in range(1, self.buckets + 1))

    def encode(self, texts: Array) -> Array:
        distinct = {t: _bucket(t, self.buckets) for t in set(texts.ravel().tolist()) if t is not None}
        found = np.fromiter((distinct.get(t, 0) for t in texts.ravel()), np.int64, texts.size)
        return found.reshape(texts.shape)

    def to_json(self) -> Any:
        return {"buckets": self.buckets, "collision_rate": self.collision_rate}


AnyVocabulary = Vocabulary | HashedVocabulary


def vocabulary(values: Iterable[str | None]) -> Vocabulary:
    distinct = tuple(sorted({v for v in values if v is not None}))
    return Vocabulary(distinct, {value: index for index, value in enumerate(distinct, start=1)})


def category_vocabulary(values: Iterable[str | None], *, limit: int) -> AnyVocabulary:
    """A vocabulary of at most `limit` distinct values, or else a hash into `limit` buckets."""
    distinct = {v for v in values if v is not None}
    if len(distinct) <= limit:
        return vocabulary(distinct)
    buckets = np.bincount([_bucket(v, limit) for v in distinct])
    return HashedVocabulary(limit, float(buckets[buckets > 1].sum() / len(distinct)))


def vocabulary_from_json(saved: Any) -> AnyVocabulary:
    return HashedVocabulary(**saved) if isinstance(saved, dict) else vocabulary(saved)


def _bucket(text: str, buckets: int) -> int:
    """From 1 on, and the same in every process: Python's own hash of a string is not."""
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) % buckets + 1

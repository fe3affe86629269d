"""Assignment of users to buckets by a keyed hash, so that every caller and every analysis agrees without a table.

A unit (a user id, a rollout's name) falls into a bucket of a layer. Two layers are two independent draws: who is in a
bucket of one is spread evenly over all buckets of the other, so experiments in different layers do not disturb each
other. The key keeps a caller from choosing its own variant; it must be the same wherever buckets are computed.

Kohavi, Tang and Xu (2020), Trustworthy Online Controlled Experiments, chapter 4 (layers); the hash is HMAC (RFC 2104).
"""

import hashlib
import hmac
import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from feature_repo.core.errors import SettingsRefused

ENVIRONMENT = "RECOMMENDER_ASSIGNMENT_KEY"
LEAST_KEY_BYTES = 16
BUCKETS = 100
WORD = 8  # bytes of the hash that are read

Array = np.ndarray[Any, Any]


def assignment_key() -> bytes:
    """The deployment's key, from the environment.

    Raises:
        SettingsRefused: there is none, or it is too short to be a secret.
    """
    key = os.environ.get(ENVIRONMENT, "").encode()
    if len(key) < LEAST_KEY_BYTES:
        raise SettingsRefused(f"{ENVIRONMENT} needs at least {LEAST_KEY_BYTES} bytes; got {len(key)}")
    return key


def bucket_of(unit: str, *, layer: str, key: bytes, buckets: int = BUCKETS) -> int:
    """The bucket of one unit, from 0 to `buckets` - 1."""
    return int.from_bytes(_word(unit, layer, key), "big") % _checked(buckets)


def buckets_of(units: Iterable[str], *, layer: str, key: bytes, buckets: int = BUCKETS) -> Array:
    """The bucket of each unit: int64 [units], equal to `bucket_of` of each."""
    words = b"".join(_word(unit, layer, key) for unit in units)
    return (np.frombuffer(words, dtype=">u8") % np.uint64(_checked(buckets))).astype(np.int64)


def first_bucket(rollout: str) -> int:
    """Where a rollout's range of buckets starts: another rollout starts elsewhere, so not the same people test both."""
    return int.from_bytes(hashlib.sha256(rollout.encode()).digest()[:WORD], "big") % BUCKETS


def _word(unit: str, layer: str, key: bytes) -> bytes:
    # A layer's name holds no zero byte, so no two pairs of layer and unit give one text.
    return hmac.digest(key, f"{layer}\0{unit}".encode(), "sha256")[:WORD]


def _checked(buckets: int) -> int:
    if buckets < 1:
        raise SettingsRefused(f"assignment needs at least 1 bucket; got {buckets}")
    return buckets

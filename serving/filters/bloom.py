"""Seen items as a Bloom filter: a fixed number of bits for a user, whatever the length of the history.

An item that was seen is never taken for unseen. One that was not is taken for seen, and so not shown, with the stated
probability: (1 - exp(-h n / b))^h after n items in b bits with h hashes (Bloom, Communications of the ACM 1970).
"""

import hashlib
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def hash_pairs(item_ids: Array) -> Array:
    """Uint64 [n, 2] of ids [n]: the same in every process. To be kept with an item table, since it reads every id."""
    digests = b"".join(hashlib.blake2b(str(item).encode(), digest_size=16).digest() for item in item_ids)
    return np.frombuffer(digests, "<u8").reshape(-1, 2)


class BloomSeen:
    """One user's seen items in `bits` (uint8, packed), read with `hashes` hash functions."""

    def __init__(self, bits: Array, hashes: int) -> None:
        self._bits = bits
        self._hashes = hashes

    @classmethod
    def of(cls, item_ids: Iterable[str], *, error: float, expected: int | None = None) -> "BloomSeen":
        """A filter whose share of false alarms is `error`, between 0 and 1, once it holds `expected` items."""
        ids = np.array(list(item_ids), object)
        size, hashes = sized(max(expected or 0, len(ids), 1), error)
        flat = np.zeros(size, bool)
        flat[_positions(hash_pairs(ids), hashes, size)] = True
        return cls(np.packbits(flat, bitorder="little"), hashes)

    def unseen(self, item_ids: Array) -> Array:
        return self.unseen_hashed(hash_pairs(item_ids))

    def unseen_hashed(self, pairs: Array) -> Array:
        """`unseen` of items whose `hash_pairs` are known."""
        at = _positions(pairs, self._hashes, 8 * len(self._bits))
        held = (self._bits[at >> 3] >> (at & 7).astype(np.uint8)) & 1
        return np.asarray(~held.astype(bool).all(axis=1))

    def false_alarms(self) -> float:
        """The probability, by the share of bits that are set, that an unseen item is taken for a seen one."""
        filled = float(np.bitwise_count(self._bits).sum()) / (8 * len(self._bits))
        return float(filled**self._hashes)

    def to_bytes(self) -> bytes:
        return bytes([self._hashes]) + self._bits.tobytes()

    @classmethod
    def from_bytes(cls, content: bytes) -> "BloomSeen":
        return cls(np.frombuffer(content, np.uint8, offset=1), content[0])


def sized(items: int, error: float) -> tuple[int, int]:
    """Bits, in whole bytes, and hash functions for the least memory: -n ln(error) / ln(2)^2 and b ln(2) / n."""
    if not 0 < error < 1:
        raise ValueError(f"the share of false alarms must be between 0 and 1; got {error}")
    bits = math.ceil(-items * math.log(error) / math.log(2) ** 2 / 8) * 8
    return bits, max(1, round(bits * math.log(2) / items))


def _positions(pairs: Array, hashes: int, size: int) -> Array:
    """Int64 [n, hashes]: two hashes give all of them (Kirsch and Mitzenmacher, ESA 2006)."""
    times = np.arange(hashes, dtype=np.uint64)
    return ((pairs[:, :1] + times * (pairs[:, 1:] | np.uint64(1))) % np.uint64(size)).astype(np.int64)

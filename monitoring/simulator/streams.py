"""Random numbers by name: drawing more of one thing never changes another."""

from zlib import crc32

import numpy as np


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """A generator of its own for each seed and name."""
    words = (crc32(name.encode()) if isinstance(name, str) else name for name in names)
    return np.random.default_rng([seed, *words])

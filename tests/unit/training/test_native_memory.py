import os
from pathlib import Path

import numpy as np

from training.retrieval.native_memory import kept_memory

SIZE = 400_000_000  # bytes; far above what a run of tests takes and gives back beside it


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_what_is_freed_is_kept_inside_and_goes_back_at_the_end() -> None:
    before = resident()

    with kept_memory():
        array = np.ones(SIZE, np.uint8)
        del array
        inside = resident()
    after = resident()

    assert inside - before > SIZE / 2
    assert after - before < SIZE / 2

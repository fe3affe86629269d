"""Memory of native libraries, kept by the process for the length of one fit.

A step of the towers takes and gives back arrays of tens of megabytes. The C library asks the system for each of them
anew, and the system fills each with zeros page by page: a third of the training's time. Kept, they are used again.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

# Parameters of glibc's mallopt, and what they are before anybody sets them.
TRIM_THRESHOLD, MMAP_MAX = -1, -4
DEFAULTS = {TRIM_THRESHOLD: 128 * 1024, MMAP_MAX: 65_536}
KEPT = {TRIM_THRESHOLD: 2**31 - 1, MMAP_MAX: 0}


@contextmanager
def kept_memory() -> Iterator[None]:
    """What is freed inside stays with the process and goes back at the end. Without glibc nothing changes."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "malloc_trim"):  # glibc alone has it
        yield
        return
    _set(library, KEPT)
    try:
        yield
    finally:
        _set(library, DEFAULTS)
        library.malloc_trim(ctypes.c_size_t(0))


def _set(library: ctypes.CDLL, values: dict[int, int]) -> None:
    for parameter, value in values.items():
        library.mallopt(ctypes.c_int(parameter), ctypes.c_int(value))

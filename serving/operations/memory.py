"""Memory that was freed and that the C library keeps for itself."""

import contextlib
import ctypes


def give_back_memory() -> None:
    """Return freed memory to the system: what loading a model or an item table needed is not needed again soon.

    glibc keeps it until it is asked; another C library has no such call, and nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)

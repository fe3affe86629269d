"""Memory that was freed and that libraries keep for themselves."""

import contextlib
import ctypes

M_ARENA_MAX, ARENAS = -8, 2  # of glibc's mallopt


def keep_little_memory() -> None:
    """Let threads share what one of them freed: to be called before there are threads.

    By default every thread has a heap of its own, and Arrow another one beside them; each keeps its peak. Together
    they kept 50 MB of a process that had answered for a minute.
    """
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())
    with contextlib.suppress(OSError, AttributeError):  # glibc alone has it
        ctypes.CDLL(None).mallopt(ctypes.c_int(M_ARENA_MAX), ctypes.c_int(ARENAS))


def give_back_memory() -> None:
    """Return freed memory to the system: what loading a model or an item table needed is not needed again soon.

    glibc keeps it until it is asked; another C library has no such call, and nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)

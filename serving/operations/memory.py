"""Memory that was freed and that libraries keep for themselves, and the size of the pages of what is in use."""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

M_ARENA_MAX, ARENAS = -8, 2  # of glibc's mallopt
PAGE, HUGE_PAGE = 4_096, 2**21
MADV_COLLAPSE = 25  # of Linux from 6.1 on
FILLED = 0.5  # share of a huge page's memory that is in use already, or it is left as it is
WINDOW = 2**30  # bytes whose pages are looked at at once


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


def use_huge_pages() -> int:
    """Ask the system to put what is in use now, and stays in use, on pages of 2 MiB; returns how many it did.

    A request that comes after a pause finds none of its memory in the processor's tables of pages. With a thousandth of
    the pages it finds it again in less time: 5 to 8 % of the whole answer's, for 2 MB more. It takes 0.2 s. A system
    that cannot, or does not want to, leaves all as it is.
    """
    moved = 0
    with contextlib.suppress(OSError, AttributeError, ValueError):
        advise = ctypes.CDLL(None).madvise
        for start in _filled_blocks():
            moved += advise(ctypes.c_void_p(start), ctypes.c_size_t(HUGE_PAGE), MADV_COLLAPSE) == 0
    return moved


def _filled_blocks() -> Iterator[int]:
    """Addresses of blocks of a huge page's size that are this process's own memory, and mostly in use."""
    import numpy as np  # there by then; Bento's supervisor has no need of it

    if os.sysconf("SC_PAGE_SIZE") != PAGE:
        return
    with Path("/proc/self/pagemap").open("rb", buffering=0) as pages:
        for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
            area, permissions, _, _, inode, *_ = line.split()
            if not permissions.startswith("rw") or inode != "0":
                continue
            first, last = (int(address, 16) for address in area.split("-"))
            first, last = -(-first // HUGE_PAGE) * HUGE_PAGE, last // HUGE_PAGE * HUGE_PAGE
            for start in range(first, last, WINDOW):
                pages.seek(start // PAGE * 8)
                entries = np.frombuffer(pages.read((min(start + WINDOW, last) - start) // PAGE * 8), np.uint64)
                in_use = (entries >> np.uint64(63)).reshape(-1, HUGE_PAGE // PAGE).mean(axis=1)
                yield from (start + int(block) * HUGE_PAGE for block in np.flatnonzero(in_use >= FILLED))

"""Memory in use on larger pages: seen in what the system says of a process that asked for it."""

import subprocess
import sys

ASKED = """
import ctypes, mmap, re
from pathlib import Path
from serving.operations.memory import HUGE_PAGE, MADV_COLLAPSE, use_huge_pages

def huge():
    return int(re.search(r"AnonHugePages: +([0-9]+) kB", Path("/proc/self/smaps_rollup").read_text())[1]) / 1024

own = mmap.mmap(-1, 2 * HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
own[:] = bytes(len(own))
address = -(-ctypes.addressof(ctypes.c_char.from_buffer(own)) // HUGE_PAGE) * HUGE_PAGE
can = ctypes.CDLL(None).madvise(ctypes.c_void_p(address), ctypes.c_size_t(HUGE_PAGE), MADV_COLLAPSE) == 0
kept = {number: str(number) * 20 for number in range(300_000)}
before, moved, after = huge(), use_huge_pages(), huge()
assert kept == {number: str(number) * 20 for number in range(300_000)}
print(int(can), moved, after - before)
"""


def test_memory_in_use_is_put_on_huge_pages_where_the_system_can() -> None:
    done = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    can, moved, gained_mb = map(float, done.stdout.split())
    assert (moved >= 10) == bool(can)
    assert (gained_mb >= 20) == bool(can)

"""Keep freed memory in the process: for training on CPU.

A step frees and asks for the same large buffers as the step before. glibc gives each back to the system and takes new
pages for the next, all of which the system has to clear and map. That is a tenth of the time of a step at batch 65,536
and two thirds of that of a scatter into a table of a million rows (`make bench-allocator`).

    keep_freed_memory()      # before TensorFlow is imported
"""

from __future__ import annotations

import ctypes
import sys

# Names and numbers of <malloc.h>.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8
_LARGEST = 2**31 - 1
_TOP_PAD_BYTES = 64 * 2**20


def keep_freed_memory() -> bool:
    """Have glibc's malloc serve all sizes from one heap that hardly shrinks; elsewhere do nothing.

    Threads that have allocated before keep heaps of their own, from which large buffers are still mapped anew: call it
    before TensorFlow starts its threads.

    Returns:
        Whether it took effect.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # a C library other than glibc
        return False
    settings = (
        (_M_ARENA_MAX, 1),
        (_M_MMAP_MAX, 0),
        (_M_TRIM_THRESHOLD, _LARGEST),
        (_M_TOP_PAD, _TOP_PAD_BYTES),
    )
    results = [mallopt(name, value) for name, value in settings]
    return all(result == 1 for result in results)

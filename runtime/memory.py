"""How a process keeps memory: what it frees it uses again, instead of giving it back to the system.

Batches of tens of megabytes come and go some times a second. Given back and asked for anew, each costs a page fault for every 4 KiB
(docs/performance.md has the figures). The process's memory stays at the highest it was.
"""

from __future__ import annotations

import ctypes
import os
import platform

# Parameters of mallopt(3) with their values.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_NEVER = (1 << 31) - 1
_LARGEST_FROM_HEAP = 1 << 30


def keep_freed_memory() -> None:
    """Set glibc's allocator, and Arrow to use it. To be called before any thread starts and before pyarrow is imported.

    Does nothing where the C library is another.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    library.mallopt(_ARENA_MAX, 1)
    library.mallopt(_MMAP_THRESHOLD, _LARGEST_FROM_HEAP)
    library.mallopt(_TRIM_THRESHOLD, _NEVER)
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

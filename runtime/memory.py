"""How a process keeps memory: what it frees it uses again, and what stays is not looked through for garbage.

Batches of tens of megabytes come and go some times a second. Given back and asked for anew, each costs a page fault for every 4 KiB
(docs/performance.md has the figures). The process's memory stays at the highest it was.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SETTLED_SECONDS = 60.0
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


@contextmanager
def set_aside_what_stays() -> Iterator[Callable[[], None]]:
    """Within it, the given function leaves what there is now out of the search for garbage, and once more when the first pages are made.

    Rules, plans, models and routes stay as long as the process does. Looking through them with every full search took half a second and
    more, in which nobody was answered (docs/performance.md). To be called on the event loop when everything has started.

    At the end all of it is looked through again: the interpreter clears at its own end only what the search knows, and a library's objects
    that it left standing have crashed it there.
    """
    timers: list[asyncio.TimerHandle] = []

    def begin() -> None:
        _set_aside()
        timers.append(asyncio.get_running_loop().call_later(_SETTLED_SECONDS, _set_aside))

    try:
        yield begin
    finally:
        for timer in timers:
            timer.cancel()
        gc.unfreeze()


def _set_aside() -> None:
    gc.collect()
    gc.freeze()

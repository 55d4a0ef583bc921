"""glibc's allocator, set to give back what large messages took.

By default a freed block of some megabytes raises the size from which blocks have mappings of their
own, so that later ones lie in heaps, and what is freed between small blocks stays with the process:
hundreds of megabytes after a burst, on top of which the next one comes.
"""

import asyncio
import ctypes
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

M_MMAP_THRESHOLD = -3  # of mallopt(3)
MAPPED_BYTES = 2**20  # from which a block has a mapping of its own
GROWTH_BYTES = 16 * 2**20  # of resident memory, from which it is worth while to give back
SECONDS = 1.0  # between looks
STATM = Path("/proc/self/statm")


def map_large_blocks() -> None:
    """Let a large block go back to the system as soon as it is freed; no effect without glibc."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES)


async def give_back(held: Callable[[], int]) -> None:
    """Give freed memory back to the system, again and again; no end with glibc.

    Args:
        held: returns the bytes that are in use and may explain the process's size.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
        least = resident() - held()
    except (AttributeError, OSError):
        return
    while True:
        await asyncio.sleep(SECONDS)
        unexplained = resident() - held()
        least = min(least, unexplained)
        if unexplained > least + GROWTH_BYTES:
            await asyncio.to_thread(trim, 0)


def resident() -> int:
    """Return the bytes of this process's memory that are resident."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

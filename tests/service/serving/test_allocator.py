"""What large messages took goes back to the system; in processes of their own, whose memory is."""

import ctypes
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the allocator is not glibc's"
)
MIB = 2**20


def said(program):
    """What a program of this version of Python prints, as a number."""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return int(run.stdout)


def test_a_large_block_that_is_freed_goes_back_although_small_ones_lie_about_it():
    left = said(
        "from service.serving.allocator import map_large_blocks, resident\n"
        "map_large_blocks()\n"
        "before = resident()\n"
        "bytearray(b'x') * (30 * 2**20)\n"  # freed, it would raise the threshold to 30 MiB
        "large, small = [], []\n"
        "for _ in range(8):\n"
        "    large.append(bytearray(b'x') * (8 * 2**20))\n"
        "    small.append(bytearray(b'x') * 100_000)\n"
        "del large\n"
        "print(resident() - before)"
    )
    assert left < 16 * MIB


def test_what_is_freed_in_small_blocks_is_given_back_within_a_moment():
    left = said(
        "import asyncio, time\n"
        "from service.serving.allocator import give_back, resident\n"
        "async def main():\n"
        "    asyncio.create_task(give_back(lambda: 0))\n"
        "    await asyncio.sleep(0)\n"
        "    before = resident()\n"
        "    blocks = [bytearray(b'x') * 65_000 for _ in range(2000)]\n"
        "    blocks = blocks[::50]\n"
        "    ends = time.monotonic() + 30\n"
        "    while resident() - before > 32 * 2**20 and time.monotonic() < ends:\n"
        "        await asyncio.sleep(0.05)\n"
        "    print(resident() - before)\n"
        "asyncio.run(main())"
    )
    assert left < 40 * MIB

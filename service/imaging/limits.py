"""How large an image may be."""

import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """How large an image may be."""

    max_bytes: int = 32 * 2**20  # encoded
    max_pixels: int = 64 * 2**20  # decoded, of one page
    # Of one page, or its height: EXIF may turn it, and strips cost by their width.
    max_width: int = 2 * 2**20
    max_pages: int = 1000
    max_decoding_bytes: int = 448 * 2**20  # of memory for decoding one page: an estimate


RAISED = {  # what a refusal says of each limit
    name: f"raise the limit with --{name.replace('_', '-')}, a server's with its setting {name}"
    for name in ("max_bytes", "max_pixels", "max_width", "max_pages", "max_decoding_bytes")
}
UNLIMITED = Limits(*[sys.maxsize] * 5)  # for those who leave the limits to another

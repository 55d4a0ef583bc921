"""TIFF directories, read without a decoder: TIFF 6.0, section 2, and BigTIFF's wider fields."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

SHORT, LONG, RATIONAL, SIGNED_RATIONAL, LONG8 = 3, 4, 5, 10, 16  # field types
WIDTH, LENGTH = 256, 257  # tags
BIG = 43  # the version of a BigTIFF; a TIFF's is 42


class Entry(NamedTuple):
    """One entry of a directory."""

    page: int  # whose directory it is in, counted from 0
    tag: int
    kind: int  # a field type
    values: int  # how many it has
    first: int  # the first one of a SHORT, LONG or LONG8; of other types no matter what


def entries(encoded: bytes, pages: int) -> Iterator[Entry]:
    """Yield the entries of the first pages' directories, as far as the file has any.

    Nothing is allocated by what the file says. Where it ends too early, so does this.
    """
    order = ">" if encoded.startswith(b"M") else "<"
    big = BIG in encoded[2:4]
    count, entry, pointer, short, long = (
        struct.Struct(order + layout)
        for layout in (("Q", "HHQ8s", "Q", "H", "L") if big else ("H", "HHL4s", "L", "H", "L"))
    )
    number = {SHORT: short, LONG8: pointer if big else long}
    seen: set[int] = set()
    try:
        (at,) = pointer.unpack_from(encoded, 8 if big else 4)
        while at and at not in seen and len(seen) <= pages:
            page = len(seen)
            seen.add(at)
            (tags,) = count.unpack_from(encoded, at)
            at += count.size
            for _ in range(tags):
                tag, kind, values, field = entry.unpack_from(encoded, at)
                (first,) = number.get(kind, long).unpack_from(field)
                yield Entry(page, tag, kind, values, first)
                at += entry.size
            (at,) = pointer.unpack_from(encoded, at)
    except (struct.error, OverflowError):  # the file ends here; the decoder says so
        return

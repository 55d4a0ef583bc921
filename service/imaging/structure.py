"""How an encoded image is put together: that it has no more parts than a picture needs.

A decoder's work grows with the segments, chunks, scans and tags of a file, not only with its
pixels. A small file of very many keeps one busy for minutes, so they are counted first, without
a decoder.
"""

import re
import struct
from collections.abc import Iterator

from service.errors import DamagedImage

MOST_CHUNKS = 65_536  # of a PNG; encoders cut the pixels into pieces of 8 KiB or more
MOST_SEGMENTS = 1024  # of a JPEG; 32 MiB of profiles and notes are 500 of the largest
MOST_SCANS = 100  # of a JPEG, each of which passes over all pixels; libjpeg's own script has 10
MOST_FILLER = 65_536  # bytes between a JPEG's segments
MOST_EXIF = 2**20  # bytes
MOST_RATIONALS = 65_536  # numbers of one TIFF tag
MOST_TAGS_A_PAGE = 64  # of a TIFF, on average over the pages allowed
SPARE_TAGS = 1000  # of a TIFF besides those

# A marker that is neither fill, nor a stuffed byte of a scan, nor a restart in it.
MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")
START_OF_IMAGE, END_OF_IMAGE, START_OF_SCAN, APP1 = 0xD8, 0xD9, 0xDA, 0xE1
ALONE = (0x01, START_OF_IMAGE, END_OF_IMAGE)  # markers without a segment
RATIONAL_TYPES = (5, 10)


def check_png(encoded: bytes) -> None:
    """Count the chunks of a PNG.

    Raises:
        DamagedImage: there are too many.
    """
    at = 8
    for _ in range(MOST_CHUNKS):
        if at + 8 > len(encoded) or encoded[at + 4 : at + 8] == b"IEND":
            return
        at += 12 + int.from_bytes(encoded[at : at + 4], "big")
    raise _too_many("PNG", "chunks", MOST_CHUNKS)


def check_jpeg(encoded: bytes) -> None:
    """Count the segments and scans of a JPEG, the bytes between them and those of its EXIF.

    Raises:
        DamagedImage: there are too many of one.
    """
    segments = scans = filler = exif = 0
    at, marker = 2, START_OF_IMAGE
    while marker != END_OF_IMAGE:
        found = MARKER.search(encoded, at)
        if marker != START_OF_SCAN:  # whose data would follow
            filler += (found.start() if found else len(encoded)) - at
        if found:
            marker, at = found[1][0], found.end()
            segments += 1
            scans += marker == START_OF_SCAN
            if marker not in ALONE:
                length = int.from_bytes(encoded[at : at + 2], "big")
                exif += length if marker == APP1 and encoded.startswith(b"Exif", at + 2) else 0
                at += max(length, 2)
        for count, most, what in (
            (segments, MOST_SEGMENTS, "segments"),
            (scans, MOST_SCANS, "scans"),
            (filler, MOST_FILLER, "bytes between segments"),
            (exif, MOST_EXIF, "bytes of EXIF"),
        ):
            if count > most:
                raise _too_many("JPEG", what, most)
        if not found:
            return


def check_tiff(encoded: bytes, pages: int) -> None:
    """Count the tags of a TIFF's pages, and the fractions in each.

    Raises:
        DamagedImage: there are too many.
    """
    most = SPARE_TAGS + MOST_TAGS_A_PAGE * pages
    for tag, (kind, count) in enumerate(_tags(encoded, pages)):
        if tag == most:
            raise _too_many("TIFF", "tags", most)
        if kind in RATIONAL_TYPES and count > MOST_RATIONALS:
            raise _too_many("TIFF", "fractions in one tag", MOST_RATIONALS)


def check_exif(exif: bytes) -> None:
    """Check how long an image's EXIF is.

    Raises:
        DamagedImage: it is too long.
    """
    if len(exif) > MOST_EXIF:
        raise _too_many("image", "bytes of EXIF", MOST_EXIF)


def _tags(encoded: bytes, pages: int) -> Iterator[tuple[int, int]]:
    """Yield the type and the count of every tag of the first pages, as far as there are any."""
    order = ">" if encoded.startswith(b"M") else "<"
    big = 43 in encoded[2:4]
    tag_count, entry, pointer = (
        struct.Struct(order + layout)
        for layout in (("Q", "2xHQ8x", "Q") if big else ("H", "2xHL4x", "L"))
    )
    seen: set[int] = set()
    try:
        (at,) = pointer.unpack_from(encoded, 8 if big else 4)
        while at and at not in seen and len(seen) <= pages:
            seen.add(at)
            (tags,) = tag_count.unpack_from(encoded, at)
            at += tag_count.size
            for _ in range(tags):
                yield entry.unpack_from(encoded, at)
                at += entry.size
            (at,) = pointer.unpack_from(encoded, at)
    except (
        struct.error,
        OverflowError,
    ):  # the file ends here; the decoder says so in its own words
        return


def _too_many(kind: str, what: str, most: int) -> DamagedImage:
    return DamagedImage(
        f"the {kind} has too many {what}; at most {most:,} are allowed", "image.encoded"
    )

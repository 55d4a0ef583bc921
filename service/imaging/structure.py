"""Checks of an encoded image's structure: no more parts than a picture needs.

A decoder's work grows with the segments, chunks, scans and tags of a file, not only with its
pixels. A small file of very many keeps one busy for minutes, so they are counted first, without
a decoder.
"""

import re

from service.errors import DamagedImage
from service.imaging.tiff import RATIONAL, SIGNED_RATIONAL, entries

MAX_CHUNKS = 65_536  # of a PNG; encoders cut the pixels into pieces of 8 KiB or more
MAX_SEGMENTS = 1024  # of a JPEG; 32 MiB of profiles and notes are 500 of the largest
MAX_SCANS = 100  # of a JPEG, each of which passes over all pixels; libjpeg's own script has 10
MAX_FILLER = 65_536  # bytes between a JPEG's segments
MAX_EXIF = 2**20  # bytes
MAX_RATIONALS = 65_536  # numbers of one TIFF tag
TAGS_PER_PAGE = 64  # of a TIFF, on average over the pages allowed
SPARE_TAGS = 1000  # of a TIFF besides those

# A marker that is neither fill, nor a stuffed byte of a scan, nor a restart in it.
MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")
START_OF_IMAGE, END_OF_IMAGE, START_OF_SCAN, APP1 = 0xD8, 0xD9, 0xDA, 0xE1
STANDALONE = (0x01, START_OF_IMAGE, END_OF_IMAGE)  # markers without a segment
RATIONALS = (RATIONAL, SIGNED_RATIONAL)


def check_nothing(encoded: bytes, pages: int) -> None:
    """Let a file pass whose decoder's work grows with its pixels alone."""


def check_png(encoded: bytes, pages: int = 1) -> None:
    """Count the chunks of a PNG.

    Raises:
        DamagedImage: there are too many.
    """
    at = 8
    for _ in range(MAX_CHUNKS):
        if at + 8 > len(encoded) or encoded[at + 4 : at + 8] == b"IEND":
            return
        at += 12 + int.from_bytes(encoded[at : at + 4], "big")
    raise _too_many("PNG", "chunks", MAX_CHUNKS)


def png_without_metadata(encoded: bytes) -> bytes:
    """Return a PNG's pixels, palette and transparency alone: PNG, third edition, section 5.3.

    Its chunks have been counted.
    """
    parts, at = [encoded[:8]], 8
    while at + 8 <= len(encoded):
        name = encoded[at + 4 : at + 8]
        end = at + 12 + int.from_bytes(encoded[at : at + 4], "big")
        if name[:1].isupper() or name == b"tRNS":
            parts.append(encoded[at:end])
        if name == b"IEND":
            break
        at = end
    return b"".join(parts)


def check_jpeg(encoded: bytes, pages: int = 1) -> None:
    """Count the segments and scans of a JPEG, the bytes between them and those of its EXIF.

    Raises:
        DamagedImage: there are too many of one.
    """
    segments = scans = filler = exif = 0
    at, marker = 2, START_OF_IMAGE
    while marker != END_OF_IMAGE:
        found = MARKER.search(encoded, at)
        if marker != START_OF_SCAN:  # after which its data would follow
            filler += (found.start() if found else len(encoded)) - at
        if found:
            marker, at = found[1][0], found.end()
            segments += 1
            scans += marker == START_OF_SCAN
            if marker not in STANDALONE:
                length = int.from_bytes(encoded[at : at + 2], "big")
                exif += length if marker == APP1 and encoded.startswith(b"Exif", at + 2) else 0
                at += max(length, 2)
        if segments > MAX_SEGMENTS:
            raise _too_many("JPEG", "segments", MAX_SEGMENTS)
        if scans > MAX_SCANS:
            raise _too_many("JPEG", "scans", MAX_SCANS)
        if filler > MAX_FILLER:
            raise _too_many("JPEG", "bytes between segments", MAX_FILLER)
        if exif > MAX_EXIF:
            raise _too_many("JPEG", "bytes of EXIF", MAX_EXIF)
        if not found:
            return


def check_tiff(encoded: bytes, pages: int) -> None:
    """Count the tags of a TIFF's pages, and the fractions in each.

    Raises:
        DamagedImage: there are too many.
    """
    allowed = SPARE_TAGS + TAGS_PER_PAGE * pages
    for number, entry in enumerate(entries(encoded, pages)):
        if number == allowed:
            raise _too_many("TIFF", "tags", allowed)
        if entry.kind in RATIONALS and entry.values > MAX_RATIONALS:
            raise _too_many("TIFF", "fractions in one tag", MAX_RATIONALS)


def check_exif(exif: bytes) -> None:
    """Check how long an image's EXIF is.

    Raises:
        DamagedImage: it is too long.
    """
    if len(exif) > MAX_EXIF:
        raise _too_many("image", "bytes of EXIF", MAX_EXIF)


def _too_many(kind: str, what: str, allowed: int) -> DamagedImage:
    return DamagedImage(
        f"the {kind} has too many {what}; at most {allowed:,} are allowed", "image.encoded"
    )

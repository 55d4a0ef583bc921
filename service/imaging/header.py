"""The sides that an image's first bytes declare, format by format.

Admission needs them before any work, in the process that takes calls and never decodes
untrusted bytes. Nothing here allocates by what the bytes say or reads on without bound, and nothing
relies on the answer but the order of the queue: the worker that decodes the image checks its true
size. Bytes that end too early raise `struct.error` or `IndexError`; a size that cannot be found
is 0×0.
"""

import struct
from itertools import islice

from service.imaging.tiff import LENGTH, LONG, LONG8, SHORT, WIDTH, entries

Size = tuple[int, int]  # width and height, pixels

MAX_SEGMENTS = 1000  # of a JPEG, before its size; entries of a TIFF's first page
# JPEG markers in the range of the start-of-frame markers that are something else: DHT, JPG, DAC.
NOT_FRAMES = (0xC4, 0xC8, 0xCC)
OS2_HEADER = 12  # bytes of the oldest BMP header, whose sides are short


def png_size(encoded: bytes) -> Size:
    """Read the IHDR chunk: PNG, third edition, section 11.2.1."""
    width, height = struct.unpack_from(">II", encoded, 16)
    return width, height


def jpeg_size(encoded: bytes) -> Size:
    """Read the frame header: ITU-T T.81, section B.2.2."""
    at = 2
    for _ in range(MAX_SEGMENTS):
        fill, marker, length = struct.unpack_from(">BBH", encoded, at)
        if fill != 0xFF:
            break
        if 0xC0 <= marker <= 0xCF and marker not in NOT_FRAMES:
            height, width = struct.unpack_from(">HH", encoded, at + 5)
            return width, height
        at += 1 if marker == 0xFF else 2 + length
    return 0, 0


def tiff_size(encoded: bytes) -> Size:
    """Read the first directory of a TIFF or BigTIFF."""
    sides = {WIDTH: 0, LENGTH: 0}
    for entry in islice(entries(encoded, 1), MAX_SEGMENTS):
        if entry.page:
            break
        if entry.tag in sides and entry.kind in (SHORT, LONG, LONG8):
            sides[entry.tag] = entry.first
    return sides[WIDTH], sides[LENGTH]


def bmp_size(encoded: bytes) -> Size:
    """Read the second header; a negative height means that the rows run from the top."""
    (header,) = struct.unpack_from("<I", encoded, 14)
    width, height = struct.unpack_from("<HH" if header == OS2_HEADER else "<ii", encoded, 18)
    return abs(width), abs(height)


def webp_size(encoded: bytes) -> Size:
    """Read a WebP's first chunk: RFC 9649, section 2. 1×1 for a chunk of an unknown kind."""
    match encoded[12:16]:
        case b"VP8X":
            width, height = encoded[24:27], encoded[27:30]
            return int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1
        case b"VP8L":
            bits = int.from_bytes(encoded[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 " if len(encoded) >= 30:
            bits = int.from_bytes(encoded[26:30], "little")
            return bits & 0x3FFF, bits >> 16 & 0x3FFF
        case _:
            return 1, 1  # libwebp will say what is wrong

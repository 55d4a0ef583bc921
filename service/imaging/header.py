"""How many pixels an image declares, from its first bytes: what admission needs before any work.

The process that takes calls never decodes what strangers send. Nothing here allocates by what the
bytes say or reads on without bound, and nothing relies on the answer but the order of the queue:
the reader that decodes the image checks its true size.
"""

import struct

from service.imaging.decode import webp_size
from service.pb import recognizer_pb2 as pb

MOST_SEGMENTS = 1000  # of a JPEG, before its size; of a TIFF's first page
NO_SIZE_IN = (0xC4, 0xC8, 0xCC)  # JPEG markers among the start-of-frame ones that are none
OS2_HEADER = 12  # bytes of the oldest BMP header, whose sides are short
TIFF_WIDTH, TIFF_LENGTH = 256, 257  # tags
SHORT, LONG = 3, 4  # TIFF types


def declared_pixels(image: pb.Image) -> int:
    """Return how many pixels an image message says it has; 0 if it does not say so plainly."""
    if image.WhichOneof("content") == "raster":
        return image.raster.width * image.raster.height
    try:
        width, height = _declared_size(image.encoded)
    except (struct.error, IndexError):
        return 0
    return width * height


def _declared_size(encoded: bytes) -> tuple[int, int]:
    if encoded.startswith(b"\x89PNG\r\n\x1a\n"):
        width, height = struct.unpack_from(">II", encoded, 16)
    elif encoded.startswith(b"\xff\xd8"):
        width, height = _jpeg_size(encoded)
    elif encoded.startswith((b"II*\0", b"MM\0*")):
        width, height = _tiff_size(encoded, "<" if encoded.startswith(b"II") else ">")
    elif encoded.startswith(b"BM"):
        width, height = _bmp_size(encoded)
    elif encoded.startswith(b"RIFF"):
        width, height = webp_size(encoded)
    else:
        width, height = 0, 0
    return width, height


def _bmp_size(encoded: bytes) -> tuple[int, int]:
    """Read the second header; a negative height means that the rows run from the top."""
    (header,) = struct.unpack_from("<I", encoded, 14)
    width, height = struct.unpack_from("<HH" if header == OS2_HEADER else "<ii", encoded, 18)
    return abs(width), abs(height)


def _jpeg_size(encoded: bytes) -> tuple[int, int]:
    """Read the frame header: ITU-T T.81, B.2.2."""
    at = 2
    for _ in range(MOST_SEGMENTS):
        fill, marker, length = struct.unpack_from(">BBH", encoded, at)
        if fill != 0xFF:
            break
        if 0xC0 <= marker <= 0xCF and marker not in NO_SIZE_IN:
            height, width = struct.unpack_from(">HH", encoded, at + 5)
            return width, height
        at += 1 if marker == 0xFF else 2 + length
    return 0, 0


def _tiff_size(encoded: bytes, order: str) -> tuple[int, int]:
    """Read the first directory: TIFF 6.0, section 2."""
    (at,) = struct.unpack_from(f"{order}I", encoded, 4)
    (entries,) = struct.unpack_from(f"{order}H", encoded, at)
    sides = {TIFF_WIDTH: 0, TIFF_LENGTH: 0}
    for entry in range(min(entries, MOST_SEGMENTS)):
        tag, kind, _ = struct.unpack_from(f"{order}HHI", encoded, at + 2 + 12 * entry)
        if tag in sides and kind in (SHORT, LONG):
            form = "H" if kind == SHORT else "I"
            (sides[tag],) = struct.unpack_from(order + form, encoded, at + 10 + 12 * entry)
    return sides[TIFF_WIDTH], sides[TIFF_LENGTH]

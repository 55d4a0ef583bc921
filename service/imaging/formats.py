r"""The table of image formats. Everything that depends on a format is a row's field.

Decoding, admission, the checks for decompression bombs and the search for files in folders work
from it, so that another format is one more row. For example, JPEG 2000 would be::

    ImageFormat(
        name="JPEG 2000",
        signature=re.compile(rb"\0\0\0\x0cjP  "),
        suffixes=(".jp2",),
        plugin="PIL.Jpeg2KImagePlugin.Jpeg2KImageFile",
        size=jpeg2000_size,      # in header.py
        check=check_jpeg2000,    # in structure.py
    )
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

from service.imaging.header import Size, bmp_size, jpeg_size, png_size, tiff_size, webp_size
from service.imaging.structure import (
    check_jpeg,
    check_nothing,
    check_png,
    check_tiff,
    png_without_metadata,
)


@dataclass(frozen=True)
class ImageFormat:
    """An image format: how it is recognized, measured, checked and decoded.

    No field needs the library that decodes it: a process that never decodes never loads it.
    """

    name: str
    signature: re.Pattern[bytes]  # matches how a file begins
    suffixes: tuple[str, ...]  # of file names, in lower case
    plugin: str  # the class in Pillow that decodes it
    size: Callable[[bytes], Size]  # what the header declares; of the first page
    check: Callable[[bytes, int], None]  # the structure, of as many pages; raises DamagedImage
    without_metadata: Callable[[bytes], bytes] | None = None  # for a plugin that they make fail
    allocates_on_open: bool = False  # the plugin, all pixels: the declared size is checked before
    decoding_bytes: int = 0  # of memory for each pixel, where that depends on nothing else


FORMATS = (
    ImageFormat(
        name="PNG",
        signature=re.compile(rb"\x89PNG\r\n\x1a\n"),
        suffixes=(".png",),
        plugin="PIL.PngImagePlugin.PngImageFile",
        size=png_size,
        check=check_png,
        without_metadata=png_without_metadata,
    ),
    ImageFormat(
        name="JPEG",
        signature=re.compile(rb"\xff\xd8\xff"),
        suffixes=(".jpg", ".jpeg"),
        plugin="PIL.JpegImagePlugin.JpegImageFile",
        size=jpeg_size,
        check=check_jpeg,
    ),
    ImageFormat(
        name="TIFF",
        signature=re.compile(rb"II[*+]\0|MM\0[*+]"),  # + is BigTIFF
        suffixes=(".tif", ".tiff"),
        plugin="PIL.TiffImagePlugin.TiffImageFile",
        size=tiff_size,
        check=check_tiff,
    ),
    ImageFormat(
        name="BMP",
        signature=re.compile(rb"BM"),
        suffixes=(".bmp",),
        plugin="PIL.BmpImagePlugin.BmpImageFile",
        size=bmp_size,
        check=check_nothing,
    ),
    ImageFormat(
        name="WebP",
        signature=re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
        suffixes=(".webp",),
        plugin="PIL.WebPImagePlugin.WebPImageFile",
        size=webp_size,
        check=check_nothing,
        allocates_on_open=True,
        decoding_bytes=16,  # two canvases, a copy, and Pillow's own image
    ),
)
SUFFIXES = frozenset(suffix for each in FORMATS for suffix in each.suffixes)
NAMES = " and ".join([", ".join(each.name for each in FORMATS[:-1]), FORMATS[-1].name])


def format_of(encoded: bytes) -> ImageFormat | None:
    """Return the format that the first bytes are of, or None for none that is known."""
    return next((each for each in FORMATS if each.signature.match(encoded)), None)


def declared_pixels(encoded: bytes) -> int:
    """Return how many pixels an encoded image declares; 0 if it does not say so plainly."""
    found = format_of(encoded)
    if found is None:
        return 0
    try:
        width, height = found.size(encoded)
    except (struct.error, IndexError):
        return 0
    return width * height

"""Untrusted bytes to gray pages; their size is checked before pixels are decoded."""

import io
from collections.abc import Callable
from importlib import import_module
from types import TracebackType
from typing import Self, cast

import numpy as np
from PIL import ExifTags, ImageFile, TiffImagePlugin

from service.errors import (
    DamagedImage,
    EmptyImage,
    RasterMismatch,
    TooManyBytes,
    UnknownFormat,
    UnsupportedPixels,
)
from service.imaging import bounds, frames, gray
from service.imaging.formats import NAMES, format_of
from service.imaging.limits import RAISED, Limits
from service.imaging.page import Gray, Page
from service.imaging.structure import check_exif

PDF, PDF_HINT = b"%PDF-", "; the commands read, send and batch draw a PDF's pages"

SQUARE = 0.02  # how far from square a pixel may be and count as square
MAX_ASPECT = 4.0  # of a pixel; resolutions that differ by more than fax machines' are mistakes

TURNS: dict[int, Callable[[Gray], Gray]] = {  # make pixels of that EXIF orientation upright
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: np.rot90,
}
QUARTER_TURNS = (5, 6, 7, 8)  # orientations that make rows of columns


def decode(encoded: bytes, page: int = 0, limits: Limits | None = None) -> Page:
    """Decode one page of an encoded image, turned upright as its EXIF orientation says.

    Deep data are reduced to 8 bits by the range that they use, color to the channel that shows
    the ink, and what is transparent is set on white, or on black where white hides the ink.

    Raises:
        EmptyImage, UnknownFormat, DamagedImage, UnsupportedPixels, TooManyBytes,
        TooManyPixels, TooManyPages, NoSuchPage.
    """
    with EncodedImage(encoded, limits) as image:
        return image.decode(page)


def count_pages(encoded: bytes, limits: Limits | None = None) -> int:
    """Return how many pages an encoded image has; only TIFF can have more than one.

    Raises:
        EmptyImage, UnknownFormat, DamagedImage, UnsupportedPixels, TooManyBytes,
        TooManyPixels, TooManyPages.
    """
    with EncodedImage(encoded, limits) as image:
        return image.count_pages()


def from_raster(pixels: bytes, width: int, height: int, limits: Limits | None = None) -> Page:
    """Wrap a raw gray raster, row by row from the top, one byte a pixel.

    Raises:
        EmptyImage, RasterMismatch, TooManyPixels.
    """
    bounds.check_size(width, height, limits or Limits(), "image.raster")
    if len(pixels) != width * height:
        raise RasterMismatch(
            f"the raster has {len(pixels):,} bytes; {width}×{height} pixels need "
            f"{width * height:,}",
            "image.raster.pixels",
        )
    return Page(np.frombuffer(pixels, np.uint8).reshape(height, width))


class EncodedImage:
    """An encoded image whose header has been read and structure checked, once for all pages.

    Args:
        encoded: the bytes.
        limits: how large it may be; the default ones without.

    Raises:
        EmptyImage, UnknownFormat, DamagedImage, UnsupportedPixels, TooManyBytes, TooManyPixels.
    """

    def __init__(self, encoded: bytes, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._size = len(encoded)
        self._image = _open(encoded, self.limits)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the decoder."""
        self._image.close()

    def count_pages(self) -> int:
        """Return how many pages there are.

        Raises:
            DamagedImage: a page's directory cannot be read.
            TooManyPages: there are more than allowed.
        """
        return frames.count_pages(self._image, self.limits)

    def decode(self, page: int = 0) -> Page:
        """Decode a page.

        Raises:
            NoSuchPage, DamagedImage, EmptyImage, UnsupportedPixels, TooManyPixels, TooManyPages.
        """
        image = self._image
        frames.seek(image, page, self.limits)
        bounds.check_size(*image.size, self.limits)
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            bounds.check_tile(image, self.limits)
        bounds.check_run_lengths(image, self._size)
        bounds.check_memory(*image.size, bounds.decoding_bytes(image), self.limits)
        try:
            levels = gray.GrayLevels.of(image)
            image.load()
            orientation = _orientation(image)
            aspect = _aspect(image, orientation)
            turn = TURNS[orientation]
            pixels, channel, gain = gray.to_gray(image, levels, turn)
            return Page(np.ascontiguousarray(turn(pixels)), aspect, channel, gain)
        except Exception as error:  # Pillow's decoders raise almost anything on damaged bytes
            raise DamagedImage(
                f"the {image.format} data is damaged or truncated: {error}", "image.encoded"
            ) from error


def _open(encoded: bytes, limits: Limits) -> ImageFile.ImageFile:
    """Read an image's header, no pixels."""
    if not encoded:
        raise EmptyImage("the image has 0 bytes", "image.encoded")
    if len(encoded) > limits.max_bytes:
        raise TooManyBytes(
            f"the image has {len(encoded):,} bytes; at most {limits.max_bytes:,} are "
            f"allowed; {RAISED['max_bytes']}",
            "image.encoded",
        )
    format_ = format_of(encoded)
    if format_ is None:
        raise UnknownFormat(
            f"the bytes begin with {encoded[:8].hex(' ')}, which is none of {NAMES}"
            + PDF_HINT * encoded.startswith(PDF),
            "image.encoded",
        )
    if format_.allocates_on_open:
        width, height = format_.size(encoded)
        bounds.check_size(width, height, limits)
        bounds.check_memory(width, height, format_.decoding_bytes, limits)
    format_.check(encoded, limits.max_pages)
    try:
        # The plugin itself, not Image.open: that one has a pixel limit of its own, process-wide.
        plugin = _plugin(format_.plugin)
        try:
            image = plugin(io.BytesIO(encoded))
        except Exception:
            if format_.without_metadata is None:
                raise
            # Metadata that cannot be understood are left alone; what else is wrong is so again.
            image = plugin(io.BytesIO(format_.without_metadata(encoded)))
    except Exception as error:
        if "pixel mode" in str(error) or "Unsupported BMP" in str(error):
            raise UnsupportedPixels(
                f"the pixels are of an unsupported kind ({error}); 1 to 16 bits a channel, "
                "or one channel of 32, are allowed",
                "image.encoded",
            ) from error
        raise DamagedImage(
            f"the image's header is damaged or declares no pixels: {error}", "image.encoded"
        ) from error
    check_exif(image.info.get("exif") or b"")
    return image


def _plugin(path: str) -> Callable[[io.BytesIO], ImageFile.ImageFile]:
    module, _, name = path.rpartition(".")
    return cast("Callable[[io.BytesIO], ImageFile.ImageFile]", getattr(import_module(module), name))


def _orientation(image: ImageFile.ImageFile) -> int:
    """Return the orientation that the EXIF says, 1 where it says none that can be understood."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
        return orientation if orientation in TURNS else 1
    except MemoryError:
        raise
    except Exception:  # metadata that cannot be understood are left alone
        return 1


def _aspect(image: ImageFile.ImageFile, orientation: int) -> float:
    """Return a pixel's width over its height once the image is upright.

    The file says how many pixels there are to an inch, a meter or nothing named, across and down.
    """
    keys = ("jfif_density", "dpi", "aspect", "resolution")  # Pillow's; which, by format and unit
    density = next((image.info[key] for key in keys if key in image.info), (1, 1))
    try:
        across, down = (float(each) for each in density)
        aspect = down / across
    except (TypeError, ValueError, ZeroDivisionError):
        return 1.0
    if not 1 / MAX_ASPECT <= aspect <= MAX_ASPECT or abs(aspect - 1) <= SQUARE:
        return 1.0
    return 1 / aspect if orientation in QUARTER_TURNS else aspect

"""Untrusted bytes to gray pages; every size limit is checked here, before pixels are decoded."""

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import (
    BmpImagePlugin,
    ExifTags,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from service.errors import (
    DamagedImage,
    EmptyImage,
    NoSuchPage,
    RasterMismatch,
    TooManyBytes,
    TooManyPages,
    TooManyPixels,
    UnknownFormat,
    UnsupportedPixels,
)
from service.imaging.structure import check_exif, check_jpeg, check_png, check_tiff

Gray = npt.NDArray[np.uint8]  # (height, width), 0 black to 255 white

FORMATS = "PNG, JPEG, TIFF, BMP and WebP"
PAPER = 255  # what shows through a transparent pixel

BITS, PHOTOMETRIC, TILE_WIDTH, TILE_LENGTH = 258, 262, 322, 323  # TIFF tags
WHITE_IS_ZERO = 0  # a value of PHOTOMETRIC

MOST_RUN_LENGTHS = 2**22  # pixels of a BMP
RUN_LENGTHS = (1, 2)  # values of a BMP's compression

TURNS = {  # what makes an image of that EXIF orientation upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Limits:
    """How large an image may be."""

    max_bytes: int = 32 * 2**20  # encoded
    max_pixels: int = 64 * 2**20  # decoded, of one page
    max_width: int = (
        2 * 2**20
    )  # of one page, or its height: EXIF may turn it, and strips cost by it
    max_pages: int = 1000


UNLIMITED = Limits(*[sys.maxsize] * 4)  # for those who leave the limits to another


def decode(encoded: bytes, page: int = 0, limits: Limits | None = None) -> Gray:
    """Decode one page of an encoded image, turned upright as its EXIF orientation says.

    Gray levels of 16 bits are reduced to 8; color becomes luminance; what is transparent
    becomes white paper.

    Raises:
        EmptyImage, UnknownFormat, DamagedImage, UnsupportedPixels, TooManyBytes,
        TooManyPixels, TooManyPages, NoSuchPage.
    """
    limits = limits or Limits()
    with _open(encoded, limits) as image:
        if page:
            _turn_to(image, page, limits)
        _check_size(*image.size, limits)
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            _check_tile(image, limits)
        _check_mode(image)
        _check_run_lengths(image, len(encoded))
        try:
            image.load()
            gray = _to_gray(_upright(image))
            return PAPER - gray if _is_inverted(image) else gray
        except Exception as error:  # Pillow's decoders raise almost anything on damaged bytes
            raise DamagedImage(
                f"the {image.format} data is damaged or truncated: {error}", "image.encoded"
            ) from error


def count_pages(encoded: bytes, limits: Limits | None = None) -> int:
    """Return how many pages an encoded image has; only TIFF can have more than one.

    Raises:
        EmptyImage, UnknownFormat, DamagedImage, UnsupportedPixels, TooManyBytes,
        TooManyPixels, TooManyPages.
    """
    limits = limits or Limits()
    with _open(encoded, limits) as image:
        return _pages(image, limits)


def from_raster(pixels: bytes, width: int, height: int, limits: Limits | None = None) -> Gray:
    """Wrap a raw gray raster, row by row from the top, one byte a pixel.

    Raises:
        EmptyImage, RasterMismatch, TooManyPixels.
    """
    _check_size(width, height, limits or Limits(), "image.raster")
    if len(pixels) != width * height:
        raise RasterMismatch(
            f"the raster has {len(pixels):,} bytes; {width}×{height} pixels need "
            f"{width * height:,}",
            "image.raster.pixels",
        )
    return np.frombuffer(pixels, np.uint8).reshape(height, width)


def _open(encoded: bytes, limits: Limits) -> ImageFile.ImageFile:
    """Read an image's header, no pixels."""
    if not encoded:
        raise EmptyImage("the image has 0 bytes", "image.encoded")
    if len(encoded) > limits.max_bytes:
        raise TooManyBytes(
            f"the image has {len(encoded):,} bytes; at most {limits.max_bytes:,} are allowed",
            "image.encoded",
        )
    plugin = _plugin(encoded[:16])
    if plugin is None:
        raise UnknownFormat(
            f"the bytes begin with {encoded[:8].hex(' ')}, which is none of {FORMATS}",
            "image.encoded",
        )
    if plugin is WebPImagePlugin.WebPImageFile:  # the one that allocates the pixels on opening
        _check_size(*webp_size(encoded), limits)
    elif plugin is PngImagePlugin.PngImageFile:
        check_png(encoded)
    elif plugin is JpegImagePlugin.JpegImageFile:
        check_jpeg(encoded)
    elif plugin is TiffImagePlugin.TiffImageFile:
        check_tiff(encoded, limits.max_pages)
    try:
        # The plugin itself, not Image.open: that one has a pixel limit of its own, process-wide.
        image = plugin(io.BytesIO(encoded))
    except Exception as error:
        if "pixel mode" in str(error) or "Unsupported BMP" in str(error):
            raise UnsupportedPixels(
                f"the pixels are of an unsupported kind ({error}); 1 to 8, or 16, bits a "
                "channel are allowed",
                "image.encoded",
            ) from error
        raise DamagedImage(
            f"the image's header is damaged or declares no pixels: {error}", "image.encoded"
        ) from error
    check_exif(image.info.get("exif", b""))
    return image


def _plugin(start: bytes) -> Callable[[io.BytesIO], ImageFile.ImageFile] | None:
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return PngImagePlugin.PngImageFile
    if start.startswith(b"\xff\xd8\xff"):
        return JpegImagePlugin.JpegImageFile
    if start.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return TiffImagePlugin.TiffImageFile
    if start.startswith(b"BM"):
        return BmpImagePlugin.BmpImageFile
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return WebPImagePlugin.WebPImageFile
    return None


def webp_size(encoded: bytes) -> tuple[int, int]:
    """Read the width and height that a WebP's first chunk declares, 1×1 if it is of no known kind.

    RFC 9649: https://www.rfc-editor.org/rfc/rfc9649
    """
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


def _pages(image: ImageFile.ImageFile, limits: Limits) -> int:
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return 1
    try:
        for page in range(limits.max_pages + 1):
            image.seek(page)
        raise TooManyPages(
            f"the TIFF has more than {limits.max_pages:,} pages, which is the most allowed",
            "image.encoded",
        )
    except EOFError:
        return page
    except TooManyPages:
        raise
    except Exception as error:
        raise DamagedImage(f"the TIFF's pages are damaged: {error}", "image.encoded") from error


def _turn_to(image: ImageFile.ImageFile, page: int, limits: Limits) -> None:
    try:
        if page < 0 or not isinstance(image, TiffImagePlugin.TiffImageFile):
            raise EOFError
        image.seek(min(page, limits.max_pages))
    except EOFError:
        pages = _pages(image, limits)
        raise NoSuchPage(
            f"page {page} was asked for; the image's pages are 0 to {pages - 1}", "image.page"
        ) from None
    except Exception as error:
        raise DamagedImage(f"page {page} is damaged: {error}", "image.encoded") from error
    if page >= limits.max_pages:
        raise TooManyPages(
            f"page {page} was asked for; at most {limits.max_pages:,} pages are allowed",
            "image.page",
        )


def _check_size(
    width: int,
    height: int,
    limits: Limits,
    field: str = "image.encoded",
    what: str = "the image",
) -> None:
    if width * height == 0:
        raise EmptyImage(f"{what} has {width}×{height} pixels", field)
    longer = max(width, height)
    if width * height > limits.max_pixels:
        error = TooManyPixels(
            f"{what} has {width:,}×{height:,} = {width * height:,} pixels; at most "
            f"{limits.max_pixels:,} are allowed",
            field,
        )
    elif longer > limits.max_width:
        error = TooManyPixels(
            f"{what} is {longer:,} pixels {'wide' if width > height else 'high'}; at most "
            f"{limits.max_width:,} are allowed",
            field,
        )
    else:
        return
    error.pixels, error.side = width * height, longer
    raise error


def _check_tile(image: TiffImagePlugin.TiffImageFile, limits: Limits) -> None:
    """A tile is decoded whole, so a small image with huge tiles is as costly as a huge one."""
    width, height = image.tag_v2.get(TILE_WIDTH, 1), image.tag_v2.get(TILE_LENGTH, 1)
    if not (isinstance(width, int) and isinstance(height, int)):
        raise DamagedImage(f"the TIFF's tiles are {width}×{height} pixels", "image.encoded")
    _check_size(width, height, limits, what="a tile of the image")


def _check_mode(image: ImageFile.ImageFile) -> None:
    if image.mode in ("I", "F"):
        raise UnsupportedPixels(
            f"the pixels have 32 bits or a sign (Pillow's mode {image.mode}); 1 to 8, or 16, "
            "unsigned bits a channel are allowed",
            "image.encoded",
        )
    # Pillow gives 12 bits as 16 without scaling them, which is nearly black.
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(BITS) == (12,):
        raise UnsupportedPixels(
            "the pixels have 12 bits a channel; 1 to 8, or 16, are allowed", "image.encoded"
        )


def _check_run_lengths(image: ImageFile.ImageFile, size: int) -> None:
    """Pillow unpacks run lengths in Python: slowly, for each pixel and for each code."""
    if not isinstance(image, BmpImagePlugin.BmpImageFile):
        return
    pixels = image.width * image.height
    if image.info["compression"] not in RUN_LENGTHS:
        return
    if pixels > MOST_RUN_LENGTHS:
        raise TooManyPixels(
            f"the BMP has {pixels:,} pixels in run lengths; at most {MOST_RUN_LENGTHS:,} are "
            "allowed",
            "image.encoded",
        )
    if size > 4 * pixels + 65_536:
        raise DamagedImage(
            f"the BMP has {size:,} bytes; so many are not needed for {pixels:,} pixels",
            "image.encoded",
        )


def _is_inverted(image: ImageFile.ImageFile) -> bool:
    """Whether white is 0 in a TIFF of 16 bits; Pillow turns that round at 8 bits, not at 16."""
    return (
        isinstance(image, TiffImagePlugin.TiffImageFile)
        and image.mode.startswith("I;16")
        and image.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO
    )


def _upright(image: ImageFile.ImageFile) -> Image.Image:
    """Turn an image as its EXIF says; ImageOps.exif_transpose would also write the EXIF anew."""
    orientation = image.getexif().get(ExifTags.Base.Orientation)
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def _to_gray(image: Image.Image) -> Gray:
    if image.mode.startswith("I;16"):
        levels = np.asarray(image, np.uint16)
        gray = (levels // 257).astype(np.uint8)  # 65535 / 257 = 255
        transparent = image.info.get("transparency")
        return gray if transparent is None else np.where(levels == transparent, PAPER, gray)
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, (PAPER, PAPER, PAPER, 255))
        image = Image.alpha_composite(paper, image.convert("RGBA"))
    if image.mode not in ("1", "L", "RGB"):
        image = image.convert("RGB")
    return np.asarray(image.convert("L"))

"""Untrusted bytes to gray pages; every size limit is checked here, before pixels are decoded."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import count, islice
from types import TracebackType
from typing import Self, cast

import numpy as np
from PIL import (
    BmpImagePlugin,
    ExifTags,
    Image,
    ImageFile,
    JpegImagePlugin,
    TiffImagePlugin,
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
from service.imaging import backdrop, channels, depth
from service.imaging.formats import NAMES, format_of
from service.imaging.limits import RAISED, Limits
from service.imaging.page import Channel, Gray, Page, bands
from service.imaging.structure import check_exif

PDF, PDF_HINT = b"%PDF-", "; the commands read, send and batch draw a PDF's pages"
BITS, PHOTOMETRIC, ROWS_PER_STRIP = 258, 262, 278  # TIFF tags
TILE_WIDTH, TILE_LENGTH, SAMPLE_FORMAT = 322, 323, 339
WHITE_IS_ZERO, UNSIGNED = 0, 1  # values of PHOTOMETRIC, of SAMPLE_FORMAT

NEW_SUBFILE_TYPE, SUBFILE_TYPE = 254, 255  # more of them
REDUCED, MASK, OLD_REDUCED = 1, 4, 2  # bits of the first, and a value of the second
DIRECTORIES_PER_PAGE, SPARE_DIRECTORIES = 4, 16  # the most that are looked through

MAX_RUN_LENGTHS = 2**22  # pixels of a BMP
RUN_LENGTHS = (1, 2)  # values of a BMP's compression

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
    _check_size(width, height, limits or Limits(), "image.raster")
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
        return _pages(self._image, self.limits)

    def decode(self, page: int = 0) -> Page:
        """Decode a page.

        Raises:
            NoSuchPage, DamagedImage, EmptyImage, UnsupportedPixels, TooManyPixels, TooManyPages.
        """
        image = self._image
        _seek(image, page, self.limits)
        _check_size(*image.size, self.limits)
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            _check_tile(image, self.limits)
        _check_run_lengths(image, self._size)
        _check_memory(*image.size, _decoding_bytes(image), self.limits)
        try:
            levels = _Levels.of(image)
            image.load()
            orientation = _orientation(image)
            aspect = _aspect(image, orientation)
            turn = TURNS[orientation]
            gray, channel, gain = _to_gray(image, levels, turn)
            return Page(np.ascontiguousarray(turn(gray)), aspect, channel, gain)
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
        _check_size(width, height, limits)
        _check_memory(width, height, format_.decoding_bytes, limits)
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
    check_exif(image.info.get("exif", b""))
    return image


def _plugin(path: str) -> Callable[[io.BytesIO], ImageFile.ImageFile]:
    module, _, name = path.rpartition(".")
    return cast("Callable[[io.BytesIO], ImageFile.ImageFile]", getattr(import_module(module), name))


def _pages(image: ImageFile.ImageFile, limits: Limits) -> int:
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return 1
    try:
        pages = sum(1 for _ in _frames(image, limits.max_pages + 1))
    except Exception as error:
        raise DamagedImage(f"the TIFF's pages are damaged: {error}", "image.encoded") from error
    if pages > limits.max_pages:
        raise TooManyPages(
            f"the TIFF has more than {limits.max_pages:,} pages, which is the most allowed; "
            f"{RAISED['max_pages']}",
            "image.encoded",
        )
    return pages


def _frames(image: TiffImagePlugin.TiffImageFile, most: int) -> Iterator[int]:
    """Yield the directories of a TIFF that are pages, and stay at each meanwhile.

    Programs put thumbnails and transparency masks beside them: TIFF 6.0, NewSubfileType. Where
    there is nothing else, they are the pages.
    """
    pages = 0
    for frame in count():
        try:
            image.seek(frame)
        except EOFError:
            break
        if not _is_beside(image):
            yield frame
            pages += 1
        if pages == most:
            return
        if frame >= DIRECTORIES_PER_PAGE * most + SPARE_DIRECTORIES:
            break
    for other in range(0 if pages else min(frame, most)):
        image.seek(other)
        yield other


def _is_beside(image: TiffImagePlugin.TiffImageFile) -> bool:
    """Whether a directory is of a reduced image or a mask, beside a page."""
    kind, old_kind = image.tag_v2.get(NEW_SUBFILE_TYPE, 0), image.tag_v2.get(SUBFILE_TYPE, 0)
    return (isinstance(kind, int) and bool(kind & (REDUCED | MASK))) or old_kind == OLD_REDUCED


def _seek(image: ImageFile.ImageFile, page: int, limits: Limits) -> None:
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        if page:
            raise _no_such_page(page, 1)
        return
    wanted = min(page, limits.max_pages)
    try:
        frames = islice(_frames(image, wanted + 1), max(wanted, 0), None)
        found = page >= 0 and next(frames, None) is not None
    except Exception as error:
        raise DamagedImage(f"page {page} is damaged: {error}", "image.encoded") from error
    if not found:
        raise _no_such_page(page, _pages(image, limits))
    if page >= limits.max_pages:
        raise TooManyPages(
            f"page {page} is past the limit; at most {limits.max_pages:,} pages are allowed",
            "image.page",
        )


def _no_such_page(page: int, pages: int) -> NoSuchPage:
    return NoSuchPage(
        f"there is no page {page}, counted from 0; the image has {pages} page{'s'[: pages > 1]}",
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
            f"{limits.max_pixels:,} are allowed; {RAISED['max_pixels']}",
            field,
        )
    elif longer > limits.max_width:
        error = TooManyPixels(
            f"{what} is {longer:,} pixels {'wide' if width > height else 'high'}; at most "
            f"{limits.max_width:,} are allowed; {RAISED['max_width']}",
            field,
        )
    else:
        return
    error.pixels, error.side = width * height, longer
    raise error


def _check_tile(image: TiffImagePlugin.TiffImageFile, limits: Limits) -> None:
    """Refuse tiles larger than the limit: a tile is decoded whole, however small its image."""
    width, height = image.tag_v2.get(TILE_WIDTH, 1), image.tag_v2.get(TILE_LENGTH, 1)
    if not (isinstance(width, int) and isinstance(height, int)):
        raise DamagedImage(f"the TIFF's tiles are {width}×{height} pixels", "image.encoded")
    _check_size(width, height, limits, what="a tile of the image")


def _check_memory(width: int, height: int, of_pixel: float, limits: Limits) -> None:
    """Refuse a page that takes more memory to decode than is allowed."""
    needed = round(width * height * of_pixel)
    if needed > limits.max_decoding_bytes:
        error = TooManyPixels(
            f"decoding {width:,}×{height:,} = {width * height:,} pixels of this kind takes about "
            f"{needed:,} bytes of memory; at most {limits.max_decoding_bytes:,} are allowed; "
            f"{RAISED['max_decoding_bytes']}",
            "image.encoded",
        )
        error.pixels, error.side = width * height, max(width, height)
        raise error


def _decoding_bytes(image: ImageFile.ImageFile) -> float:
    """Estimate the memory that decoding takes for each pixel, bytes.

    Pillow's own image has one byte a pixel, two, or four; the decoder holds more meanwhile.
    """
    own = 1 if image.mode in ("1", "L", "P") else 2 if image.mode.startswith("I;16") else 4
    held = 1.0  # the gray levels, once the decoder has let go
    if isinstance(image, JpegImagePlugin.JpegImageFile) and image.info.get("progressive"):
        sampling = [(across, down) for _, across, down, _ in image.layer]
        whole = max((across for across, _ in sampling), default=0)
        whole *= max((down for _, down in sampling), default=0)
        # Coefficients; where the sampling is damaged, the decoder will complain.
        held = 2 * sum(across * down for across, down in sampling) / max(whole, 1)
    elif isinstance(image, TiffImagePlugin.TiffImageFile):
        tags, pixels = image.tag_v2, image.width * image.height
        rows = min(_number(tags.get(ROWS_PER_STRIP, image.height)), image.height)
        tile = _number(tags.get(TILE_WIDTH, image.width)) * _number(tags.get(TILE_LENGTH, rows))
        held = max(held, own * tile / pixels)  # a strip or tile is decoded whole
    return own + held


def _number(value: object) -> int:
    """Return a tag's value, 0 where it is no number: Pillow will complain."""
    return value if isinstance(value, int) else 0


def _check_run_lengths(image: ImageFile.ImageFile, size: int) -> None:
    """Refuse run lengths that take too long: Pillow unpacks them in Python, code by code."""
    if not isinstance(image, BmpImagePlugin.BmpImageFile):
        return
    pixels = image.width * image.height
    if image.info["compression"] not in RUN_LENGTHS:
        return
    if pixels > MAX_RUN_LENGTHS:
        raise TooManyPixels(
            f"the BMP has {pixels:,} pixels in run lengths; at most {MAX_RUN_LENGTHS:,} are "
            "allowed",
            "image.encoded",
        )
    if size > 4 * pixels + 65_536:
        raise DamagedImage(
            f"the BMP has {size:,} bytes; so many are not needed for {pixels:,} pixels",
            "image.encoded",
        )


@dataclass(frozen=True)
class _Levels:
    """Facts about a file's gray levels that decoding loses."""

    bits: int  # of a channel, where they are more than 8; else 8
    white: float | None = None  # the highest value of one deep channel, if its type has one
    inverted: bool = False  # white is 0; Pillow turns that round at 8 bits, not beyond
    unsigned: bool = False  # 32 bits without a sign

    @classmethod
    def of(cls, image: ImageFile.ImageFile) -> Self:
        """Return the facts of an image before it is loaded: loading drops its raw mode."""
        tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
        is_deep = image.mode in ("I", "F") or image.mode.startswith("I;16")
        inverted = is_deep and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO
        unsigned = tags.get(SAMPLE_FORMAT, (UNSIGNED,)) == (UNSIGNED,)
        if image.mode.startswith("I;16"):
            bits = 12 if tags.get(BITS) == (12,) else 16
            return cls(bits, 2.0**bits - 1, inverted)
        if is_deep:
            return cls(32, None, inverted, image.mode == "I" and bool(tags) and unsigned)
        packing = str(image.tile[0].args) if image.tile else ""
        return cls(16 if ";16" in packing else 8)


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


def _to_gray(
    image: Image.Image, levels: _Levels, turn: Callable[[Gray], Gray]
) -> tuple[Gray, Channel, float]:
    """Return an image's gray levels, the channel they are, and how much they were stretched.

    Converted band by band: whole copies of a large page in color are what takes most memory.

    Args:
        image: loaded, not yet turned upright.
        levels: what its file says of them.
        turn: makes its pixels upright.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        gray, gain = depth.to_gray(
            image, levels.white, levels.unsigned, image.info.get("transparency")
        )
        if levels.inverted:
            np.subtract(255, gray, out=gray)
        return gray, Channel.LUMINANCE, gain
    stretch, gain = depth.stretching(image) if levels.bits > 8 else (None, 1.0)
    few = channels.thinned(image)
    level = None
    if image.has_transparency_data:
        level = backdrop.choose(few.point(stretch) if stretch else few)

    def opaque(part: Image.Image) -> Image.Image:
        if stretch is not None:
            part = part.point(stretch)
        return part if level is None else backdrop.flatten(part, level)

    mix = None
    if level is not None or image.mode not in ("1", "L"):
        mix = channels.choose(turn(np.asarray(_rgb(opaque(few)))))
    gray = np.empty((image.height, image.width), np.uint8)
    for top, bottom in bands(image.width, image.height):
        whole = bottom - top == image.height
        part = opaque(image if whole else image.crop((0, top, image.width, bottom)))
        part = part.convert("L") if mix is None else channels.mixed(_rgb(part), mix)
        gray[top:bottom] = np.asarray(part)
    return gray, Channel.LUMINANCE if mix is None else mix.channel, gain


def _rgb(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGB" else image.convert("RGB")

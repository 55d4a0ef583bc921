"""Upper bounds on an image's pixels, tiles and memory, checked before its pixels are decoded."""

from PIL import BmpImagePlugin, ImageFile, JpegImagePlugin, TiffImagePlugin

from service.errors import DamagedImage, EmptyImage, TooManyPixels
from service.imaging.limits import RAISED, Limits

ROWS_PER_STRIP, TILE_WIDTH, TILE_LENGTH = 278, 322, 323  # TIFF tags

MAX_RUN_LENGTHS = 2**22  # pixels of a BMP
RUN_LENGTHS = (1, 2)  # values of a BMP's compression


def check_size(
    width: int,
    height: int,
    limits: Limits,
    field: str = "image.encoded",
    what: str = "the image",
) -> None:
    """Check an image's sides and their product.

    Raises:
        EmptyImage, TooManyPixels: naming `what` and the limit, for `field` of the request.
    """
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


def check_tile(image: TiffImagePlugin.TiffImageFile, limits: Limits) -> None:
    """Check a TIFF's tiles: each is decoded whole, however small its image.

    Raises:
        DamagedImage, EmptyImage, TooManyPixels.
    """
    width, height = image.tag_v2.get(TILE_WIDTH, 1), image.tag_v2.get(TILE_LENGTH, 1)
    if not (isinstance(width, int) and isinstance(height, int)):
        raise DamagedImage(f"the TIFF's tiles are {width}×{height} pixels", "image.encoded")
    check_size(width, height, limits, what="a tile of the image")


def check_memory(width: int, height: int, of_pixel: float, limits: Limits) -> None:
    """Check the memory that decoding takes, at `of_pixel` bytes a pixel.

    Raises:
        TooManyPixels.
    """
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


def decoding_bytes(image: ImageFile.ImageFile) -> float:
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


def check_run_lengths(image: ImageFile.ImageFile, size: int) -> None:
    """Check a BMP's run lengths: Pillow unpacks them in Python, code by code.

    Raises:
        TooManyPixels, DamagedImage: there is more to unpack than the pixels need.
    """
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

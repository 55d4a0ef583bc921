"""Images in the forms that Python callers have -> the schema's message.

Clients load this module, so numpy and Pillow are imported only once a caller brings an array or a
Pillow image, and has loaded them already.
"""

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from service.errors import DamagedImage, NoSuchPage, UnreadableSource, UnsupportedPixels
from service.pb import recognizer_pb2 as pb

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import PIL.Image

ImageLike: TypeAlias = (
    "bytes | bytearray | memoryview | str | os.PathLike[str] | npt.NDArray[np.uint8] | "
    "PIL.Image.Image"
)

PILLOW_MODES = ("1", "L", "LA", "P", "I;16", "RGB", "RGBA")  # that PNG keeps as they are


def to_image(image: ImageLike, page: int = 0) -> pb.Image:
    """Return the message for an image.

    Args:
        image: a file's bytes; the path of a file; an array of uint8, gray of shape
            (height, width) or RGB of shape (height, width, 3); or a Pillow image.
        page: of a file with several pages, from 0.

    Raises:
        UnreadableSource: a file cannot be read, or the image is of another type.
        UnsupportedPixels: an array has another type or shape, or a Pillow image 32 bits.
        NoSuchPage: the page is negative.
        DamagedImage: a Pillow image is open on a file that cannot be decoded.
    """
    if not isinstance(page, int) or not 0 <= page < 2**32:
        raise NoSuchPage(f"there is no page {page!r}; pages are numbered from 0", "image.page")
    if isinstance(image, bytes | bytearray | memoryview):
        return pb.Image(encoded=bytes(image), page=page)
    if isinstance(image, str | os.PathLike):
        try:
            return pb.Image(encoded=Path(image).read_bytes(), page=page)
        except (OSError, ValueError) as error:  # a ValueError is a name with a null character
            raise UnreadableSource(f"cannot read {os.fspath(image)}: {error}") from error
    if type(image).__module__.partition(".")[0] == "PIL":
        return pb.Image(encoded=_png(image), page=page)  # type: ignore[arg-type]
    if not hasattr(image, "__array__"):
        raise UnreadableSource(
            f"an image cannot be of type {type(image).__name__}; expected the bytes or the path of "
            "a file, an array, or a Pillow image",
            "image",
        )
    import numpy as np

    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,)):
        raise UnsupportedPixels(
            f"the array is {array.dtype} of shape {array.shape}; expected uint8, 0 black to 255 "
            f"white, of shape (height, width) or (height, width, 3){_advice(array)}",
            "image",
        )
    if array.ndim == 3 and array.size:
        import PIL.Image

        return pb.Image(encoded=_png(PIL.Image.fromarray(array)), page=page)
    height, width = array.shape[:2]
    raster = pb.GrayRaster(width=width, height=height, pixels=array.tobytes())
    return pb.Image(raster=raster, page=page)


def _png(image: "PIL.Image.Image") -> bytes:
    """Encode a Pillow image, so that its color is treated as a file's is."""
    import PIL.ImageOps

    if image.mode in ("I", "F"):
        raise UnsupportedPixels(
            f"the pixels have 32 bits or a sign (Pillow's mode {image.mode}); 1 to 8, or 16, "
            "unsigned bits a channel are allowed",
            "image",
        )
    file = io.BytesIO()
    try:
        upright = PIL.ImageOps.exif_transpose(image)
        if upright.mode not in PILLOW_MODES:
            upright = upright.convert("RGB")
        upright.save(file, "PNG", compress_level=1, dpi=image.info.get("dpi"))
    except Exception as error:  # it may be open on a damaged file, or have no pixels
        raise DamagedImage(f"the Pillow image cannot be used: {error}", "image") from error
    return file.getvalue()


def _advice(array: "npt.NDArray[np.generic]") -> str:
    """Return how to convert the kinds of array that are met most."""
    if array.dtype.kind == "b":
        return "; convert it: np.where(array, 255, 0).astype(np.uint8)"
    if array.dtype.kind == "f":
        return "; convert levels of 0 to 1: (255 * array).round().astype(np.uint8)"
    return ""

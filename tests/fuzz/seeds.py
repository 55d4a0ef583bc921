"""Valid inputs of every kind, small, from which damaged ones are made."""

import io
import struct
import zlib
from functools import cache
from itertools import product

import cv2
import numpy as np
from PIL import ExifTags, Image

from service.api.options import to_image
from service.imaging.decode import decode
from service.pb import recognizer_pb2 as pb
from tests.conftest import STRIPS
from tests.fuzz.damage import PNG_START, chunk
from tests.fuzz.files import file_seeds

CHECKS = [value for value in pb.CheckDigit.values() if value]
PATTERNS = (r"\d{5}(-\d{4})?", "[0-46]+|7{2,3}", "((1|2)*3)?4", r"\(\d{3}\) \d{3,}-\d\d", "€0.?")
TIFF_COMPRESSIONS = (
    *("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "lzma", "zstd", "jpeg"),
    *("tiff_ccitt", "group3", "group4", "tiff_raw_16"),
)
OF_ONE_BIT = ("tiff_ccitt", "group3", "group4", "tiff_raw_16")


def seeds():
    """Valid inputs by kind; of the kinds `request` and `raster`, RecognizeRequest messages."""
    return {
        "png": list(pngs()),
        "jpeg": list(jpegs()),
        "tiff": list(tiffs()),
        "bmp": list(bmps()),
        "webp": list(webps()),
        "exif": list(exifs()),
        "page": list(pages()),
        "raster": [request.SerializeToString() for request in rasters()],
        "request": [request.SerializeToString() for request in requests()],
        "pattern": [pattern.encode() for pattern in PATTERNS],
        **file_seeds((STRIPS / "one-digit.png").read_bytes()),
    }


@cache
def strip():
    page = decode((STRIPS / "two-digits.png").read_bytes()).gray
    return Image.fromarray(cv2.resize(page, (48, 24), interpolation=cv2.INTER_AREA))


def written(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def modes(*names):
    return (strip().convert(name) for name in names)


def pages():
    """Images large enough to be pages of the form in examine.py."""
    page = strip().resize((192, 96))
    yield written(page, "PNG")
    yield written(page.convert("RGB"), "PNG")
    yield written(page.convert("1"), "TIFF", compression="group4")


def oriented(value=6):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = value
    exif[ExifTags.Base.XResolution] = 300.0
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = b"ASCII\0\0\0meter"
    return exif


def pngs():
    yield from ((STRIPS / name).read_bytes() for name in ("one-digit.png", "postcode-ruled.png"))
    for image in modes("1", "L", "P", "LA", "RGB", "RGBA"):
        yield written(image, "PNG")
    sixteen = np.asarray(strip(), np.uint16) * 257
    yield written(Image.fromarray(sixteen), "PNG", exif=oriented(), transparency=0)
    yield interlaced(np.asarray(strip()))
    yield written(strip(), "PNG", save_all=True, append_images=[strip()], duration=9)  # animated


def interlaced(gray):
    """A PNG in seven passes (PNG 1.2, section 2.6), which Pillow does not write."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    rows = b""
    for top, left, down, across in [*passes, (1, 0, 2, 1)]:
        rows += b"".join(b"\0" + row.tobytes() for row in gray[top::down, left::across])
    height, width = gray.shape
    header = struct.pack(">LLBBBBB", width, height, 8, 0, 0, 0, 1)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return PNG_START + b"".join(chunk(*part) for part in parts)


def jpegs():
    yield (STRIPS / "form-shaded.jpg").read_bytes()
    for image, progressive in product(modes("L", "RGB", "CMYK"), (False, True)):
        yield written(image, "JPEG", progressive=progressive, exif=oriented(), comment=b"a strip")
    restarts = cv2.imencode(".jpg", np.asarray(strip()), (cv2.IMWRITE_JPEG_RST_INTERVAL, 2))[1]
    yield restarts.tobytes()
    yield written(strip(), "MPO", save_all=True, append_images=[strip()])


def tiffs():
    yield (STRIPS / "serial.tif").read_bytes()
    for compression in TIFF_COMPRESSIONS:
        for mode in ("1",) if compression in OF_ONE_BIT else ("L", "RGB"):
            yield written(strip().convert(mode), "TIFF", compression=compression)
    for image in modes("P", "LA", "RGBA", "CMYK", "I;16"):
        yield written(image, "TIFF", exif=oriented())
    yield written(strip(), "TIFF", big_tiff=True)
    yield written(strip(), "TIFF", save_all=True, append_images=[strip().convert("1")])
    for compression in ("raw", "tiff_lzw"):
        tags = {322: 16, 323: 16}  # tiles
        yield written(strip(), "TIFF", compression=compression, tiffinfo=tags)
        yield written(strip(), "TIFF", compression=compression, tiffinfo={278: 3})  # strips


def bmps():
    for image in modes("1", "L", "P", "RGB", "RGBA"):
        yield written(image, "BMP")
    yield run_lengths(8, b"\x04\x07\0\0\x02\x05\x02\x09\0\1", 1)
    yield run_lengths(4, b"\x04\x12\0\0\0\x03\x12\x30\0\2\1\0\0\1", 2)


def run_lengths(bits, codes, compression):
    palette = b"".join(bytes([level, level, level, 0]) for level in range(2**bits))
    size = b"BM" + (54 + len(palette) + len(codes)).to_bytes(4, "little") + bytes(4)
    header = [40, 4, 2, 1 | bits << 16, compression, len(codes), 0, 0, 0, 0]
    numbers = [54 + len(palette), *header]
    return size + b"".join(each.to_bytes(4, "little") for each in numbers) + palette + codes


def webps():
    yield (STRIPS / "telephone-large.webp").read_bytes()
    for image, lossless in product(modes("L", "RGB", "RGBA"), (False, True)):
        yield written(image, "WEBP", lossless=lossless, exif=oriented())
    yield written(strip(), "WEBP", save_all=True, append_images=[strip()], duration=9)


def exifs():
    for value in range(1, 9):
        yield oriented(value).tobytes()


def rasters():
    page = np.asarray(strip())
    for gray in (page, page[:1], page[:, :1], page[:3, :3], np.zeros((9, 50), np.uint8)):
        yield pb.RecognizeRequest(image=to_image(gray), include_scores=True)


def requests():
    image = to_image((STRIPS / "one-digit.png").read_bytes())
    yield pb.RecognizeRequest(image=image, alternatives=20, accepted_error_rate=0.01)
    for pattern in PATTERNS:
        yield asking(image, pattern=pattern)
    for check in CHECKS:
        yield asking(image, check_digit=check, length=pb.LengthRange(min=1, max=20))
    yield asking(image, allowed=["12", "1-2", "0", "", "99 999"], pattern=r"\d+-?\d*")
    yield asking(image, length=pb.LengthRange(max=255))


def asking(image, **wishes):
    return pb.RecognizeRequest(image=image, constraint=pb.Constraint(**wishes))

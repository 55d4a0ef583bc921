"""Every kind of damage that a folder of scans can have, each with the reason that a row gives."""

import io
import shutil
import zipfile

import numpy as np
from PIL import Image

from service.imaging.limits import Limits
from tests.conftest import STRIPS
from tests.support.encoded import (
    DEFLATE,
    FLOAT,
    bmp,
    jpeg,
    png,
    tiff_of_one_strip,
    tiff_of_one_tile,
    tiff_of_pages,
    webp_canvas,
    webp_lossless,
)

HUGE = 30000  # of the side of a picture that is too large
SOUND = ("postcode-ruled.png", "amount-blue-ink.jpg", "serial.tif", "telephone-large.webp")


def make_damage(folder):
    """Fill a folder; return {name: reason} of what is damaged. The sound strips are in it too."""
    whole = {name: (STRIPS / name).read_bytes() for name in SOUND}
    for name in SOUND:
        shutil.copy(STRIPS / name, folder / name)
    page = np.full((40, 60), 200, np.uint8)
    long = tiff_of_pages(*[page[:1, :1]] * (Limits.max_pages + 1))
    pdf = io.BytesIO()
    Image.fromarray(page).save(pdf, "PDF")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("inside.png", whole["postcode-ruled.png"])
    files = {
        "empty.png": (b"", "EMPTY_IMAGE"),
        "text.png": (b"Dear Sir or Madam,\n", "UNKNOWN_FORMAT"),
        "zeros.jpg": (bytes(5000), "UNKNOWN_FORMAT"),
        "gif.png": (b"GIF89a" + bytes(40), "UNKNOWN_FORMAT"),
        "zip.png": (packed.getvalue(), "UNKNOWN_FORMAT"),
        "signature-alone.png": (b"\x89PNG\r\n\x1a\n", "DAMAGED_IMAGE"),
        "huge.png": (png(HUGE, HUGE, 8, b""), "TOO_MANY_PIXELS"),
        "huge.jpg": (jpeg(HUGE, HUGE), "TOO_MANY_PIXELS"),
        "huge.bmp": (bmp(HUGE, HUGE), "TOO_MANY_PIXELS"),
        "huge.webp": (webp_canvas(HUGE // 2, HUGE // 2), "TOO_MANY_PIXELS"),
        "huge-lossless.webp": (webp_lossless(HUGE // 2, HUGE // 2), "TOO_MANY_PIXELS"),
        "huge-tile.tif": (tiff_of_one_tile(16, 16, HUGE - HUGE % 16), "TOO_MANY_PIXELS"),
        "wide.png": (png(2**21 + 1, 1, 8, b""), "TOO_MANY_PIXELS"),
        "no-pixels.bmp": (bmp(0, 5), "DAMAGED_IMAGE"),
        "float.tif": (
            tiff_of_one_strip(2, 1, 64, bytes(16), sample_format=FLOAT),
            "UNSUPPORTED_PIXELS",
        ),
        "bad-deflate.tif": (
            tiff_of_one_strip(9, 9, 8, b"no deflate at all", compression=DEFLATE),
            "DAMAGED_IMAGE",
        ),
        "long.tif": (long, "TOO_MANY_PAGES"),
        "large.png": (
            whole["postcode-ruled.png"] + bytes(Limits.max_bytes),
            "TOO_MANY_BYTES",
        ),
        "cut.pdf": (pdf.getvalue()[:200], "DAMAGED_IMAGE"),
        "no-pages.pdf": (b"%PDF-1.4\n%%EOF\n", "DAMAGED_IMAGE"),
    }
    for name, encoded in whole.items():
        files[f"half-{name}"] = encoded[: len(encoded) // 2], "DAMAGED_IMAGE"
    for name, (encoded, _) in files.items():
        (folder / name).write_bytes(encoded)
    (folder / "dangling.png").symlink_to(folder / "nowhere.png")
    return {name: reason for name, (_, reason) in files.items()} | {
        "dangling.png": "UNREADABLE_SOURCE"
    }

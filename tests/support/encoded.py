"""Encoded images of every format, made by libraries or byte by byte: sound and broken ones."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image


def noise(height=17, width=23):
    return np.random.default_rng(5).integers(0, 256, (height, width), np.uint8)


def ramp(height=32, width=48):
    return np.linspace(10, 240, height * width).reshape(height, width).astype(np.uint8)


def with_pillow(picture, kind, **options):
    file = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(file, kind, **options)
    return file.getvalue()


def with_opencv(picture, suffix, *options):
    return cv2.imencode(suffix, picture, options)[1].tobytes()


def png(width, height, bits, rows, *chunks):
    def chunk(name, data):
        return (
            struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data))
        )

    header = struct.pack(">LLBBBBB", width, height, bits, 0, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def bmp(width, height, bits=24, rows=b"", compression=0, palette=b""):
    start = 54 + len(palette)
    return (
        struct.pack("<2sLHHL", b"BM", start + len(rows), 0, 0, start)
        + struct.pack(
            "<LllHHLLllLL", 40, width, height, 1, bits, compression, len(rows), 0, 0, 0, 0
        )
        + palette
        + rows
    )


WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
STRIP, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES = 273, 277, 278, 279
TILE_WIDTH, TILE_HEIGHT, TILE, TILE_BYTES, SAMPLE_FORMAT = 322, 323, 324, 325, 339
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
DEFLATE = 8


def tiff(tags, data):
    """Little endian, one page; the data follow the tags."""
    start = 8 + 2 + 12 * len(tags) + 4
    directory = b"".join(
        struct.pack("<HHLL", tag, 4, 1, start if value is None else value)
        for tag, value in sorted(tags.items())
    )
    return struct.pack("<2sHLH", b"II", 42, 8, len(tags)) + directory + bytes(4) + data


def tiff_of_one_strip(width, height, bits, data, white_is_zero=False, **tags):
    return tiff(
        {
            WIDTH: width,
            HEIGHT: height,
            BITS: bits,
            COMPRESSION: tags.get("compression", 1),
            PHOTOMETRIC: 0 if white_is_zero else 1,
            STRIP: None,
            SAMPLES: 1,
            ROWS_PER_STRIP: height,
            STRIP_BYTES: len(data),
            SAMPLE_FORMAT: tags.get("sample_format", UNSIGNED),
        },
        data,
    )


def tiff_of_one_tile(width, height, side):
    data = zlib.compress(bytes(1000))
    return tiff(
        {
            WIDTH: width,
            HEIGHT: height,
            BITS: 8,
            COMPRESSION: DEFLATE,
            PHOTOMETRIC: 1,
            SAMPLES: 1,
            TILE_WIDTH: side,
            TILE_HEIGHT: side,
            TILE: None,
            TILE_BYTES: len(data),
        },
        data,
    )


def tiff_of_pages(*pages):
    images = [Image.fromarray(page) for page in pages]
    return with_pillow(images[0], "TIFF", save_all=True, append_images=images[1:])


def webp(*chunks):
    body = b"".join(
        name + struct.pack("<L", len(data)) + data + bytes(len(data) % 2) for name, data in chunks
    )
    return b"RIFF" + struct.pack("<L", 4 + len(body)) + b"WEBP" + body


def webp_canvas(width, height):
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return webp((b"VP8X", bytes(4) + sizes), (b"VP8L", b"\x2f" + bytes(9)))


def webp_lossless(width, height):
    sizes = (width - 1 | height - 1 << 14).to_bytes(4, "little")
    return webp((b"VP8L", b"\x2f" + sizes + bytes(20)))


def webp_lossy(width, height):
    encoded = bytearray(with_pillow(noise(), "WEBP"))
    assert encoded[12:16] == b"VP8 "
    encoded[26:30] = struct.pack("<HH", width, height)
    return bytes(encoded)


def jpeg(width, height):
    encoded = bytearray(with_pillow(noise(), "JPEG"))
    frame = encoded.index(b"\xff\xc0")
    encoded[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(encoded)


def bmp_run_lengths():
    palette = b"".join(bytes([level, level, level, 0]) for level in range(256))
    return bmp(4, 2, 8, b"\x04\x07\x00\x00\x02\x05\x02\x09\x00\x01", 1, palette)


def orientation(value):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = value
    return exif


ENCODED = {
    "PNG": with_pillow(noise(), "PNG"),
    "PNG, 1 bit": with_pillow(Image.fromarray(noise()).convert("1"), "PNG"),
    "PNG, palette": with_pillow(Image.fromarray(noise()).convert("P"), "PNG", transparency=3),
    "PNG, 16 bits": with_opencv(noise().astype(np.uint16) * 257, ".png"),
    "JPEG": with_pillow(noise(), "JPEG"),
    "JPEG, turned": with_pillow(noise(), "JPEG", exif=orientation(6), progressive=True),
    "JPEG, CMYK": with_pillow(Image.new("CMYK", (23, 17), (9, 99, 40, 7)), "JPEG"),
    "TIFF": with_pillow(noise(), "TIFF"),
    "TIFF, LZW": with_pillow(noise(), "TIFF", compression="tiff_lzw"),
    "TIFF, fax": with_pillow(Image.fromarray(noise()).convert("1"), "TIFF", compression="group4"),
    "TIFF, 2 pages": tiff_of_pages(noise(), ramp()),
    "BMP": with_pillow(noise(), "BMP"),
    "BMP, run lengths": bmp_run_lengths(),
    "WebP, lossless": with_pillow(noise(), "WEBP", lossless=True),
    "WebP, lossy": with_pillow(ramp(), "WEBP"),
    "WebP, turned": with_pillow(ramp(), "WEBP", exif=orientation(6)),
}
every_format = pytest.mark.parametrize("name", ENCODED)

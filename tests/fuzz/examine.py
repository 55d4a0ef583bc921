"""What an input is put through: all that a server does with bytes of strangers."""

import zlib
from contextlib import suppress

from google.protobuf.message import DecodeError

from service.api.requests import to_options, to_page
from service.api.wire import form_request_pixels, request_pixels
from service.errors import BadConstraint, InputError
from service.imaging.decode import count_pages, decode
from service.imaging.limits import Limits
from service.pb import recognizer_pb2 as pb
from service.recognition.decoding.regex import pattern
from service.workers.framing import Work
from service.workers.worker_config import WorkerConfig
from service.workers.worker_main import recognize
from tests.fuzz.files import FILES, examine_file
from tests.fuzz.seeds import strip, written

SMALL = Limits(max_bytes=2**21, max_pixels=2**18, max_width=2**13, max_pages=20)
SPARED = 64  # of which one is read
IMAGES = ("png", "jpeg", "tiff", "bmp", "webp")
FORM = """name = "slip"
[page]
width = 48
height = 24
[registration]
by = "none"
[[field]]
name = "one"
box = [2, 2, 44, 20]
search = 0.5
"""


class Finding(AssertionError):
    """Something that an input must not do."""


def examine(kind, data, recognizer, sparing=False):
    """Put an input through; only Digitstrip's errors are allowed.

    Reading takes longest by far: `sparing`, most images are only decoded, most options only built.
    """
    if kind in FILES:
        examine_file(kind, data)
    elif kind == "pattern":
        with suppress(BadConstraint):
            pattern(data.decode(errors="replace"))
    elif kind == "exif":
        for page in with_exif(data):
            examine_image(page, recognizer, sparing)
    elif kind == "page":
        examine_page(data, recognizer, sparing)
    elif kind in IMAGES:
        examine_image(data, recognizer, sparing)
    else:
        examine_request(data, recognizer, sparing)


def examine_image(encoded, recognizer, sparing):
    """Measure it, count its pages, decode two of them, and read both."""
    request_pixels(pb.RecognizeRequest(image=pb.Image(encoded=encoded)).SerializeToString())
    with suppress(InputError):
        count_pages(encoded, SMALL)
    for page in (0, 1):
        try:
            decode(encoded, page, SMALL)
        except InputError as error:
            if isinstance(error.__cause__, MemoryError):
                raise Finding("decoding asked for too much memory") from error
        else:
            if sparing and zlib.crc32(encoded) % SPARED:
                continue
            image = pb.Image(encoded=encoded, page=page)
            examine_request(pb.RecognizeRequest(image=image).SerializeToString(), recognizer)


def examine_page(encoded, recognizer, sparing):
    """Read it as a page of a form, as a worker does."""
    request = pb.RecognizeFormRequest(
        image=pb.Image(encoded=encoded), form=pb.Form(template=FORM, name="slip.toml")
    ).SerializeToString()
    with suppress(InputError):
        form_request_pixels(request)
    if sparing and zlib.crc32(encoded) % SPARED:
        return
    head, _ = recognize(recognizer, request, WorkerConfig(SMALL), Work.RECOGNIZE_FORM)
    if "trace" in head:
        raise Finding(head["trace"])


def examine_request(serialized, recognizer, sparing=False):
    """Recognize a request, as a worker does."""
    with suppress(InputError):
        request_pixels(serialized)
    if sparing and zlib.crc32(serialized) % SPARED:
        with suppress(DecodeError, InputError):
            message = pb.RecognizeRequest.FromString(serialized)
            to_options(message)
            to_page(message.image, SMALL)
        return
    head, _ = recognize(recognizer, serialized, WorkerConfig(SMALL))
    if "trace" in head:
        raise Finding(head["trace"])


def with_exif(exif):
    """Images that carry it, in each way that one can."""
    page = strip()
    yield written(page, "PNG", exif=exif)
    yield written(page, "WEBP", exif=exif)
    if len(exif) < 2**16 - 10:
        yield written(page, "JPEG", exif=b"Exif\0\0" + exif.removeprefix(b"Exif\0\0"))

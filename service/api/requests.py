"""What callers ask: images and wishes, between protobuf and the domain."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TypedDict

import numpy as np

from service.errors import BadConstraint, BadOption, EmptyImage, NoSuchPage, quoted
from service.imaging.decode import decode, from_raster
from service.imaging.formats import declared_pixels
from service.imaging.limits import Limits
from service.imaging.page import Gray, Page
from service.pb import recognizer_pb2 as pb
from service.recognition.decoding.automaton import Constraint
from service.recognition.decoding.constraints import (
    all_of,
    allowed,
    isbn10,
    isbn13,
    length,
    luhn,
    mod97,
    verhoeff,
)
from service.recognition.decoding.regex import pattern
from service.recognition.recognizer import Options

MOST_ALTERNATIVES = 20
MOST_CONSTRAINT = 2**20  # bytes of a constraint's message
KEPT = 16  # automata, of some megabytes each at most

CHECKS = {
    pb.CHECK_DIGIT_LUHN: luhn,
    pb.CHECK_DIGIT_MOD97: mod97,
    pb.CHECK_DIGIT_ISBN10: isbn10,
    pb.CHECK_DIGIT_ISBN13: isbn13,
    pb.CHECK_DIGIT_VERHOEFF: verhoeff,
}


class Asked(TypedDict, total=False):
    """What can be asked of a reading, by the names and with the meaning of the schema's fields."""

    constraint: pb.Constraint | None  # what the string must satisfy
    alternatives: int  # how many of the next most probable strings to tell, 0 to 20
    accepted_error_rate: float | None  # the share of accepted readings that may be wrong, 0 to 1


def to_page(image: pb.Image, limits: Limits) -> Page:
    """Return the page that a message holds.

    Raises:
        InputError: it holds none, or one that cannot be read.
    """
    match image.WhichOneof("content"):
        case "encoded":
            return decode(image.encoded, image.page, limits)
        case "raster":
            raster = image.raster
            if image.page:
                raise NoSuchPage(
                    f"page {image.page} was asked for; a raster is page 0", "image.page"
                )
            return from_raster(raster.pixels, raster.width, raster.height, limits)
        case _:
            raise EmptyImage("the request has no image; expected image.encoded or image.raster")


def to_pixels(image: pb.Image) -> int:
    """Return how many pixels an image message declares; 0 if it does not say so plainly."""
    if image.WhichOneof("content") == "raster":
        return image.raster.width * image.raster.height
    return declared_pixels(image.encoded)


def to_image(image: bytes | Gray, page: int = 0) -> pb.Image:
    """Return the message for an encoded image, or for gray levels of shape (height, width)."""
    if isinstance(image, bytes):
        return pb.Image(encoded=image, page=page)
    gray = np.ascontiguousarray(image, np.uint8)
    height, width = gray.shape
    raster = pb.GrayRaster(width=width, height=height, pixels=gray.tobytes())
    return pb.Image(raster=raster, page=page)


def to_options(request: pb.RecognizeRequest) -> Options:
    """Return what a request asks of its reading.

    Raises:
        BadConstraint, BadOption: the field is malformed or out of range.
    """
    if request.alternatives > MOST_ALTERNATIVES:
        raise BadOption(
            f"{request.alternatives} alternatives were asked for; "
            f"at most {MOST_ALTERNATIVES} are allowed",
            "alternatives",
        )
    error_rate = request.accepted_error_rate if request.HasField("accepted_error_rate") else None
    if error_rate is not None and not 0 < error_rate < 1:
        raise BadOption(
            f"the accepted error rate is {error_rate:g}; expected one above 0 and below 1",
            "accepted_error_rate",
        )
    return Options(to_constraint(request.constraint), request.alternatives, error_rate)


def to_length(text: str) -> pb.LengthRange:
    """Return the numbers of digits that `5`, `3-7` or `3-` says.

    Raises:
        BadConstraint: it is written otherwise, or allows no digit at all.
    """
    if found := re.fullmatch(r"([0-9]{1,9})(-([0-9]{1,9})?)?", text):
        least, dash, most = found.groups()
        if dash == "-":
            return pb.LengthRange(min=int(least))
        if int(most or least) > 0:
            return pb.LengthRange(min=int(least), max=int(most or least))
    raise BadConstraint(
        f"{quoted(text)} is no number of digits; expected one such as 5, 3-7 or 3-",
        "constraint.length",
    )


def to_constraint(message: pb.Constraint) -> Constraint | None:
    """Return the automaton of all that a message demands, or None if it demands nothing.

    Raises:
        BadConstraint: with the field that is at fault.
    """
    if message.ByteSize() > MOST_CONSTRAINT:
        raise BadConstraint(
            f"the constraint has {message.ByteSize()} bytes; at most {MOST_CONSTRAINT} are allowed"
        )
    return _build(message.SerializeToString(deterministic=True))


@lru_cache(KEPT)
def _build(serialized: bytes) -> Constraint | None:
    """Build an automaton, once for all the images that ask for it."""
    message = pb.Constraint.FromString(serialized)
    parts = list(_parts(message))
    if not parts:
        return None
    constraint = all_of(*parts)
    if not constraint.starts:
        given = ", ".join(field.name for field, _ in message.ListFields())
        raise BadConstraint(f"no string satisfies all that is given: {given}")
    return constraint


def _parts(message: pb.Constraint) -> Iterator[Constraint]:
    """Yield what must hold together; of those that write characters, first who may write them."""
    if message.pattern:
        with _blaming("constraint.pattern"):
            yield pattern(message.pattern)
    if message.allowed:
        with _blaming("constraint.allowed"):
            yield allowed(message.allowed)
    if message.length.min or message.length.max:
        with _blaming("constraint.length"):
            yield length(message.length.min, message.length.max or None)
    if message.check_digit:
        if message.check_digit not in CHECKS:
            raise BadConstraint(
                f"check digit {message.check_digit} is not known; expected one of "
                + ", ".join(pb.CheckDigit.Name(each) for each in CHECKS),
                "constraint.check_digit",
            )
        yield CHECKS[message.check_digit]()


@contextmanager
def _blaming(field: str) -> Iterator[None]:
    """Name the field that a bad constraint comes from."""
    try:
        yield
    except BadConstraint as error:
        error.field = field
        raise

"""Requests to the domain: gray pages, options and automata, from protobuf.

The other half, which builds requests, is `service.api.options`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from service.api.options import CHECK_DIGITS
from service.errors import BadConstraint, BadOption, EmptyImage, NoSuchPage
from service.imaging.decode import decode, from_raster
from service.imaging.limits import Limits
from service.imaging.page import Page
from service.pb import recognizer_pb2 as pb
from service.recognition.decoding.automaton import Constraint
from service.recognition.decoding.constraints import SCHEMES, all_of, allowed, length
from service.recognition.decoding.regex import pattern
from service.recognition.recognizer import MAX_ALTERNATIVES, Options

MAX_CONSTRAINT_BYTES = 2**20  # of the serialized message
CACHED = 16  # automata, of some megabytes each at most


def to_page(image: pb.Image, limits: Limits) -> Page:
    """Decode the page of an image message.

    Raises:
        InputError: the message is empty, or the image cannot be decoded within the limits.
    """
    match image.WhichOneof("content"):
        case "encoded":
            return decode(image.encoded, image.page, limits)
        case "raster":
            raster = image.raster
            if image.page:
                raise NoSuchPage(
                    f"page {image.page} was requested; a raster has page 0 only", "image.page"
                )
            return from_raster(raster.pixels, raster.width, raster.height, limits)
        case _:
            raise EmptyImage("the request has no image; expected image.encoded or image.raster")


def to_options(request: pb.RecognizeRequest) -> Options:
    """Return the recognition options of a request.

    Raises:
        BadConstraint, BadOption: a field is malformed or out of range.
    """
    if request.alternatives > MAX_ALTERNATIVES:
        raise BadOption(
            f"{request.alternatives} alternatives were requested; "
            f"at most {MAX_ALTERNATIVES} are allowed",
            "alternatives",
        )
    error_rate = request.accepted_error_rate if request.HasField("accepted_error_rate") else None
    if error_rate is not None and not 0 < error_rate < 1:
        raise BadOption(
            f"the accepted error rate is {error_rate:g}; expected one above 0 and below 1",
            "accepted_error_rate",
        )
    return Options(to_constraint(request.constraint), request.alternatives, error_rate)


def to_constraint(message: pb.Constraint) -> Constraint | None:
    """Return the automaton of a message's fields together, or None if it is empty.

    Raises:
        BadConstraint: names the invalid field.
    """
    if message.ByteSize() > MAX_CONSTRAINT_BYTES:
        raise BadConstraint(
            f"the constraint has {message.ByteSize()} bytes; "
            f"at most {MAX_CONSTRAINT_BYTES} are allowed"
        )
    return _build(message.SerializeToString(deterministic=True))


@lru_cache(CACHED)
def _build(serialized: bytes) -> Constraint | None:
    """Build an automaton once for all the requests that share it."""
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
    """Yield the automaton of each field, in descending order of the right to insert literals."""
    if message.pattern:
        with _field("constraint.pattern"):
            yield pattern(message.pattern)
    if message.allowed:
        with _field("constraint.allowed"):
            yield allowed(message.allowed)
    if message.length.min or message.length.max:
        with _field("constraint.length"):
            yield length(message.length.min, message.length.max or None)
    if message.check_digit:
        names = {value: name for name, value in CHECK_DIGITS.items()}
        if message.check_digit not in names:
            raise BadConstraint(
                f"check digit {message.check_digit} is not known; expected one of "
                + ", ".join(pb.CheckDigit.Name(each) for each in names),
                "constraint.check_digit",
            )
        yield SCHEMES[names[message.check_digit]]()


@contextmanager
def _field(field: str) -> Iterator[None]:
    """Set the field of a BadConstraint."""
    try:
        yield
    except BadConstraint as error:
        error.field = field
        raise

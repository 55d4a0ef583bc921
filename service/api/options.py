"""Requests from Python values: the half that clients need, without imaging or recognition.

The other half, which a server needs, is `service.api.requests`.
"""

import re
from typing import TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from service.errors import BadConstraint, quoted
from service.pb import recognizer_pb2 as pb

CHECK_DIGITS: dict[str, pb.CheckDigit] = {  # by the names that options and manifests use
    name.removeprefix("CHECK_DIGIT_").lower(): pb.CheckDigit.ValueType(value)
    for name, value in pb.CheckDigit.items()
    if value
}


class RecognizeOptions(TypedDict, total=False):
    """Options of a request, by the names and with the meaning of the schema's fields."""

    constraint: pb.Constraint | None  # a hard constraint on the string
    alternatives: int  # the number of alternatives to return, 0 to 20
    accepted_error_rate: float | None  # tolerated among accepted readings, above 0 and below 1


def to_request(
    image: bytes | npt.NDArray[np.uint8],
    page: int = 0,
    include_scores: bool = False,
    **options: Unpack[RecognizeOptions],
) -> pb.RecognizeRequest:
    """Return the request for an image.

    Args:
        image: a file's bytes, or gray levels of shape (height, width).
        page: of a multi-page TIFF, from 0.
        include_scores: whether the response contains the score map.
        **options: the other fields of the request.
    """
    return pb.RecognizeRequest(
        image=to_image(image, page), include_scores=include_scores, **options
    )


def to_image(image: bytes | npt.NDArray[np.uint8], page: int = 0) -> pb.Image:
    """Return the message for an encoded image, or for gray levels of shape (height, width)."""
    if isinstance(image, bytes):
        return pb.Image(encoded=image, page=page)
    gray = np.ascontiguousarray(image, np.uint8)
    height, width = gray.shape
    raster = pb.GrayRaster(width=width, height=height, pixels=gray.tobytes())
    return pb.Image(raster=raster, page=page)


def to_length(text: str) -> pb.LengthRange:
    """Parse a number of digits such as `5`, `3-7` or `3-`.

    Raises:
        BadConstraint: the text has another form, or allows no digit at all.
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


def to_check_digit(name: str) -> pb.CheckDigit:
    """Parse the name of a check digit scheme, such as `luhn`, in either case.

    Raises:
        BadConstraint: there is no such scheme.
    """
    if name.lower() not in CHECK_DIGITS:
        raise BadConstraint(
            f"{quoted(name)} is no check digit scheme; expected {', '.join(CHECK_DIGITS)}",
            "constraint.check_digit",
        )
    return CHECK_DIGITS[name.lower()]

"""Requests from Python values: the half that clients need, without imaging or recognition.

The other half, which a server needs, is `service.api.requests`.
"""

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import TypedDict, Unpack

from service.api.images import ImageLike, to_image
from service.errors import BadConstraint, BadOption, quoted
from service.pb import recognizer_pb2 as pb

CHECK_DIGITS: dict[str, pb.CheckDigit] = {  # by the names that options and manifests use
    name.removeprefix("CHECK_DIGIT_").lower(): pb.CheckDigit.ValueType(value)
    for name, value in pb.CheckDigit.items()
    if value
}

OPTIONS = {  # the options' names on the command line and over HTTP, by the fields that they set
    "image.page": "page",
    "constraint.length": "length",
    "constraint.pattern": "pattern",
    "constraint.allowed": "allowed",
    "constraint.check_digit": "check",
    "alternatives": "alternatives",
    "accepted_error_rate": "accept-errors",
}


class RecognizeOptions(TypedDict, total=False):
    """Options of a request, with the meaning of the schema's fields."""

    length: int | str | None  # the number of digits: 5, or "3-7", or "3-"
    pattern: str | None  # a regular expression that matches the whole string
    allowed: Sequence[str]  # the allowed strings; empty, all
    check_digit: str | None  # a name of CHECK_DIGITS
    constraint: pb.Constraint | None  # in place of those four
    alternatives: int  # the number of alternatives to return, 0 to 20
    accepted_error_rate: float | None  # tolerated among accepted readings, above 0 and below 1


def to_request(
    image: ImageLike,
    page: int = 0,
    include_scores: bool = False,
    **options: Unpack[RecognizeOptions],
) -> pb.RecognizeRequest:
    """Return the request for an image.

    Args:
        image: in any form that `to_image` takes.
        page: of a file with several pages, from 0.
        include_scores: whether the response contains the score map.
        **options: the other fields of the request.

    Raises:
        UnreadableSource, UnsupportedPixels, DamagedImage: the image cannot be sent.
        NoSuchPage, BadConstraint, BadOption: an option has no place in a request.
    """
    request = to_fields(**options)
    request.image.CopyFrom(to_image(image, page))
    request.include_scores = include_scores
    return request


def to_fields(**options: Unpack[RecognizeOptions]) -> pb.RecognizeRequest:
    """Return a request without an image.

    Raises:
        BadConstraint, BadOption: an option has no place in a request.
    """
    try:
        return pb.RecognizeRequest(
            constraint=_constraint(options),
            alternatives=options.get("alternatives", 0),
            accepted_error_rate=options.get("accepted_error_rate"),
        )
    except (TypeError, ValueError) as error:  # a number out of the field's range, or none
        raise BadOption(
            f"alternatives = {options.get('alternatives')!r}, accepted_error_rate = "
            f"{options.get('accepted_error_rate')!r}: {error}",
            "alternatives" if options.get("alternatives") else "accepted_error_rate",
        ) from error


def to_error_rate(text: str) -> float:
    """Parse a share such as `0.01` or `1%`, whatever its range.

    Raises:
        BadOption: it is not a number.
    """
    try:  # decimal, so that 0.7% is the same number as 0.007
        return float(Decimal(text.removesuffix("%")).scaleb(-2 if text.endswith("%") else 0))
    except (InvalidOperation, ValueError) as error:
        raise BadOption(
            f"{quoted(text)} is no share; expected one such as 0.01 or 1%", "accepted_error_rate"
        ) from error


def _constraint(options: RecognizeOptions) -> pb.Constraint | None:
    length, check_digit = options.get("length"), options.get("check_digit")
    pattern, allowed = options.get("pattern"), options.get("allowed", ())
    if (given := options.get("constraint")) is not None:
        return given
    if length is None and not pattern and not allowed and check_digit is None:
        return None
    if isinstance(allowed, str):
        raise BadConstraint(
            f"the allowed strings are the one string {quoted(allowed)}; expected a list",
            "constraint.allowed",
        )
    return pb.Constraint(
        length=to_length(str(length)) if length is not None else None,
        pattern=pattern,
        allowed=allowed,
        check_digit=to_check_digit(check_digit) if check_digit is not None else None,
    )


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

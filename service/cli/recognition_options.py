"""The options that `read`, `send` and `batch` share: constraints and what to return."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.errors import BadOption, InputError

if TYPE_CHECKING:
    from service.api.options import RecognizeOptions


class Check(StrEnum):
    """The check digits, by the names of the schema's enum."""

    LUHN = "luhn"
    MOD97 = "mod97"
    ISBN10 = "isbn10"
    ISBN13 = "isbn13"
    VERHOEFF = "verhoeff"


LengthOption = Annotated[
    str | None, typer.Option("--length", metavar="N|N-M|N-", help="The number of digits.")
]
PatternOption = Annotated[
    str | None,
    typer.Option(
        "--pattern",
        metavar="REGEX",
        help=r"A regular expression for the whole string, such as '\d{5}(-\d{4})?'; hyphens and "
        "the like are inserted, not looked for.",
    ),
]
AllowedOption = Annotated[
    Path | None,
    typer.Option("--allowed", metavar="FILE", help="A file of the allowed strings, one a line."),
]
CheckOption = Annotated[
    Check | None, typer.Option("--check", help="The check digit that the string must have.")
]
AlternativesOption = Annotated[
    int | None,
    typer.Option("--alternatives", min=0, help="The number of alternative strings, with --json."),
]
SecondReaderOption = Annotated[
    str | None,
    typer.Option(
        "--second-reader",
        metavar="FILE|none",
        help="The second reader's ONNX file; by default the shipped one beside the shipped model, "
        "and none beside another.",
    ),
]
AcceptErrorsOption = Annotated[
    str | None,
    typer.Option(
        "--accept-errors",
        metavar="RATE",
        help="Decide ACCEPT or REVIEW, with at most this share of the accepted wrong: 0.01 or 1%.",
    ),
]

ModelOption = Annotated[Path | None, typer.Option("--model", help="The ONNX file to read with.")]


def to_recognize_options(
    length: str | None,
    pattern: str | None,
    allowed: Path | None,
    check: Check | None,
    alternatives: int | None,
    accept_errors: str | None,
    as_json: bool,
) -> "RecognizeOptions":
    """Return the options of a request, checked as a server would.

    Raises:
        typer.BadParameter: an option cannot be honored.
    """
    from service.api.options import RecognizeOptions, to_fields
    from service.api.requests import to_options

    if alternatives and not as_json:
        raise typer.BadParameter("they are only in JSON; add --json", param_hint="--alternatives")
    if pattern == "":  # of an empty variable, say; in a message it would be no pattern
        raise typer.BadParameter("the pattern is empty", param_hint="--pattern")
    options = RecognizeOptions(
        length=length,
        pattern=pattern,
        allowed=read_values(allowed) if allowed else (),
        check_digit=check,
        alternatives=alternatives or 0,
        accepted_error_rate=to_rate(accept_errors) if accept_errors is not None else None,
    )
    try:
        to_options(to_fields(**options))
    except InputError as error:
        raise typer.BadParameter(str(error), param_hint=_hint(error)) from error
    return options


def to_rate(text: str) -> float:
    """Parse a share such as `0.01` or `1%`, whatever its range.

    Raises:
        typer.BadParameter: it is not a number.
    """
    from service.api.options import to_error_rate

    try:
        return to_error_rate(text)
    except BadOption as error:
        raise typer.BadParameter(str(error), param_hint=_hint(error)) from error


def _hint(error: InputError) -> str | None:
    """Return the option that sets a request's field."""
    from service.api.options import OPTIONS

    return f"--{OPTIONS[error.field]}" if error.field in OPTIONS else None


def read_values(file: Path) -> list[str]:
    """Read a file's lines, stripped, without blank ones.

    Raises:
        typer.BadParameter: the file cannot be read, is not UTF-8, or has no values.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"cannot read {file}: {error}", param_hint="--allowed") from error
    values = [line.strip() for line in lines if line.strip()]
    if not values:
        raise typer.BadParameter(f"{file} has no values in it", param_hint="--allowed")
    return values

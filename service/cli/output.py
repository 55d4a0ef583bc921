"""The output and the exit status of `read` and `send`."""

import json
import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import IntEnum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from service.errors import DigitstripError, ServerUnavailable, SettingsError
from service.imaging.files import Source, expand

if TYPE_CHECKING:
    from PIL import Image

    from service.pb import recognizer_pb2 as pb

STDOUT, STDERR = 1, 2


class Stderr(Console):
    """Standard error. What it does not take is lost: no outcome depends on it."""

    def __init__(self) -> None:
        super().__init__(stderr=True, highlight=False, soft_wrap=True, markup=False)

    def print(self, *objects: Any, **options: Any) -> None:  # noqa: ANN401 - rich's own
        """Print, unless stderr is full or closed."""
        try:
            super().print(*objects, **options)
        except (OSError, ValueError):
            discard(STDERR)

    def on_broken_pipe(self) -> None:
        """Go on where nobody reads stderr; rich would end the command."""
        discard(STDERR)


def discard(stream: int) -> None:
    """Redirect a standard stream to /dev/null, so that flushing it at exit cannot fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


err = Stderr()

BROKEN = {  # a constraint
    "IMPOSSIBLE": "no string that is allowed was found; this one is not",
    "UNSEARCHED": "too wide to search for what is allowed; this string is not",
}
Responses = Iterator["pb.RecognizeResponse"]  # of an image's pages

FilesArgument = Annotated[
    list[str], typer.Argument(metavar="FILE...", help="Images, folders, globs, or - for stdin.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
PictureOption = Annotated[
    Path | None,
    typer.Option("--picture", help="Draw the ribbon; further pages get -2, -3 … in the name."),
]


class Exit(IntEnum):
    """Exit statuses of the command line."""

    ALL_READ = 0
    SOME_FAILED = 1
    WRONG_USE = 2


def report(
    names: list[str], pages: Callable[[bytes], Responses], as_json: bool, picture: Path | None
) -> None:
    """Read every source and print its readings; exit 0 if all were read, 1 if not."""
    sources = list(expand(names))
    failed = drawn = 0
    for source in sources:
        try:
            encoded = source.read()
            for page, response in enumerate(pages(encoded)):
                print_reading(source, page, response, as_json, alone=len(sources) == 1)
                if picture is not None:
                    drawn += 1
                    draw_picture(encoded, page, response, picture, drawn)
        except (ServerUnavailable, SettingsError, BrokenPipeError):
            raise  # it would be the same for every source
        except DigitstripError as error:
            failed += 1
            print_failure(source, error, as_json)
        except Exception as error:  # a bug on one image must not lose the others
            failed += 1
            kind = type(error).__name__
            print_failure(source, DigitstripError(f"failed with {kind}: {error}"), as_json)
    raise typer.Exit(Exit.SOME_FAILED if failed else Exit.ALL_READ)


def print_reading(
    source: Source, page: int, response: "pb.RecognizeResponse", as_json: bool, alone: bool
) -> None:
    """Print a reading: JSON, or columns of the source's name if there are several, text, decision.

    A text that violates the constraint is reported on stderr, so that the columns stay the same.
    """
    from service.api.json_records import decision_word, outcome_word, reason_words, to_record

    if as_json:
        typer.echo(json.dumps(to_record(source.name, page, response)))
        return
    name = f"{source.name}#{page + 1}" if page else source.name
    decision = decision_word(response)
    columns = [*([] if alone else [name]), response.text, *([decision] if decision else [])]
    columns += [" ".join(reason_words(response))] if response.review_reasons else []
    typer.echo("\t".join(columns))
    outcome = outcome_word(response)
    if outcome in BROKEN:
        err.print(f"{name}: {outcome}: {BROKEN[outcome]}")


def print_failure(source: Source, error: DigitstripError, as_json: bool) -> None:
    """Print why a source could not be read: on stdout as JSON, on stderr as a sentence."""
    if as_json:
        what = {"reason": error.reason, "message": str(error)}
        typer.echo(json.dumps({"source": source.name, "error": what}))
    else:
        err.print(f"{source.name}: {error.reason}: {error}")


def draw_picture(
    encoded: bytes, page: int, response: "pb.RecognizeResponse", path: Path, number: int
) -> None:
    """Write a page's ribbon."""
    from service.cli.score_plot import draw
    from service.imaging.decode import decode
    from service.imaging.limits import UNLIMITED

    save(draw(decode(encoded, page, UNLIMITED).gray, response), path, number)


def save(picture: "Image.Image", path: Path, number: int) -> None:
    """Write a picture; the second and later ones of a run get their number.

    Raises:
        SettingsError: it cannot be written, or the suffix is unknown.
    """
    if number > 1:
        path = path.with_stem(f"{path.stem}-{number}")
    try:
        picture.save(path)
    except (OSError, ValueError) as error:  # a ValueError is an unknown suffix
        raise SettingsError(f"cannot write the picture {path}: {error}") from error


def notify(sentence: str) -> None:
    """Print a notice on stderr, unless that is full or closed: nothing depends on it."""
    with suppress(OSError, ValueError):
        if select.select([], [sys.stderr], [], 0)[1]:  # a full pipe would hold up a server
            # Unbuffered, so that nothing is left to flush: a disk that is full may have room again,
            # and the log lines that come after are written, or counted as lost.
            os.write(sys.stderr.fileno(), f"{sentence}\n".encode())


def announce(line: str) -> None:
    """Print a line on stdout, unless that is full or closed: a service goes on without it."""
    try:
        if select.select([], [sys.stdout], [], 0)[1]:
            typer.echo(line)
    except (OSError, ValueError):
        discard(STDOUT)


def open_standard_streams() -> None:
    """Put /dev/null where a standard stream is closed.

    Otherwise the next file that is opened takes its number, and is written to in its place.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            with suppress(OSError):
                os.fstat(number)
                continue  # another file has its number already
            if (opened := os.open(os.devnull, os.O_RDWR)) != number:
                os.dup2(opened, number)
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def show_version(wanted: bool) -> None:
    """Print the version and exit, if that is wanted."""
    if wanted:
        typer.echo(version("digitstrip"))
        raise typer.Exit

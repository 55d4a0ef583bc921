"""The output and the exit status of `read` and `send`."""

import codecs
import json
import os
import select
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import IntEnum
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, NamedTuple, Protocol, TypeVar

import typer
from rich.console import Console

from service.errors import DigitstripError, MissingExtra, ServerUnavailable, SettingsError
from service.imaging.files import DOCUMENTS, STDIN, Source, expand
from service.imaging.formats import SUFFIXES
from service.inputs.names import printable

if TYPE_CHECKING:
    from PIL import Image

    from service.api.service import RecognizedLine
    from service.imaging.limits import Limits
    from service.imaging.page import Page
    from service.inputs.documents import Content
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
HARDLY = 0.01  # probability of all strings that are allowed, below which people are warned
Read = TypeVar("Read")  # what comes of a page: a response, or a form's reading
# Reads a page, from 0, of an image, or a document's page that was drawn.
ReadPage = Callable[["Content", int], Read]


class Savable(Protocol):
    """A picture, or another file of a page."""

    def save(self, path: Path, /) -> None:
        """Write it.

        Raises:
            OSError, ValueError: it cannot be written, or the name has the wrong suffix.
        """


class PageImage(NamedTuple):
    """A page to draw: of an image, or a document's page that was drawn."""

    content: "Content"
    page: int  # of that, from 0
    source: str  # name of the file
    number: int  # of the page in the file, from 0

    def decode(self, limits: "Limits") -> "Page":
        """Decode it, unless it was drawn."""
        from service.imaging.decode import decode
        from service.imaging.page import Page

        if isinstance(self.content, bytes):
            return decode(self.content, self.page, limits)
        return Page(self.content)


# Draws such a page and what came of it.
Draw = Callable[[PageImage, Read], Savable]


class Drawing(NamedTuple, Generic[Read]):
    """What to draw of each page, and where."""

    path: Path | None  # None is nowhere
    draw: Draw[Read]
    suffix: str = ".png"  # in a folder


# Prints it: of a source and page; whether as JSON, and whether there is no other source.
Show = Callable[[Source, int, Read, bool, bool], None]

FilesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...", help="Images, PDF documents, folders, globs, or - for stdin."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
PictureOption = Annotated[
    Path | None,
    typer.Option(
        "--picture",
        metavar="FILE|FOLDER",
        help="Draw the ribbon; further pages get -2, -3 … in the name. In a folder, pictures are "
        "named after their images.",
    ),
]


class Exit(IntEnum):
    """Exit statuses of the command line."""

    ALL_READ = 0
    SOME_FAILED = 1
    WRONG_USE = 2


class Pictures:
    """Pictures of a run: a file and further ones with a number, or a folder of files by source.

    Args:
        path: a file, or a folder: a name without a suffix, which is made if it is not there.
        sources: the images that are read; none of them is overwritten.
        suffix: of files in a folder.
    """

    def __init__(self, path: Path, sources: Iterable[str], suffix: str = ".png") -> None:
        self.path = path
        self.suffix = suffix
        self.sources = {os.path.realpath(each) for each in sources}
        self.is_folder = path.is_dir() or not path.suffix
        self._taken: dict[str, int] = {}  # how many pictures have begun with a name

    def save(self, picture: Savable, source: str) -> None:
        """Write the next picture of a source.

        Raises:
            SettingsError: it cannot be written, or the suffix is unknown.
        """
        path = self.path
        if self.is_folder:
            name = "stdin" if source == STDIN else Path(source).stem
            path = path / f"{name}{self.suffix}"
        number = self._taken[path.name] = self._taken.get(path.name, 0) + 1
        if number > 1:
            path = path.with_stem(f"{path.stem}-{number}")
        if os.path.realpath(path) in self.sources:
            raise SettingsError(f"{path} would overwrite an image that is read")
        try:
            if self.is_folder:
                path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
        except (OSError, ValueError) as error:  # a ValueError is an unknown suffix
            raise SettingsError(f"cannot write {path}: {error}") from error


def report(
    names: list[str],
    read_page: ReadPage[Read],
    show: Show[Read],
    limits: "Limits",
    dpi: int,
    as_json: bool,
    drawings: Iterable[Drawing[Read]],
) -> None:
    """Read every page of every source and print its reading; exit 0 if all were read, 1 if not.

    Args:
        names: files, folders, globs, or `-`.
        read_page: reads a page.
        show: prints what came of it.
        limits: of images, for counting and drawing pages.
        dpi: dots an inch that a PDF's pages are drawn at.
        as_json: whether to print JSON.
        drawings: what to draw of each page.
    """
    from service.inputs.documents import Document

    sources = list(expand(names, SUFFIXES | DOCUMENTS))
    pictures = [
        (Pictures(each.path, (source.name for source in sources), each.suffix), each.draw)
        for each in drawings
        if each.path is not None
    ]
    failed = 0
    for source in sources:
        try:
            document = Document(source.read(), limits, dpi)
            for page in range(document.pages):
                content, index = document.page(page)
                response = read_page(content, index)
                show(source, page, response, as_json, len(sources) == 1)
                for drawn, draw in pictures:
                    image = PageImage(content, index, source.name, page)
                    drawn.save(draw(image, response), source.name)
        except MissingExtra as error:  # which a PDF needs, and other sources do not
            failed += 1
            print_failure(source, error, as_json)
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

    A text that violates the constraint, or is there for it alone, is reported on stderr, so that
    the columns stay the same.
    """
    from service.api.json_records import decision_word, outcome_word, reason_words, to_record

    if as_json:
        typer.echo(json.dumps(to_record(printable(source.name), page, response)))
        return
    name = f"{source.name}#{page + 1}" if page else source.name
    decision = decision_word(response)
    columns = [*([] if alone else [name]), response.text, *([decision] if decision else [])]
    columns += [" ".join(reason_words(response))] if response.review_reasons else []
    typer.echo("\t".join(columns))
    outcome = outcome_word(response)
    if outcome in BROKEN:
        err.print(f"{name}: {outcome}: {BROKEN[outcome]}")
    elif outcome == "CHANGED" and response.allowed_probability < HARDLY:
        share = f"{response.allowed_probability:.2%}"
        err.print(f"{name}: {outcome}: the image hardly shows what is allowed ({share})")


def print_lines(
    source: Source, page: int, lines: "list[RecognizedLine]", as_json: bool, alone: bool
) -> None:
    """Print each line of a page as `print_reading` does; its JSON has the line and its box, too."""
    from service.api.json_records import to_record

    for number, (box, response) in enumerate(lines, 1):
        if as_json:
            record = to_record(printable(source.name), page, response)
            edges = [round(edge, 2) for edge in (box.left, box.top, box.right, box.bottom)]
            typer.echo(json.dumps(record | {"line": number, "box": edges}))
        else:
            print_reading(source, page, response, as_json, alone)


def print_form(
    source: Source,
    page: int,
    response: "pb.RecognizeFormResponse",
    as_json: bool,
    alone: bool,
    named: bool = False,
) -> None:
    """Print a form's reading: JSON, or a line a field with the columns of `print_reading`.

    Of several forms, the one that was chosen is named.
    """
    from service.api.json_records import decision_word, reason_words
    from service.forms.json_records import page_record, registration_word

    if as_json:
        typer.echo(json.dumps(page_record(printable(source.name), page, response)))
        return
    name = f"{source.name}#{page + 1}" if page else source.name
    for each in response.fields:
        decision, reasons = decision_word(each), reason_words(each)
        columns = [*([] if alone and not page else [name]), *([response.form] if named else [])]
        columns += [each.name, each.reading.text]
        columns += [decision] if decision else []
        columns += [" ".join(reasons)] if reasons else []
        typer.echo("\t".join(columns))
    if why := response.registration.why:
        err.print(f"{name}: {registration_word(response.registration)}: {why}")


def print_failure(source: Source, error: DigitstripError, as_json: bool) -> None:
    """Print why a source could not be read: on stdout as JSON, on stderr as a sentence."""
    if as_json:
        what = {"reason": error.reason, "message": printable(str(error))}
        typer.echo(json.dumps({"source": printable(source.name), "error": what}))
    else:
        err.print(f"{source.name}: {error.reason}: {error}")


def ribbon(image: PageImage, response: "pb.RecognizeResponse") -> "Image.Image":
    """Draw a page's ribbon."""
    from service.cli.score_plot import draw
    from service.imaging.limits import UNLIMITED

    return draw(image.decode(UNLIMITED).gray, response)


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
    """Put /dev/null where a standard stream is closed; let stdout take every name of a file.

    Otherwise the next file that is opened takes its number, and is written to in its place; and a
    name that is no UTF-8 could not be printed where the locale is another than C.
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
    if isinstance(sys.stdout, TextIOWrapper):
        utf8 = codecs.lookup(sys.stdout.encoding).name == "utf-8"
        sys.stdout.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")


def show_version(wanted: bool) -> None:
    """Print the version and exit, if that is wanted."""
    if wanted:
        typer.echo(version("digitstrip"))
        raise typer.Exit

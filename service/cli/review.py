"""`digitstrip review`: a page on which a person acts on what a batch could not accept."""

import getpass
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.output import announce, err
from service.cli.recognition_options import (
    AllowedOption,
    Check,
    CheckOption,
    LengthOption,
    PatternOption,
    to_recognize_options,
)

if TYPE_CHECKING:
    from service.review.people import People
    from service.review.run import Result


def review(
    table: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE", help="What `digitstrip batch` wrote: .parquet, .jsonl or .csv."
        ),
    ],
    listen: Annotated[
        str, typer.Option(help="Address and port of the page; port 0 is a free one.")
    ] = "127.0.0.1:8090",
    people: Annotated[
        Path | None,
        typer.Option(help="A file of `NAME TOKEN` lines: who may review, each by a token."),
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A name that the server is reached by; repeatable."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Who reviews, without --people; by default your login.")
    ] = None,
    keys: Annotated[
        int | None,
        typer.Option(
            min=1, max=2, help="People who key each row: the second does not see the first's value."
        ),
    ] = None,
    blind: Annotated[
        bool | None,
        typer.Option(
            "--blind",
            help="Key from the picture alone; what equals the machine's reading is accepted.",
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(min=0, help="Accepted rows, drawn at random, that are reviewed unmarked."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Decides which are drawn.")] = None,
    planted: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Rows whose text is known, as source,text: they are mixed in and measure people.",
        ),
    ] = None,
    length: LengthOption = None,
    pattern: PatternOption = None,
    allowed: AllowedOption = None,
    check: CheckOption = None,
    dpi: Annotated[
        int | None,
        typer.Option(
            min=36, max=2400, help="Dots an inch for a PDF's pages; by default the batch's."
        ),
    ] = None,
    journal: Annotated[
        Path | None, typer.Option(help="Where every key is kept; by default TABLE.review.")
    ] = None,
    root: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DIR|URL",
            help="Show scans beneath it, too, besides those here and beside the table; repeatable.",
        ),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="Write the table with the review's columns, and exit."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write the reviewed scans with a labels.csv to learn from, and exit.",
        ),
    ] = None,
    summary: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write the figures, and exit.")
    ] = None,
) -> None:
    """Review what a batch set to REVIEW, on a page in the browser; Ctrl-C ends it.

    Nothing that was confirmed is lost; the same command goes on where it was.
    """
    from service.review.planted import read_planted
    from service.review.run import Job, Result, opened, serve
    from service.review.table import read_rows

    settings: dict[str, object] = {
        "keys": keys,
        "blind": blind,
        "sample": sample,
        "seed": seed,
        "dpi": dpi,
    }
    settings["constraint"] = _constraint(length, pattern, allowed, check)
    settings["planted"] = read_planted(planted, read_rows(table)) if planted else None
    given = {name: value for name, value in settings.items() if value is not None}
    job = Job(table, given, journal, tuple(root or ()))
    if export or labels or summary:
        write(Result.of(job), export, labels, summary)
        return

    def ready(url: str) -> None:
        announce(f"review {table.name} at {url} ; Ctrl-C ends")

    with opened(job) as session:
        if outside := session.outside():
            err.print(f"warning: {outside}")
        serve(session, _people(people, name), listen, tuple(host or ()), ready)
        for sentence in session.summary().sentences():
            err.print(sentence)
    out = shlex.quote(str(table.with_stem(f"{table.stem}.reviewed")))
    err.print(f"next: digitstrip review {shlex.quote(str(table))} --export {out} --labels DIR")


def _constraint(
    length: str | None, pattern: str | None, allowed: Path | None, check: Check | None
) -> str | None:
    """Return the constraint that was given, as the journal keeps it, or None."""
    from google.protobuf import text_format

    from service.api.options import to_fields

    options = to_recognize_options(length, pattern, allowed, check, None, None, as_json=True)
    constraint = to_fields(**options).constraint
    return text_format.MessageToString(constraint, as_one_line=True).strip() or None


def _people(path: Path | None, name: str | None) -> "People":
    """Return who may review."""
    from service.review.people import People, read_people

    if path is None:
        return People(name or _login(), {})
    if name is not None:
        raise typer.BadParameter("people have their names from --people", param_hint="--name")
    return read_people(path)


def _login() -> str:
    """Return the name of who runs this; a container may have none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "reviewer"


def write(result: "Result", export: Path | None, labels: Path | None, page: Path | None) -> None:
    """Write what a review gives, and say what was written."""
    if export:
        result.export(export)
        typer.echo(f"{export} written")
    if labels:
        folder = result.write_labels(labels)
        for sentence in folder.missing:
            typer.echo(f"left out: {sentence}")
        typer.echo(f"{folder.written:,} labeled scans in {labels}")
    if page:
        result.write_summary(page)
        typer.echo(f"{page} written")
    for sentence in result.summary().sentences():
        err.print(sentence)

"""Options of `batch` that `read` and `send` do not have."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Engine(StrEnum):
    """Where items are read."""

    LOCAL = "local"
    RAY = "ray"


class ProgressMode(StrEnum):
    """How progress is shown."""

    AUTO = "auto"
    BAR = "bar"
    LINES = "lines"
    NONE = "none"


InputsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...",
        help="Images, PDF documents, folders, globs, zip and tar archives, manifests (.txt, .csv, "
        ".parquet), URLs of object stores, or - for a list on standard input.",
    ),
]
OutputOption = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="OUT", help="The table: .jsonl, .csv or .parquet."),
]
ColumnsOption = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="all|short|NAME,...",
        help="Columns of a .csv; by default short: source, page, id, text, confidence, decision, "
        "reason.",
    ),
]
SpreadsheetOption = Annotated[
    bool,
    typer.Option(
        "--spreadsheet",
        help='Write a .csv for a spreadsheet: texts and ids as ="02821", which keeps their zeros.',
    ),
]
FormOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--form",
        metavar="FORM",
        help="Read whole pages, field by field, by a form's template (.toml): a row a field. Given "
        "several times, or a folder, each page is one of these forms.",
    ),
]
WideOption = Annotated[
    bool, typer.Option("--wide", help="With --form: a row a page, and columns for each field.")
]
ScoresOption = Annotated[
    bool, typer.Option("--scores", help="Keep the score maps too, in a .parquet.")
]
RefreshOption = Annotated[
    bool,
    typer.Option(
        "--refresh",
        help="Read again what changed (inputs, model or settings), and overwrite the output.",
    ),
]
QuarantineOption = Annotated[
    Path | None,
    typer.Option("--quarantine", metavar="DIR", help="Copy files that could not be read there."),
]
ReportOption = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE.html",
        help="Write a report to look at; FILE-2.html and so on follow if much is to be reviewed.",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        help="Worker processes; by default as many as usable CPUs, 2 with --address.",
    ),
]
ProgressOption = Annotated[
    ProgressMode,
    typer.Option(
        "--progress", help="A bar, log lines, or none; auto is a bar on a terminal, else lines."
    ),
]
DpiOption = Annotated[
    int, typer.Option("--dpi", min=36, max=2400, help="Dots an inch for a PDF's pages.")
]
SecondsOption = Annotated[
    float, typer.Option("--timeout", min=0.001, help="Timeout of one image, in seconds.")
]
ServicesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--address", metavar="HOST:PORT", help="A service that reads instead; repeatable."
    ),
]
EngineOption = Annotated[
    Engine, typer.Option("--engine", help="Where to read: this machine, or Ray.")
]
RayAddressOption = Annotated[
    str | None,
    typer.Option(
        "--ray-address", metavar="HOST:PORT", help="A Ray cluster; without it, a local one."
    ),
]
ShardsOption = Annotated[
    str | None,
    typer.Option(
        "--shards",
        metavar="DIR",
        help="Where Ray keeps its shards, a folder or URL that all its nodes see; OUT.shards by "
        "default.",
    ),
]

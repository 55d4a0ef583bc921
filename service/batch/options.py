"""The options of `batch` that `read` and `send` do not have."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Engine(StrEnum):
    """What reads."""

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
ScoresOption = Annotated[
    bool, typer.Option("--scores", help="Keep the score maps too, in a .parquet.")
]
RefreshOption = Annotated[
    bool,
    typer.Option(
        "--refresh", help="Where inputs, model or settings changed, read anew; do not refuse."
    ),
]
QuarantineOption = Annotated[
    Path | None,
    typer.Option("--quarantine", metavar="DIR", help="Copy what could not be read there."),
]
ReportOption = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE.html", help="Write a page to look at, in one file."),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, help="Processes that read; the usable CPUs by default, 2 for services."
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
    float, typer.Option("--timeout", min=0.001, help="Seconds that one image may take.")
]
ServicesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--address", metavar="HOST:PORT", help="A service that reads instead; repeatable."
    ),
]
EngineOption = Annotated[Engine, typer.Option("--engine", help="What reads: this machine, or Ray.")]
RayAddressOption = Annotated[
    str | None,
    typer.Option(
        "--ray-address", metavar="HOST:PORT", help="A Ray cluster; without it, a local one."
    ),
]
PartsOption = Annotated[
    str | None,
    typer.Option(
        "--parts",
        metavar="DIR",
        help="Where Ray keeps the parts, seen by all its nodes: a folder or URL; OUT.parts "
        "by default.",
    ),
]

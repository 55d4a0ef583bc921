"""The limits of images, by the names that the server's settings have."""

from typing import Annotated

import typer

LIMITS = "Limits"  # the heading of these in the help

MaxBytesOption = Annotated[
    int,
    typer.Option(
        "--max-bytes",
        min=1,
        help="Bytes that an encoded image may have.",
        rich_help_panel=LIMITS,
    ),
]
MaxPixelsOption = Annotated[
    int,
    typer.Option(
        "--max-pixels", min=1, help="Pixels that a decoded page may have.", rich_help_panel=LIMITS
    ),
]
MaxWidthOption = Annotated[
    int,
    typer.Option(
        "--max-width",
        min=1,
        help="Pixels that a page's longer side may have.",
        rich_help_panel=LIMITS,
    ),
]
MaxPagesOption = Annotated[
    int, typer.Option("--max-pages", min=1, help="Pages of a TIFF.", rich_help_panel=LIMITS)
]
MaxDecodingBytesOption = Annotated[
    int,
    typer.Option(
        "--max-decoding-bytes",
        min=1,
        help="Memory for decoding a page, in bytes, estimated.",
        rich_help_panel=LIMITS,
    ),
]

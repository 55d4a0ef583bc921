"""`digitstrip form`: what is done with templates of forms."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.batch.options import DpiOption
from service.cli.limit_options import (
    MaxBytesOption,
    MaxDecodingBytesOption,
    MaxPagesOption,
    MaxPixelsOption,
    MaxWidthOption,
)
from service.cli.output import Exit, FilesArgument, Pictures, err
from service.imaging.limits import Limits

if TYPE_CHECKING:
    from service.forms.register import Registration

app = typer.Typer(no_args_is_help=True, help="Check templates of forms.")

TemplateArgument = Annotated[
    Path, typer.Argument(metavar="FORM", help="The form's template, a .toml file.")
]
BoxesOption = Annotated[
    Path | None,
    typer.Option(
        "--picture",
        metavar="FILE|FOLDER",
        help="Draw the boxes over each page; in a folder, named after the pages' files.",
    ),
]


@app.callback()
def callback() -> None:
    """Check templates of forms."""


@app.command()
def check(
    form: TemplateArgument,
    files: FilesArgument,
    picture: BoxesOption = None,
    dpi: DpiOption = 300,
    max_bytes: MaxBytesOption = Limits.max_bytes,
    max_pixels: MaxPixelsOption = Limits.max_pixels,
    max_width: MaxWidthOption = Limits.max_width,
    max_pages: MaxPagesOption = Limits.max_pages,
    max_decoding_bytes: MaxDecodingBytesOption = Limits.max_decoding_bytes,
) -> None:
    """Register pages, without reading them: how far print is off, the worst page first.

    The exit status is 0 if every field of every page is in its place.
    """
    from service.cli.form_plot import draw_registration, summary
    from service.errors import DigitstripError
    from service.forms.register import Status, register
    from service.forms.responses import to_registration
    from service.forms.template import load
    from service.imaging.decode import decode
    from service.imaging.files import DOCUMENTS, expand
    from service.imaging.formats import SUFFIXES
    from service.inputs.documents import Document

    limits = Limits(max_bytes, max_pixels, max_width, max_pages, max_decoding_bytes)
    loaded = load(form, limits)
    sources = list(expand(files, SUFFIXES | DOCUMENTS))
    pictures = Pictures(picture, [each.name for each in sources]) if picture else None
    found: list[tuple[str, Registration]] = []
    failed = 0
    for source in sources:
        try:
            document = Document(source.read(), limits, dpi)
            for page in range(document.pages):
                content, index = document.page(page)
                gray = (
                    decode(content, index, limits).gray if isinstance(content, bytes) else content
                )
                registration = register(gray, loaded)
                name = f"{source.name}#{page + 1}" if page else source.name
                found.append((name, registration))
                if pictures:
                    pictures.save(draw_registration(gray, loaded, registration), source.name)
        except DigitstripError as error:
            failed += 1
            err.print(f"{source.name}: {error.reason}: {error}")

    def badness(each: "tuple[str, Registration]") -> tuple[bool, int, float, float]:
        _, registration = each
        lost = registration.status is Status.MISREGISTERED
        inliers = 0.0 if registration.inliers is None else registration.inliers
        return lost, len(registration.doubtful), registration.residual or 0.0, -inliers

    for name, registration in sorted(found, key=badness, reverse=True):
        doubtful = ", ".join(sorted(registration.doubtful))
        columns = [name, summary(to_registration(registration)), registration.why or doubtful]
        typer.echo("\t".join(each for each in columns if each))
        failed += registration.status is Status.MISREGISTERED or bool(registration.doubtful)
    raise typer.Exit(Exit.SOME_FAILED if failed else Exit.ALL_READ)

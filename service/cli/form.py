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

app = typer.Typer(no_args_is_help=True, help="Make and check templates of forms.")

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

OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FORM",
        help="The template, a .toml file; the reference is a .png beside it, or an image that is "
        "there. Default: named after FILE, in this folder. Nothing is overwritten.",
    ),
]


@app.callback()
def callback() -> None:
    """Make and check templates of forms."""


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
        fields = ", ".join(sorted(registration.doubtful))
        why = registration.why or (fields and f"places that are not known: {fields}")
        columns = [name, summary(to_registration(registration)), why]
        typer.echo("\t".join(each for each in columns if each))
        failed += registration.status is Status.MISREGISTERED or bool(registration.doubtful)
    raise typer.Exit(Exit.SOME_FAILED if failed else Exit.ALL_READ)


@app.command()
def from_pdf(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A blank form, a PDF document.")],
    output: OutputOption = None,
    page: Annotated[int, typer.Option(min=1, help="The form's page, from 1.")] = 1,
    dpi: DpiOption = 300,
) -> None:
    """Make a template of a PDF's text fields; its page as it prints is the reference.

    Names, boxes, maximum lengths and combs are those of the document. Fields of several lines, and
    all others, are left out.
    """
    from service.errors import InputError
    from service.forms.drafts import DraftField, distinct, write_draft
    from service.forms.places import Box
    from service.inputs.documents import Document, is_pdf
    from service.inputs.pdf_fields import text_fields

    limits = Limits()
    encoded = _encoded(file)
    if not is_pdf(encoded):
        raise InputError(f"{file} is no PDF; of an image, `digitstrip form from-image` makes one")
    found = text_fields(encoded, page - 1)
    gray, _ = Document(encoded, limits, dpi).page(page - 1)
    assert not isinstance(gray, bytes)  # a PDF's page is drawn
    names = distinct(each.name for each in found.fields)
    fields = [
        DraftField(name, Box(*each.box), each.longest if each.comb else None, each.longest)
        for name, each in zip(names, found.fields, strict=True)
    ]
    path = output or Path(f"{file.stem}.toml")
    reference = write_draft(path, gray, found.size, fields, limits)
    typer.echo(f"{path}: {len(fields)} fields; {reference}")


@app.command()
def from_image(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A scan of the blank form.")],
    dpi: Annotated[int, typer.Option(min=50, max=2400, help="Dots an inch of the scan.")],
    output: OutputOption = None,
) -> None:
    """Make a template of the boxes and combs that are printed on a blank form.

    They are named field1, field2 … from the top, for editing. The scan must be straight, and show
    the whole page and nothing around it.
    """
    from service.forms.drafts import write_draft
    from service.forms.printed_boxes import printed_fields
    from service.forms.template import MM_PER_INCH
    from service.imaging.decode import decode

    limits = Limits()
    gray = decode(_encoded(file), 0, limits).gray
    scale = dpi / MM_PER_INCH
    fields = printed_fields(gray, scale)
    path = output or Path(f"{file.stem}.toml")
    size = gray.shape[1] / scale, gray.shape[0] / scale
    reference = write_draft(path, gray, size, fields, limits, file)
    typer.echo(f"{path}: {len(fields)} fields; {reference}")


def _encoded(file: Path) -> bytes:
    """Read a file.

    Raises:
        UnreadableSource: it cannot be read; the sentence has its name.
    """
    from service.errors import UnreadableSource
    from service.imaging.files import Source

    try:
        return Source(str(file)).read()
    except UnreadableSource as error:
        raise UnreadableSource(f"{file}: {error}", error.field) from error

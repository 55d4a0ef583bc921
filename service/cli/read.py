"""`digitstrip read`: images in this process, without a server."""

from functools import partial
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
from service.cli.output import (
    Drawing,
    FilesArgument,
    JsonOption,
    PageImage,
    PictureOption,
    err,
    print_form,
    print_lines,
    print_reading,
    report,
    ribbon,
)
from service.cli.recognition_options import (
    AcceptErrorsOption,
    AllowedOption,
    AlternativesOption,
    CheckOption,
    LengthOption,
    ModelOption,
    PatternOption,
    SecondReaderOption,
    to_recognize_options,
)
from service.imaging.limits import Limits

if TYPE_CHECKING:
    from PIL import Image

    from service.inputs.documents import Content

ExplainOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE|FOLDER",
        help="Draw each step from the page to the reading; named as by --picture.",
    ),
]
FormOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--form",
        metavar="FORM",
        help="Read whole pages, field by field, by a form's template (.toml); --picture draws the "
        "fields. Given several times, or a folder, each page is one of these forms.",
    ),
]
AltoOption = Annotated[
    Path | None,
    typer.Option(
        "--alto",
        metavar="FILE|FOLDER",
        help="With --form: write each page as ALTO 4 (.xml); named as by --picture.",
    ),
]
LinesOption = Annotated[
    bool,
    typer.Option("--lines", help="Read each line of ink of a page, top to bottom, with its box."),
]


def read(
    files: FilesArgument,
    form: FormOption = None,
    lines: LinesOption = False,
    as_json: JsonOption = False,
    picture: PictureOption = None,
    explain: ExplainOption = None,
    alto: AltoOption = None,
    length: LengthOption = None,
    pattern: PatternOption = None,
    allowed: AllowedOption = None,
    check: CheckOption = None,
    alternatives: AlternativesOption = None,
    accept_errors: AcceptErrorsOption = None,
    model: ModelOption = None,
    second_reader: SecondReaderOption = None,
    dpi: DpiOption = 300,
    max_bytes: MaxBytesOption = Limits.max_bytes,
    max_pixels: MaxPixelsOption = Limits.max_pixels,
    max_width: MaxWidthOption = Limits.max_width,
    max_pages: MaxPagesOption = Limits.max_pages,
    max_decoding_bytes: MaxDecodingBytesOption = Limits.max_decoding_bytes,
) -> None:
    """Read images in this process, without a server."""
    from service.api.options import to_request
    from service.api.requests import to_options
    from service.api.service import RecognitionService, RecognizedLine
    from service.pb import recognizer_pb2 as pb
    from service.recognition.calibration import not_calibrated
    from service.recognition.model import ModelFiles
    from service.recognition.recognizer import Recognizer

    options = to_recognize_options(
        length, pattern, allowed, check, alternatives, accept_errors, as_json
    )
    limits = Limits(max_bytes, max_pixels, max_width, max_pages, max_decoding_bytes)
    if lines and (form or picture or explain):
        raise typer.BadParameter(
            "--form, --picture and --explain are of a page or of one line", param_hint="--lines"
        )
    if alto and not form:
        raise typer.BadParameter("ALTO is of pages that a form is read on", param_hint="--alto")
    if form:
        from service.forms.service import Forms

        if (length, pattern, allowed, check, explain) != (None,) * 5:
            raise typer.BadParameter(
                "what a field must satisfy stands in the template, and --explain is of one line",
                param_hint="--form",
            )
        forms = Forms(limits)
        templates = forms.load_all(form)
    recognizer = Recognizer.load(ModelFiles.read(model, second_reader))
    if not recognizer.calibration.source:
        err.print(not_calibrated(recognizer.scorer.digest))
    service = RecognitionService(recognizer, limits)
    if form:
        from service.cli.form_reading import form_reader

        show = partial(print_form, named=len(templates) > 1)
        read_form, drawings = form_reader(service, forms, templates, options, picture, alto)
        report(files, read_form, show, limits, dpi, as_json, drawings)

    def request_of(content: "Content", page: int) -> pb.RecognizeRequest:
        return to_request(content, page, include_scores=picture is not None, **options)

    def read_lines(content: "Content", page: int) -> list[RecognizedLine]:
        return service.recognize_lines(request_of(content, page))

    if lines:
        report(files, read_lines, print_lines, limits, dpi, as_json, [])

    def read_page(content: "Content", page: int) -> pb.RecognizeResponse:
        return service.recognize(request_of(content, page)).response

    def steps(image: PageImage, _: pb.RecognizeResponse) -> "Image.Image":
        from service.cli.explain_plot import draw_steps

        options = to_options(request_of(image.content, image.page))
        return draw_steps(image.decode(limits), service.recognizer, options)

    pictures = [Drawing(picture, ribbon), Drawing(explain, steps)]
    report(files, read_page, print_reading, limits, dpi, as_json, pictures)

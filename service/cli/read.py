"""`digitstrip read`: images in this process, without a server."""

from itertools import count
from pathlib import Path
from typing import Annotated

import typer

from service.cli.limit_options import (
    MaxBytesOption,
    MaxDecodingBytesOption,
    MaxPagesOption,
    MaxPixelsOption,
    MaxWidthOption,
)
from service.cli.output import FilesArgument, JsonOption, PictureOption, Responses, report, save
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

ExplainOption = Annotated[
    Path | None,
    typer.Option(
        help="Draw each step from the page to the reading; further pages get -2, -3 … in the name."
    ),
]


def read(
    files: FilesArgument,
    as_json: JsonOption = False,
    picture: PictureOption = None,
    explain: ExplainOption = None,
    length: LengthOption = None,
    pattern: PatternOption = None,
    allowed: AllowedOption = None,
    check: CheckOption = None,
    alternatives: AlternativesOption = None,
    accept_errors: AcceptErrorsOption = None,
    model: ModelOption = None,
    second_reader: SecondReaderOption = None,
    max_bytes: MaxBytesOption = Limits.max_bytes,
    max_pixels: MaxPixelsOption = Limits.max_pixels,
    max_width: MaxWidthOption = Limits.max_width,
    max_pages: MaxPagesOption = Limits.max_pages,
    max_decoding_bytes: MaxDecodingBytesOption = Limits.max_decoding_bytes,
) -> None:
    """Read images in this process, without a server."""
    from service.api.options import to_request
    from service.api.requests import to_options
    from service.api.service import RecognitionService
    from service.cli.explain_plot import draw_steps
    from service.imaging.decode import count_pages, decode
    from service.recognition.model import ModelFiles
    from service.recognition.recognizer import Recognizer

    options = to_recognize_options(
        length, pattern, allowed, check, alternatives, accept_errors, as_json
    )
    limits = Limits(max_bytes, max_pixels, max_width, max_pages, max_decoding_bytes)
    service = RecognitionService(Recognizer.load(ModelFiles.read(model, second_reader)), limits)
    numbers = count(1)

    def pages(encoded: bytes) -> Responses:
        for page in range(count_pages(encoded, limits)):
            request = to_request(encoded, page, include_scores=picture is not None, **options)
            yield service.recognize(request).response
            if explain is not None:
                decoded = decode(encoded, page, limits)
                steps = draw_steps(decoded, service.recognizer, to_options(request))
                save(steps, explain, next(numbers))

    report(files, pages, as_json, picture)

"""`digitstrip read`: images in this process, without a server."""

from service.cli.limit_options import (
    MaxBytesOption,
    MaxDecodingBytesOption,
    MaxPagesOption,
    MaxPixelsOption,
    MaxWidthOption,
)
from service.cli.output import FilesArgument, JsonOption, PictureOption, Responses, report
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


def read(
    files: FilesArgument,
    as_json: JsonOption = False,
    picture: PictureOption = None,
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
    from service.api.service import RecognitionService
    from service.imaging.decode import count_pages
    from service.recognition.model import ModelFiles
    from service.recognition.recognizer import Recognizer

    options = to_recognize_options(
        length, pattern, allowed, check, alternatives, accept_errors, as_json
    )
    limits = Limits(max_bytes, max_pixels, max_width, max_pages, max_decoding_bytes)
    service = RecognitionService(Recognizer.load(ModelFiles.read(model, second_reader)), limits)

    def pages(encoded: bytes) -> Responses:
        for page in range(count_pages(encoded, limits)):
            request = to_request(encoded, page, include_scores=picture is not None, **options)
            yield service.recognize(request).response

    report(files, pages, as_json, picture)

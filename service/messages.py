"""Recognitions to protobuf, and protobuf to the JSON record of the command line."""

from typing import Any

import numpy as np

from service.contract import ModelContract
from service.decoder import FoundDigit
from service.errors import EmptyImage, NoSuchPage
from service.image import Gray, Limits, decode, from_raster
from service.pb import recognizer_pb2 as pb
from service.recognizer import Recognition
from service.strip import Box, Polarity, Strip
from service.view import HEIGHT

POLARITIES = {
    Polarity.DARK_ON_LIGHT: pb.POLARITY_DARK_ON_LIGHT,
    Polarity.LIGHT_ON_DARK: pb.POLARITY_LIGHT_ON_DARK,
}


def to_gray(image: pb.Image, limits: Limits) -> Gray:
    """Return the gray page that a message holds.

    Raises:
        InputError: it holds none, or one that cannot be read.
    """
    match image.WhichOneof("content"):
        case "encoded":
            return decode(image.encoded, image.page, limits)
        case "raster":
            raster = image.raster
            if image.page:
                raise NoSuchPage(
                    f"page {image.page} was asked for; a raster is page 0", "image.page"
                )
            return from_raster(raster.pixels, raster.width, raster.height, limits)
        case _:
            raise EmptyImage("the request has no image; expected image.encoded or image.raster")


def to_image(image: bytes | Gray, page: int = 0) -> pb.Image:
    """Return the message for an encoded image, or for gray levels of shape (height, width)."""
    if isinstance(image, bytes):
        return pb.Image(encoded=image, page=page)
    gray = np.ascontiguousarray(image, np.uint8)
    height, width = gray.shape
    raster = pb.GrayRaster(width=width, height=height, pixels=gray.tobytes())
    return pb.Image(raster=raster, page=page)


def to_response(
    recognition: Recognition, contract: ModelContract, digest: str, omit_scores: bool = False
) -> pb.RecognizeResponse:
    """Return the response for a page that was read."""
    reading, strip = recognition.reading, recognition.strip
    return pb.RecognizeResponse(
        text=reading.text,
        confidence=reading.confidence,
        digits=[
            _digit(digit, box) for digit, box in zip(reading.digits, recognition.boxes, strict=True)
        ],
        scores=None if omit_scores else _score_map(recognition, contract),
        normalization=_normalization(strip),
        model_digest=digest,
    )


def to_record(source: str, page: int, response: pb.RecognizeResponse) -> dict[str, Any]:
    """Return the JSON object that `read --json` and `send --json` print for a page."""
    return {
        "source": source,
        "page": page,
        "text": response.text,
        "confidence": round(response.confidence, 6),
        "digits": [
            {
                "label": digit.label,
                "confidence": round(digit.confidence, 6),
                "extent": [
                    round(edge, 2)
                    for edge in (
                        digit.extent.left,
                        digit.extent.top,
                        digit.extent.right,
                        digit.extent.bottom,
                    )
                ],
                "runners_up": {
                    other.label: round(other.confidence, 6) for other in digit.runners_up
                },
            }
            for digit in response.digits
        ],
    }


def _digit(digit: FoundDigit, box: Box) -> pb.Digit:
    return pb.Digit(
        label=digit.label,
        confidence=digit.confidence,
        extent=pb.Box(left=box.left, top=box.top, right=box.right, bottom=box.bottom),
        runners_up=[
            pb.Alternative(label=other.label, confidence=other.confidence)
            for other in digit.runners_up
        ],
        first_position=digit.first,
        last_position=digit.last,
        position=digit.position,
    )


def _score_map(recognition: Recognition, contract: ModelContract) -> pb.ScoreMap:
    rows, positions, _ = recognition.scores.shape
    strip = recognition.strip
    first_x, first_y = strip.source_point(contract.centre(0), HEIGHT / 2)
    return pb.ScoreMap(
        rows=rows,
        positions=positions,
        labels=contract.labels,
        log_probabilities=recognition.scores.ravel(),
        centers=pb.Grid(
            origin_x=first_x,
            origin_y=first_y,
            step_x=contract.stride / strip.scale_x,
            step_y=contract.stride / strip.scale_y,
        ),
    )


def _normalization(strip: Strip) -> pb.Normalization:
    return pb.Normalization(
        polarity=POLARITIES[strip.polarity],
        scale_x=strip.scale_x,
        scale_y=strip.scale_y,
        text_band=pb.Box(
            left=0, top=strip.band.top, right=strip.source_width, bottom=strip.band.bottom
        ),
        source_width=strip.source_width,
        source_height=strip.source_height,
    )

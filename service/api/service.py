"""The use case behind every front end: decode, recognize, respond."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from service.api.requests import to_options, to_page
from service.api.responses import moved_down, to_model, to_response
from service.imaging.limits import Limits
from service.imaging.page import Page
from service.pb import recognizer_pb2 as pb
from service.recognition.lines import FoundLine, find_lines
from service.recognition.normalize import Box, normalize
from service.recognition.recognizer import Options, Recognizer
from service.recognition.stage_timer import StageTimer


@dataclass(frozen=True)
class Recognized:
    """A response, and the figures that logs and metrics want of it."""

    response: pb.RecognizeResponse
    pixels: int  # of the decoded page
    seconds: Mapping[str, float]  # by stage: decode, normalize, score, search
    none_share: float  # 0 to 1: the share of positions whose likeliest label is `none`


class RecognizedLine(NamedTuple):
    """A line of a page, and the response for it, in pixels of the page."""

    box: Box
    response: pb.RecognizeResponse


class RecognitionService:
    """The service's two methods, without a transport.

    The worker processes of a server, `digitstrip read` and the batch's workers call it; so would
    another transport. Safe to use from several threads at once.

    Args:
        recognizer: a loaded model.
        limits: of the images to decode; None, the defaults.
    """

    def __init__(self, recognizer: Recognizer, limits: Limits | None = None) -> None:
        self.recognizer = recognizer
        self.limits = limits or Limits()

    def recognize(self, request: pb.RecognizeRequest) -> Recognized:
        """Recognize the image of a request.

        Raises:
            InputError: the image cannot be decoded within the limits, or an option is invalid.
        """
        timer = StageTimer()
        options = to_options(request)
        page = to_page(request.image, self.limits)
        timer.took("decode")
        return self._recognize(page, options, request.include_scores, timer.seconds)

    def recognize_lines(self, request: pb.RecognizeRequest) -> list[RecognizedLine]:
        """Recognize each line of ink of a page, top to bottom; a page without any is one line.

        A line is read as an image of its own: the page's rows nearest to it. Its response is in
        pixels of the page nevertheless.

        Raises:
            InputError: the image cannot be decoded within the limits, or an option is invalid.
        """
        options = to_options(request)
        page = to_page(request.image, self.limits)
        found = find_lines(normalize(page.gray, page.aspect))
        height, width = page.gray.shape
        if len(found) < 2:
            box = found[0].box if found else Box(left=0, top=0, right=width, bottom=height)
            found = [FoundLine(box, 0, height)]
        lines = []
        for box, top, bottom in found:
            rows = replace(page, gray=np.ascontiguousarray(page.gray[top:bottom]))
            response = self._recognize(rows, options, request.include_scores, {}).response
            lines.append(RecognizedLine(box, moved_down(response, top)))
        return lines

    def _recognize(
        self, page: Page, options: Options, include_scores: bool, seconds: Mapping[str, float]
    ) -> Recognized:
        recognition = self.recognizer.recognize(page, options)
        metadata = self.recognizer.metadata
        labels = recognition.scores.argmax(axis=-1)
        return Recognized(
            to_response(recognition, self.recognizer, include_scores),
            page.gray.size,
            {**seconds, **recognition.seconds},
            float(np.mean(labels == metadata.none)),
        )

    def get_model(self) -> pb.GetModelResponse:
        """Describe the model."""
        return to_model(self.recognizer)

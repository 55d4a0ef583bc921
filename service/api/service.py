"""The use case behind every front end: decode, recognize, respond."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from service.api.requests import to_options, to_page
from service.api.responses import to_model, to_response
from service.imaging.limits import Limits
from service.pb import recognizer_pb2 as pb
from service.recognition.recognizer import Recognizer
from service.recognition.stage_timer import StageTimer


@dataclass(frozen=True)
class Recognized:
    """A response, and the figures that logs and metrics want of it."""

    response: pb.RecognizeResponse
    pixels: int  # of the decoded page
    seconds: Mapping[str, float]  # by stage: decode, normalize, score, search
    none_share: float  # 0 to 1: the share of positions whose likeliest label is `none`


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
        recognition = self.recognizer.recognize(page, options)
        metadata = self.recognizer.metadata
        labels = recognition.scores.argmax(axis=-1)
        return Recognized(
            to_response(recognition, self.recognizer, request.include_scores),
            page.gray.size,
            {**timer.seconds, **recognition.seconds},
            float(np.mean(labels == metadata.none)),
        )

    def get_model(self) -> pb.GetModelResponse:
        """Describe the model."""
        return to_model(self.recognizer)

"""A model in this process, and what it reads."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from service.api.images import ImageLike
from service.api.json_records import decision_word, outcome_word, reason_words, to_record
from service.api.options import to_request
from service.api.service import RecognitionService
from service.json_object import JsonObject
from service.pb import recognizer_pb2 as pb
from service.recognition.model import ModelFiles
from service.recognition.recognizer import Recognizer as _Recognizer


@dataclass(frozen=True, repr=False)
class Reading:
    """The digits of a page.

    Args:
        response: the schema's message, which has everything; a client's responses fit too.
    """

    response: pb.RecognizeResponse

    @property
    def text(self) -> str:
        """The most probable string that satisfies the constraint; empty if there are no digits."""
        return self.response.text

    @property
    def confidence(self) -> float:
        """The calibrated probability that the text is right, 0 to 1."""
        return self.response.confidence

    @property
    def decision(self) -> str | None:
        """`ACCEPT` or `REVIEW`; None without an `accepted_error_rate`."""
        return decision_word(self.response)

    @property
    def reasons(self) -> list[str]:
        """Why the decision is REVIEW, such as `SECOND_LINE`, the gravest first; else empty."""
        return reason_words(self.response)

    @property
    def outcome(self) -> str | None:
        """`FREE`, `CHANGED`, `IMPOSSIBLE` or `UNSEARCHED`; None without a constraint."""
        return outcome_word(self.response)

    @property
    def digits(self) -> Sequence[pb.Digit]:
        """The digits, left to right: `label`, `confidence`, `extent` in pixels, `runners_up`."""
        digits: Sequence[pb.Digit] = self.response.digits
        return digits

    @property
    def alternatives(self) -> Sequence[pb.Alternative]:
        """The next most probable strings, in descending order: `text` and `confidence`."""
        alternatives: Sequence[pb.Alternative] = self.response.alternatives
        return alternatives

    @property
    def scores(self) -> npt.NDArray[np.float32] | None:
        """Log-probabilities of shape (positions, labels); None unless `scores` was set.

        The labels are `response.scores.labels`, and position p is centered on the column
        `centers.origin_x + p * centers.step_x` of the image (`response.scores.centers`).
        """
        scores = self.response.scores
        if not scores.labels:
            return None
        flat = np.array(scores.log_probabilities, np.float32)
        return flat.reshape(scores.positions, len(scores.labels))

    def to_dict(self) -> JsonObject:
        """Return what `digitstrip read --json` prints, without the source."""
        record = to_record("", 0, self.response)
        return {name: value for name, value in record.items() if name not in ("source", "page")}

    def __repr__(self) -> str:
        """Return the text and its confidence."""
        return f"Reading({self.text!r}, confidence={self.confidence:.3f})"


class Recognizer:
    """A loaded model; threads can share it.

    Args:
        path: an ONNX file that `digitstrip-train export` wrote; the shipped model without.
        second_reader: the second reader's ONNX file, or "none"; without, the shipped one beside
            the shipped model, and none beside another.

    Raises:
        ModelError: the file is missing, damaged, or not Digitstrip's.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, second_reader: str | None = None
    ) -> None:
        files = ModelFiles.read(None if path is None else Path(path), second_reader)
        self._service = RecognitionService(_Recognizer.load(files))

    @property
    def model(self) -> pb.GetModelResponse:
        """The model's facts, as of the schema: digests, labels, geometry, training, calibration."""
        return self._service.get_model()

    def read(
        self,
        image: ImageLike,
        *,
        page: int = 0,
        length: int | str | None = None,
        pattern: str | None = None,
        allowed: Sequence[str] = (),
        check_digit: str | None = None,
        alternatives: int = 0,
        accepted_error_rate: float | None = None,
        scores: bool = False,
    ) -> Reading:
        r"""Read the digits on a page.

        >>> recognizer = Recognizer()
        >>> recognizer.read("examples/strips/postcode-ruled.png", length=5, check_digit="luhn").text
        '68767'
        >>> recognizer.read("examples/strips/postcode-ruled.png", pattern=r"\d\d-\d{3}").text
        '68-767'

        Args:
            image: a file's bytes; the path of a file; an array of uint8, gray of shape
                (height, width) or RGB of shape (height, width, 3), 0 black to 255 white; or a
                Pillow image.
            page: of a file with several pages, from 0.
            length: the number of digits: 5, or "3-7", or "3-".
            pattern: a regular expression that matches the whole string; literals are inserted.
            allowed: the strings that are allowed; empty, all.
            check_digit: "luhn", "mod97", "isbn10", "isbn13" or "verhoeff".
            alternatives: the number of further strings to return, 0 to 20.
            accepted_error_rate: the share of accepted readings that may be wrong, above 0 and
                below 1; with it, the reading has a decision.
            scores: whether the reading has the score map.

        Raises:
            InputError: the image cannot be decoded, or an option is invalid; `reason` and
                `field` say which.
        """
        request = to_request(
            image,
            page,
            scores,
            length=length,
            pattern=pattern,
            allowed=allowed,
            check_digit=check_digit,
            alternatives=alternatives,
            accepted_error_rate=accepted_error_rate,
        )
        return Reading(self._service.recognize(request).response)


def load_model(
    path: str | os.PathLike[str] | None = None,
    second_reader: str | None = None,
) -> Recognizer:
    """Load a model, the shipped one unless a path names another; the arguments are Recognizer's.

    Raises:
        ModelError: a file is missing, damaged, or not Digitstrip's.
    """
    return Recognizer(path, second_reader)

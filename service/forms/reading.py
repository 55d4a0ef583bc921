"""The use case of forms: a page is registered, and each field read as a strip is."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from service.api.json_records import decision_word, reason_words
from service.api.options import to_fields
from service.api.requests import to_page
from service.api.service import RecognitionService, Recognized
from service.forms.choice import choose
from service.forms.crops import crop
from service.forms.places import Points
from service.forms.register import Registration
from service.forms.template import Form, FormField
from service.imaging.page import Gray
from service.pb import recognizer_pb2 as pb
from service.recognition.recognizer import Decision, Options
from service.recognition.stage_timer import StageTimer


class FieldStatus(StrEnum):
    """What became of a field."""

    READ = "READ"
    BLANK = "BLANK"  # it has no ink at all
    MISREGISTERED = "MISREGISTERED"  # its place on the page is not known, so nothing was read


class FieldReason(StrEnum):
    """Why a field is to be reviewed, besides what a strip is to be reviewed for."""

    MISREGISTERED = "MISREGISTERED"
    BLANK = "BLANK"  # it may not be
    ON_PRINT = "ON_PRINT"  # it may be written along what is printed, and erased with that


@dataclass(frozen=True, eq=False)
class FieldReading:
    """A field of a page, and what stands in it."""

    field: FormField
    status: FieldStatus
    decision: Decision | None  # None if no error rate was given and nothing else is wrong
    reasons: tuple[str, ...]  # the gravest first
    polygon: Points | None = None  # (4, 2) the box in the page's pixels, if it is known
    crop: Gray | None = None  # (height, width) what was read
    response: pb.RecognizeResponse | None = None  # for the crop

    @property
    def text(self) -> str:
        """The digits; empty if there are none, or nothing was read."""
        return self.response.text if self.response else ""

    @property
    def confidence(self) -> float:
        """The probability that the text is right; 0 if nothing was read."""
        return self.response.confidence if self.response else 0.0


@dataclass(frozen=True, eq=False)
class PageReading:
    """A page, read as a form."""

    form: Form
    registration: Registration
    fields: tuple[FieldReading, ...]  # in the template's order
    pixels: int  # of the decoded page
    seconds: Mapping[str, float]  # by stage: `register`, and those of strips, over all fields
    none_share: float  # 0 to 1: of the fields' positions, on average; 0 if none was read


class FormReader:
    """Reads pages of forms by the use case that reads strips.

    Args:
        service: that reads strips.
        forms: of which the pages are; each is one of them.
        options: of every field, besides its constraint.
    """

    def __init__(
        self, service: RecognitionService, forms: Sequence[Form], options: Options
    ) -> None:
        self.service = service
        self.forms = forms
        self.options = options

    def read(self, image: pb.Image) -> PageReading:
        """Read a page.

        Raises:
            InputError: the image cannot be decoded within the limits.
        """
        timer, done = StageTimer(), list[Recognized]()
        gray = to_page(image, self.service.limits).gray
        timer.took("decode")
        form, registration = choose(gray, self.forms)
        timer.took("register")
        fields = tuple(self._fields(gray, form, registration, done))
        seconds = Counter({**dict.fromkeys(("normalize", "score", "search"), 0.0), **timer.seconds})
        for each in done:
            seconds.update(each.seconds)
        share = float(np.mean([each.none_share for each in done])) if done else 0.0
        return PageReading(form, registration, fields, gray.size, seconds, share)

    def request(self, gray: Gray, constraint: pb.Constraint | None = None) -> pb.RecognizeRequest:
        """Return the request for a field's crop: the one that its crop would be sent with alone."""
        request = to_fields(
            constraint=constraint,
            alternatives=self.options.alternatives,
            accepted_error_rate=self.options.error_rate,
        )
        height, width = gray.shape
        request.image.raster.CopyFrom(
            pb.GrayRaster(width=width, height=height, pixels=np.ascontiguousarray(gray).tobytes())
        )
        return request

    def _fields(
        self, gray: Gray, form: Form, registration: Registration, done: list[Recognized]
    ) -> Iterator[FieldReading]:
        """Yield the fields in order, and note what was recognized for them."""
        for field in form.fields:
            if registration.warp is None or not registration.trusts(field.name):
                yield FieldReading(
                    field,
                    FieldStatus.MISREGISTERED,
                    Decision.REVIEW,
                    (FieldReason.MISREGISTERED.value,),
                    None
                    if registration.warp is None
                    else registration.warp.source(field.box.corners),
                )
                continue
            cut = crop(gray, form, field, registration.warp)
            response = self._recognize(cut.gray, field.constraint, done)
            blank = _is_blank(response)
            if blank:
                # A constraint has nothing to say of a field that was not filled in.
                response = self._recognize(cut.gray, None, done)
            reasons = reason_words(response)
            if not response.text and not field.blank:
                reasons.insert(0, FieldReason.BLANK.value)
            if cut.on_print:
                reasons.insert(0, FieldReason.ON_PRINT.value)
            word = decision_word(response)
            decision = Decision[word] if word else None
            yield FieldReading(
                field,
                FieldStatus.BLANK if blank and not cut.on_print else FieldStatus.READ,
                Decision.REVIEW if reasons else decision,
                tuple(reasons),
                cut.polygon,
                cut.gray,
                response,
            )

    def _recognize(
        self, gray: Gray, constraint: pb.Constraint | None, done: list[Recognized]
    ) -> pb.RecognizeResponse:
        done.append(self.service.recognize(self.request(gray, constraint)))
        return done[-1].response


def _is_blank(response: pb.RecognizeResponse) -> bool:
    """Whether a crop has no ink at all, nor traces of any."""
    ink = response.normalization.ink
    return ink.seen and ink.digits + ink.unexplained + ink.outside + ink.removed == 0

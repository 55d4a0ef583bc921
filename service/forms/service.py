"""The use case of forms behind every front end: a request to a response."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from service.api.requests import to_options
from service.api.service import RecognitionService
from service.errors import BadForm
from service.forms.choice import check
from service.forms.files import no_such_form, of_file, read_form, templates
from service.forms.reading import FormReader
from service.forms.responses import to_form_response
from service.forms.template import Form, build
from service.imaging.limits import Limits
from service.pb import recognizer_pb2 as pb

MAX_HELD = 2**25  # bytes of the forms that are kept, about; the latest is, however large
OVERHEAD = 2**18  # bytes of a form besides its template and its reference


class Forms:
    """Forms that were built of late, so that each is built once for all its pages.

    Safe to use from several threads at once.

    Args:
        limits: of references.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        # By the message's digest, with what it holds; the latest last.
        self._built: OrderedDict[bytes, tuple[Form, int]] = OrderedDict()
        self._lock = Lock()

    def load(self, path: Path) -> pb.Form:
        """Read a form's files, and build it.

        Raises:
            BadForm: a sentence for every mistake.
        """
        message = read_form(path, self.limits)
        with of_file(path):
            self.get(message)
        return message

    def load_all(self, paths: Iterable[Path]) -> list[pb.Form]:
        """Read the files of forms of which each page is one.

        Args:
            paths: of templates, or of folders with some.

        Raises:
            BadForm: a sentence for every mistake of the first form that has any.
        """
        messages = [self.load(each) for each in templates(paths)]
        check([self.get(each) for each in messages])
        return messages

    def get(self, message: pb.Form) -> Form:
        """Return the form of a message.

        Raises:
            BadForm: a sentence for every mistake.
        """
        serialized = message.SerializeToString(deterministic=True)
        key = hashlib.blake2b(serialized).digest()
        with self._lock:
            if key in self._built:
                self._built.move_to_end(key)
                return self._built[key][0]
        form = build(message, self.limits)
        pixels = 0 if form.reference is None else form.reference.size
        with self._lock:
            self._built[key] = form, pixels + len(message.template) + OVERHEAD
            while len(self._built) > 1 and sum(each for _, each in self._built.values()) > MAX_HELD:
                self._built.popitem(last=False)
        return form


@dataclass(frozen=True)
class RecognizedForm:
    """A response, and the figures that logs and metrics want of it."""

    response: pb.RecognizeFormResponse
    pixels: int  # of the decoded page
    seconds: Mapping[str, float]  # by stage: decode, register, normalize, score, search
    none_share: float  # 0 to 1: the mean over fields of the share of positions without a digit


class FormService:
    """Reads pages of forms; without a transport, as `RecognitionService`.

    Args:
        recognition: reads the fields.
        forms: that requests bring.
    """

    def __init__(self, recognition: RecognitionService, forms: Forms) -> None:
        self.recognition = recognition
        self.forms = forms

    def recognize(self, request: pb.RecognizeFormRequest) -> RecognizedForm:
        """Read a page of a form.

        Raises:
            InputError: the page cannot be decoded within the limits, the form has a mistake, or an
                option is invalid.
        """
        return self.recognize_one_of(request, [self.forms.get(form_of(request))])

    def recognize_one_of(
        self, request: pb.RecognizeFormRequest, forms: Sequence[Form]
    ) -> RecognizedForm:
        """Read a page that is one of several forms, whichever the request brings.

        Raises:
            InputError: as `recognize`.
        """
        options = pb.RecognizeRequest(alternatives=request.alternatives)
        if request.HasField("accepted_error_rate"):
            options.accepted_error_rate = request.accepted_error_rate
        reader = FormReader(self.recognition, forms, to_options(options))
        reading = reader.read(request.image)
        response = to_form_response(reading, self.recognition.recognizer)
        return RecognizedForm(response, reading.pixels, reading.seconds, reading.none_share)


def form_of(request: pb.RecognizeFormRequest) -> pb.Form:
    """Return the form that a request brings; a server puts it where a name stood.

    Raises:
        BadForm, NoSuchForm: there is none.
    """
    match request.WhichOneof("which"):
        case "form":
            return request.form
        case "form_name":
            raise no_such_form(request.form_name, ())
        case _:
            raise BadForm("the request has no form; expected form or form_name")


def describe(name: str, form: Form) -> pb.FormDescription:
    """Return the description of a form that a server has by a name."""
    return pb.FormDescription(
        name=name,
        form=form.name,
        width_mm=form.width,
        height_mm=form.height,
        fields=[
            pb.FieldDescription(
                name=each.name,
                left_mm=each.box.left,
                top_mm=each.box.top,
                width_mm=each.box.width,
                height_mm=each.box.height,
                constraint=each.constraint,
                may_be_blank=each.blank,
            )
            for each in form.fields
        ],
    )

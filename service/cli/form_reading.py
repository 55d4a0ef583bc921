"""`digitstrip read --form`: whole pages, field by field. Loaded for that alone."""

from collections.abc import Callable

from PIL import Image

from service.api.images import to_image
from service.api.options import RecognizeOptions
from service.api.service import RecognitionService
from service.cli.form_plot import draw_reading
from service.forms.service import Forms, FormService
from service.imaging.decode import decode
from service.inputs.documents import Content
from service.pb import recognizer_pb2 as pb

ReadForm = Callable[[Content, int], pb.RecognizeFormResponse]
DrawForm = Callable[[Content, int, pb.RecognizeFormResponse], Image.Image]


def form_reader(
    service: RecognitionService, forms: Forms, template: pb.Form, options: RecognizeOptions
) -> tuple[ReadForm, DrawForm]:
    """Return what reads a page, and what draws the fields over it.

    Args:
        service: reads the fields.
        forms: that the template was loaded by.
        template: the form, with its reference.
        options: of recognition, as `to_recognize_options` returns them.
    """
    form_service = FormService(service, forms)
    requested = pb.RecognizeFormRequest(
        form=template,
        alternatives=options.get("alternatives", 0),
        accepted_error_rate=options.get("accepted_error_rate"),
    )

    def read(content: Content, page: int) -> pb.RecognizeFormResponse:
        request = pb.RecognizeFormRequest(image=to_image(content, page))
        request.MergeFrom(requested)
        return form_service.recognize(request).response

    def draw(content: Content, page: int, response: pb.RecognizeFormResponse) -> Image.Image:
        if isinstance(content, bytes):
            content = decode(content, page, service.limits).gray
        return draw_reading(content, response)

    return read, draw

"""`digitstrip read --form`: whole pages, field by field. Loaded for that alone."""

from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from service.api.images import to_image
from service.api.options import RecognizeOptions
from service.api.service import RecognitionService
from service.cli.form_plot import draw_reading
from service.cli.output import Drawing, PageImage
from service.forms.alto import SUFFIX, Alto, to_alto
from service.forms.service import Forms, FormService
from service.inputs.documents import Content
from service.pb import recognizer_pb2 as pb

ReadForm = Callable[[Content, int], pb.RecognizeFormResponse]
Drawings = list[Drawing[pb.RecognizeFormResponse]]


def form_reader(
    service: RecognitionService,
    forms: Forms,
    templates: Sequence[pb.Form],
    options: RecognizeOptions,
    picture: Path | None,
    alto: Path | None,
) -> tuple[ReadForm, Drawings]:
    """Return what reads a page, and what draws the fields over it, or writes them.

    Args:
        service: reads the fields.
        forms: that the template was loaded by.
        templates: of the forms of which each page is one, with their references.
        options: of recognition, as `to_recognize_options` returns them.
        picture: where fields are drawn, if anywhere.
        alto: where pages are written as ALTO, if anywhere.
    """
    form_service = FormService(service, forms)
    built = [forms.get(each) for each in templates]
    by_name = {each.name: each for each in built}
    requested = pb.RecognizeFormRequest(
        alternatives=options.get("alternatives", 0),
        accepted_error_rate=options.get("accepted_error_rate"),
    )

    def read(content: Content, page: int) -> pb.RecognizeFormResponse:
        request = pb.RecognizeFormRequest(image=to_image(content, page))
        request.MergeFrom(requested)
        return form_service.recognize_one_of(request, built).response

    def draw(image: PageImage, response: pb.RecognizeFormResponse) -> Image.Image:
        return draw_reading(image.decode(service.limits).gray, response)

    def write(image: PageImage, response: pb.RecognizeFormResponse) -> Alto:
        height, width = image.decode(service.limits).gray.shape
        form = by_name[response.form]
        return to_alto(response, form, (width, height), image.source, image.number)

    return read, [Drawing(picture, draw), Drawing(alto, write, SUFFIX)]

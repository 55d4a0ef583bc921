"""Requests for pages of forms."""

from pathlib import Path
from typing import overload

from service.api.images import ImageLike, to_image
from service.api.options import to_fields
from service.forms.files import read_form
from service.pb import recognizer_pb2 as pb


def to_form_request(
    image: ImageLike,
    form: pb.Form | Path | str,
    page: int,
    alternatives: int,
    accepted_error_rate: float | None,
) -> pb.RecognizeFormRequest:
    """Return the request for a page of a form.

    Args:
        image: in any form that `to_image` takes.
        form: the name of one that the server has, the path of a template, or a message.
        page: of a file with several pages, from 0.
        alternatives: the number of further strings of each field.
        accepted_error_rate: tolerated among accepted fields; None decides nothing.

    Raises:
        InputError: the image or the form cannot be sent, or an option has no place in a request.
    """
    options = to_fields(alternatives=alternatives, accepted_error_rate=accepted_error_rate)
    request = pb.RecognizeFormRequest(
        image=to_image(image, page), alternatives=options.alternatives
    )
    if options.HasField("accepted_error_rate"):
        request.accepted_error_rate = options.accepted_error_rate
    if isinstance(form, str):
        request.form_name = form
    else:
        request.form.CopyFrom(loaded(form))
    return request


@overload
def loaded(form: pb.Form | Path) -> pb.Form: ...
@overload
def loaded(form: pb.Form | Path | str) -> pb.Form | str: ...
def loaded(form: pb.Form | Path | str) -> pb.Form | str:
    """Return a form whose template was read, if it is the path of one.

    Raises:
        BadForm: the template cannot be read.
    """
    return read_form(form) if isinstance(form, Path) else form

"""Text fields of a PDF's page: an AcroForm, as its author filled it with what may be entered."""

from contextlib import closing
from ctypes import POINTER, byref, c_float, c_int, cast, create_string_buffer
from dataclasses import dataclass
from typing import Any, BinaryIO

from service.errors import DamagedImage, InputError
from service.extras import needs
from service.inputs.documents import POINTS, no_such_page, opened_pdf, size_of

MM = 25.4 / POINTS  # a point
FINE = 100  # units of a device a point, in which places are asked for
MULTILINE, COMB = 1 << 12, 1 << 24  # field flags of ISO 32000-2, table 230
MOST_CELLS = 255  # that a template's comb may have


@dataclass(frozen=True)
class TextField:
    """A text field of one line."""

    name: str
    box: tuple[float, float, float, float]  # left, top, width, height, mm of the page as it shows
    longest: int | None  # characters
    comb: bool  # whether it has a cell for each


@dataclass(frozen=True)
class PdfPage:
    """A page of a PDF, and its text fields."""

    size: tuple[float, float]  # mm, as it shows
    fields: tuple[TextField, ...]  # in the document's order


def text_fields(encoded: bytes | BinaryIO, number: int) -> PdfPage:
    """Return the text fields of a page, from 0; those of several lines are left out.

    Raises:
        InputError: there is no such page, or it has no text fields.
    """
    with opened_pdf(encoded) as pdf:
        if number >= len(pdf):
            raise no_such_page(number, len(pdf))
        pdf.init_forms()
        with closing(pdf[number]) as page:
            size = size_of(page, number)
            fields = tuple(_fields(pdf, page, size)) if pdf.formenv else ()
        if not fields:
            raise InputError(
                f"page {number + 1} of the PDF has no text fields; another may have some (--page), "
                "or find its printed boxes: draw it as an image, and `digitstrip form from-image`"
            )
    return PdfPage((size[0] * MM, size[1] * MM), fields)


def _fields(pdf: Any, page: Any, size: tuple[float, float]) -> list[TextField]:  # noqa: ANN401 - pypdfium2 has no types
    with needs("batch", "PDF documents need pypdfium2"):
        from pypdfium2 import raw
    form, found = pdf.formenv.raw, []
    for index in range(raw.FPDFPage_GetAnnotCount(page.raw)):
        annotation = raw.FPDFPage_GetAnnot(page.raw, index)
        if not annotation:
            continue
        try:
            if raw.FPDFAnnot_GetFormFieldType(form, annotation) != raw.FPDF_FORMFIELD_TEXTFIELD:
                continue
            flags = raw.FPDFAnnot_GetFormFieldFlags(form, annotation)
            if flags & MULTILINE:
                continue
            most = _longest(raw, form, page, annotation)
            box = _place(raw, page, annotation, size)
            found.append(TextField(_name(raw, form, annotation), box, most, bool(flags & COMB)))
        finally:
            raw.FPDFPage_CloseAnnot(annotation)
    return found


def _longest(raw: Any, form: Any, page: Any, annotation: Any) -> int | None:  # noqa: ANN401 - the same
    """Return how many characters may be entered in a field; None if that is not limited.

    What a field inherits cannot be read through pdfium, which obeys it: more is typed than a
    template may ask for, in this copy of the document, and what has been taken is counted.
    """
    own = c_float(0)
    if raw.FPDFAnnot_GetNumberValue(annotation, b"MaxLen", byref(own)):
        return int(own.value) if 1 <= own.value <= MOST_CELLS else None
    # Read-only fields take nothing, those that do not scroll no more than they have room for.
    raw.FPDFAnnot_SetFormFieldFlags(form, annotation, 0)
    if not raw.FORM_SetFocusedAnnot(form, annotation):
        return None
    typed = create_string_buffer(("0" * (MOST_CELLS + 1) + "\0").encode("utf-16-le"))
    raw.FORM_SelectAllText(form, page.raw)
    raw.FORM_ReplaceSelection(form, page.raw, cast(typed, POINTER(raw.FPDF_WCHAR)))
    taken = raw.FORM_GetFocusedText(form, page.raw, None, 0) // 2 - 1  # UTF-16, ends in a 0
    raw.FORM_ForceToKillFocus(form)
    return taken if 1 <= taken <= MOST_CELLS else None


def _name(raw: Any, form: Any, annotation: Any) -> str:  # noqa: ANN401 - the same
    length = raw.FPDFAnnot_GetFormFieldName(form, annotation, None, 0)
    buffer = create_string_buffer(length)
    words = raw.FPDF_WCHAR.from_buffer(buffer)
    raw.FPDFAnnot_GetFormFieldName(form, annotation, byref(words), length)
    return buffer.raw[: max(length - 2, 0)].decode("utf-16-le", "replace")


def _place(
    raw: Any,  # noqa: ANN401 - the same
    page: Any,  # noqa: ANN401 - the same
    annotation: Any,  # noqa: ANN401 - the same
    size: tuple[float, float],
) -> tuple[float, float, float, float]:
    """Return a field's rectangle on the page as it shows: turned and cropped."""
    rectangle = raw.FS_RECTF()
    if not raw.FPDFAnnot_GetRect(annotation, byref(rectangle)):
        raise DamagedImage("the PDF is damaged: a field has no place", "image.encoded")
    wide, high = (round(side * FINE) for side in size)
    xs, ys = [], []
    for x, y in (
        (rectangle.left, rectangle.bottom),
        (rectangle.right, rectangle.top),
    ):
        across, down = c_int(), c_int()
        raw.FPDF_PageToDevice(page.raw, 0, 0, wide, high, 0, x, y, byref(across), byref(down))
        xs.append(across.value / FINE * MM)
        ys.append(down.value / FINE * MM)
    return min(xs), min(ys), abs(xs[1] - xs[0]), abs(ys[1] - ys[0])

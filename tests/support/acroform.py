"""A PDF of one page with text fields, written by hand: its print is a picture."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

POINT = 72 / 25.4  # a mm
MULTILINE, COMB = 1 << 12, 1 << 24


@dataclass(frozen=True)
class Widget:
    """A field's widget."""

    name: str
    box: tuple[float, float, float, float]  # left, top, width, height, mm from the top left corner
    longest: int | None = None
    flags: int = 0
    kind: str = "Tx"
    inherits: bool = False  # all but its place from a field that has several widgets


def acroform(
    print_: npt.NDArray[np.uint8],
    size: tuple[float, float],
    widgets: Sequence[Widget],
    rotate: int = 0,
    origin: float = 0.0,
) -> bytes:
    """Write a PDF.

    Args:
        print_: (height, width) what the page shows.
        size: of the page, mm.
        widgets: on it.
        rotate: degrees by which the page is shown turned, clockwise.
        origin: points, of the page's lower left corner.
    """
    width, height = (side * POINT for side in size)
    content = f"q {width} 0 0 {height} {origin} {origin} cm /Im Do Q".encode()
    numbers = range(6, 6 + len(widgets))
    annotations = " ".join(f"{number} 0 R" for number in numbers)
    # What a widget inherits stands in an object behind all of them.
    parents = {
        number: number + len(widgets)
        for number, each in zip(numbers, widgets, strict=True)
        if each.inherits
    }
    fields = " ".join(f"{parents.get(number, number)} 0 R" for number in numbers)
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [{fields}] >> >>".encode(),
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [{origin} {origin} {origin + width} "
        f"{origin + height}] /Rotate {rotate} /Contents 4 0 R /Resources << /XObject "
        f"<< /Im 5 0 R >> >> /Annots [{annotations}] >>".encode(),
        _stream("", content),
        _stream(
            f"/Type /XObject /Subtype /Image /Width {print_.shape[1]} /Height {print_.shape[0]} "
            "/ColorSpace /DeviceGray /BitsPerComponent 8 /Filter /FlateDecode",
            zlib.compress(print_.tobytes()),
        ),
    ]
    inherited = []
    for number, each in zip(numbers, widgets, strict=True):
        left, top, wide, high = (side * POINT for side in each.box)
        bottom = origin + height - top - high
        left += origin
        most = "" if each.longest is None else f"/MaxLen {each.longest}"
        name = each.name.encode("utf-16-be").hex()
        known = f"/FT /{each.kind} /T <FEFF{name}> /Ff {each.flags} {most}"
        inherited.append(f"<< {known} /Kids [{number} 0 R] >>" if each.inherits else "null")
        own = f"/Parent {parents[number]} 0 R" if each.inherits else known
        objects.append(
            f"<< /Type /Annot /Subtype /Widget {own} /F 4 /P 3 0 R "
            f"/Rect [{left} {bottom} {left + wide} {bottom + high}] >>".encode()
        )
    objects += [each.encode() for each in inherited]
    pdf, places = b"%PDF-1.7\n", []
    for number, each in enumerate(objects, 1):
        places.append(len(pdf))
        pdf += f"{number} 0 obj\n".encode() + each + b"\nendobj\n"
    table = b"".join(f"{place:010} 00000 n \n".encode() for place in places)
    start = len(pdf)
    pdf += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode() + table
    trailer = f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n"
    return pdf + trailer.encode()


def _stream(entries: str, content: bytes) -> bytes:
    head = f"<< {entries} /Length {len(content)} >>\nstream\n".encode()
    return head + content + b"\nendstream"

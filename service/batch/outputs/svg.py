"""The pictures of a run's report, as SVG in its HTML."""

import base64
import html

from service.batch.outputs.pictures import Picture
from service.batch.outputs.rows import Row
from service.batch.outputs.summary import BARS

SURE, UNSURE = (34, 128, 72), (214, 128, 12)  # colors of a digit's line


def histogram(sure: list[int], unsure: list[int]) -> str:
    """Return a picture of how many readings have which confidence."""
    wide, high, foot = 40, 180, 34
    most = max([1, *(a + b for a, b in zip(sure, unsure, strict=True))])
    parts = []
    for bar, counts in enumerate(zip(unsure, sure, strict=True)):
        top = float(high + 18)
        share = f"{bar / BARS:.0%} to {(bar + 1) / BARS:.0%}"
        for kind, count in zip("ra", counts, strict=True):
            tall = max(high * count / most, 1 if count else 0)
            top -= tall
            if count:
                parts.append(
                    f'<rect class="{kind}" x="{bar * wide + 3}" y="{top:.1f}" '
                    f'width="{wide - 6}" height="{tall:.1f}">'
                    f"<title>{share}: {count:,}</title></rect>"
                )
        if sum(counts):
            parts.append(
                f'<text x="{bar * wide + wide / 2}" y="{top - 5:.1f}" '
                f'text-anchor="middle">{sum(counts):,}</text>'
            )
    edges = "".join(
        f'<text class="edge" x="{edge * wide}" y="{high + foot}" text-anchor="middle">'
        f"{edge / BARS:.0%}</text>"
        for edge in range(0, BARS + 1, 2)
    )
    return (
        '<div class="wide"><svg class="histogram" width="100%" role="img" '
        f'viewBox="-36 -10 {BARS * wide + 72} {high + foot + 34}" '
        'aria-label="Histogram of confidences">'
        f'<line class="axis" x1="0" x2="{BARS * wide}" y1="{high + 18}" y2="{high + 18}"/>'
        f'{"".join(parts)}{edges}<text class="what" x="{BARS * wide / 2}" '
        f'y="{high + foot + 20}" text-anchor="middle">confidence</text></svg></div>'
    )


def underlined(picture: Picture, row: Row) -> str:
    """Return a page as an SVG image with a line under each digit."""
    width, height = picture.width, picture.height
    shown = min(320 / width, 240 / height)  # size on the screen, about
    thick = 3 / shown
    high = height + 2 * thick
    lines = []
    for digit in row["digits"]:
        left, _, right, bottom = digit["extent"]
        gap = (right - left) * 0.06
        sure = min(max((digit["confidence"] - 0.5) * 2, 0.0), 1.0)
        red, green, blue = (round(u + (s - u) * sure) for s, u in zip(SURE, UNSURE, strict=True))
        y = bottom + thick
        label = html.escape(f"{digit['label']} {digit['confidence']:.1%}")
        lines.append(
            f'<line x1="{left + gap:.1f}" x2="{right - gap:.1f}" y1="{y:.1f}" y2="{y:.1f}" '
            f'stroke="rgb({red},{green},{blue})" stroke-width="{thick:.2f}">'
            f"<title>{label}</title></line>"
        )
    data = base64.b64encode(picture.png).decode("ascii")
    return (
        f'<svg viewBox="0 0 {width} {high:.1f}" '
        f'width="{max(width * shown, 1):.0f}" height="{max(high * shown, 1):.0f}">'
        f'<image href="data:image/png;base64,{data}" width="{width}" height="{height}"/>'
        f"{''.join(lines)}</svg>"
    )

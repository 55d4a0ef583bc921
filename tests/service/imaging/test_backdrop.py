import numpy as np
import pytest
from PIL import Image

from service.imaging.decode import decode
from tests.support.encoded import with_pillow

BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def mask(height=40, width=120):
    """Where strokes are, as shares of ink from 0 to 1 with soft edges."""
    strokes = np.zeros((height, width))
    strokes[8:32, 20:25] = strokes[10:14, 40:70] = 1
    strokes[8:32, 19] = strokes[8:32, 25] = 0.5
    return strokes


def drawing(ink, alpha=None, under=BLACK):
    """RGBA: ink where the mask is, transparent elsewhere."""
    shares = mask() if alpha is None else alpha
    color = np.where(mask()[..., None] > 0, ink, under)
    pixels = np.dstack([color, np.rint(255 * shares)]).astype(np.uint8)
    return Image.fromarray(pixels, "RGBA")


def difference(image, kind="PNG", **options):
    gray = decode(with_pillow(image, kind, **options)).gray.astype(int)
    return abs(int(np.median(gray[10:30, 21:24])) - int(np.median(gray[:6])))


@pytest.mark.parametrize(
    "ink", [BLACK, WHITE, (200, 200, 200), (70, 70, 70), (130, 130, 130), (20, 40, 150)]
)
@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})]
)
def test_ink_of_any_level_on_transparency_is_seen(ink, kind, options):
    assert difference(drawing(ink), kind, **options) >= 110


@pytest.mark.parametrize("under", [BLACK, WHITE])
def test_what_is_under_transparent_pixels_does_not_count(under):
    assert difference(drawing(WHITE, under=under)) == 255
    assert difference(drawing(BLACK, under=under)) == 255


@pytest.mark.parametrize("paper", [BLACK, WHITE, (250, 240, 120)])
def test_strokes_cut_out_of_opaque_paper_are_seen(paper):
    image = drawing(paper, alpha=1 - mask(), under=paper)
    assert difference(image) >= 200


@pytest.mark.parametrize(
    ("ink", "paper"), [(BLACK, WHITE), (WHITE, BLACK), (BLACK, (240, 235, 220))]
)
def test_a_page_with_transparent_margins_keeps_its_papers_side(ink, paper):
    opaque = np.ones((40, 120))
    opaque[:, :4] = opaque[:, -4:] = 0
    page = drawing(ink, alpha=opaque, under=paper)
    gray = decode(with_pillow(page, "PNG")).gray
    assert abs(int(gray[20, 0]) - int(gray[2, 60])) < 30  # margin and paper
    assert difference(page) > 200


def test_a_faint_drawing_is_seen_as_well_as_its_opacity_allows():
    assert difference(drawing(WHITE, alpha=0.3 * mask())) == pytest.approx(0.3 * 255, abs=2)


@pytest.mark.parametrize("alpha", [np.zeros((40, 120)), np.ones((40, 120))])
def test_nothing_or_everything_opaque_is_decoded_as_ever(alpha):
    gray = decode(with_pillow(drawing(BLACK, alpha, WHITE), "PNG")).gray
    np.testing.assert_array_equal(gray, np.where((alpha > 0) & (mask() > 0), 0, 255))


def test_gray_with_alpha_and_palettes_with_transparency_are_drawings_too():
    shares = np.rint(255 * mask()).astype(np.uint8)
    gray = Image.merge("LA", [Image.new("L", (120, 40), 255), Image.fromarray(shares)])
    assert difference(gray) == 255
    palette = Image.fromarray((mask() == 1).astype(np.uint8))
    palette.putpalette([0, 0, 0, 255, 255, 255])
    assert difference(palette, transparency=0) == 255

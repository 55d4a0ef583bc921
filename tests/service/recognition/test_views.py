import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.imaging.decode import decode
from service.recognition.normalize import View, normalize
from service.recognition.views import FIELD, HEIGHT, MARGIN, SLANTS, slant_of, view, view_matrix
from tests.conftest import STRIPS

MIDDLE = FIELD / 2


def leaning_line(slant, width=200):
    """Four strokes of 20 pixels' height in the middle of a line, leaning to the right."""
    line = np.zeros((FIELD, width), np.uint8)
    for x in (40, 80, 120, 160):
        foot, head = (round((x - slant * half) * 16) for half in (10, -10))
        ends = ((foot, round((MIDDLE + 10) * 16)), (head, round((MIDDLE - 10) * 16)))
        cv2.line(line, *ends, 255, 3, cv2.LINE_AA, shift=4)
    return line


def line_of(name):
    return normalize(decode((STRIPS / name).read_bytes()).gray)


@pytest.mark.parametrize("slant", [-0.4, -0.15, 0.0, 0.22, 0.5, 0.8])
def test_the_slant_of_strokes_is_their_tangent(slant):
    assert slant_of(leaning_line(slant)) == pytest.approx(slant, abs=0.05)


@pytest.mark.parametrize("line", [np.zeros((FIELD, 80), np.uint8), np.full((FIELD, 80), 255)])
def test_paper_and_a_full_line_have_a_slant_within_what_is_tried(line):
    assert SLANTS[0] <= slant_of(line.astype(np.uint8)) <= SLANTS[-1]
    assert slant_of(np.zeros((FIELD, 33), np.uint8)) == 0


def test_a_view_without_slant_or_scale_is_the_middle_of_the_line():
    line = line_of("amount-blue-ink.jpg").pixels
    above = (FIELD - HEIGHT) // 2
    assert np.array_equal(view(line, view_matrix()), line[above : above + HEIGHT])


def test_taking_the_slant_away_sets_strokes_upright():
    strip = view(leaning_line(0.5), view_matrix(slant=0.5))
    columns = np.flatnonzero(strip.max(axis=0) > 128)
    assert len(columns) <= 4 * 6
    middles = [group.mean() + 0.5 for group in np.split(columns, 4)]
    assert middles == pytest.approx([40, 80, 120, 160], abs=1)


@pytest.mark.parametrize("scale", [0.7, 0.8, 1.0, 1.25, 1.4])
def test_a_view_at_a_scale_has_digits_of_that_size_and_both_margins(scale):
    line = leaning_line(0)
    strip = view(line, view_matrix(scale_x=scale, scale_y=scale))
    rows = np.flatnonzero(strip.max(axis=1) > 128)
    assert len(rows) == pytest.approx(min(23 * scale, HEIGHT), abs=2)
    assert strip.shape == (HEIGHT, round((line.shape[1] - 2 * MARGIN) * scale) + 2 * MARGIN)


def test_a_lift_moves_the_digits_up():
    line = leaning_line(0)
    plain, lifted = (view(line, view_matrix(lift=lift)) for lift in (0, 3))
    assert np.array_equal(lifted[:-3], plain[3:])


@given(
    slant=st.floats(-0.6, 1.0),
    scale_x=st.floats(0.5, 2),
    scale_y=st.floats(0.5, 2),
    lift=st.floats(-4, 4),
)
def test_the_middle_of_a_line_stays_the_middle_of_every_view(slant, scale_x, scale_y, lift):
    x, y = view_matrix(slant, scale_x, scale_y, lift) @ [MARGIN, MIDDLE, 1]
    assert x == pytest.approx(MARGIN)
    assert y == pytest.approx(HEIGHT / 2 - lift)


@pytest.mark.parametrize("look", [View(), View(0.5), View(1.0, 0.8), View(0.5, 1.25)])
def test_ink_of_every_view_maps_back_to_where_it_came_from(look):
    page = np.full((90, 400), 230, np.uint8)
    for x in (60, 160, 260):  # strokes that lean by 0.4
        cv2.line(page, (x - 12, 75), (x + 12, 15), 30, 5)
    strip = normalize(page).strip(look)
    assert strip.view == look
    assert strip.slant == pytest.approx(0.4 * look.upright, abs=0.05)
    box = strip.ink_box(0, strip.pixels.shape[1])
    truth = (60 - 14, 12, 260 + 14, 78)
    assert (box.left, box.top, box.right, box.bottom) == pytest.approx(truth, abs=7)
    x, y = strip.source_point(*np.array(strip.pixels.shape[::-1]) / 2)
    assert (x, y) == pytest.approx((200, 45), abs=4)


@given(upright=st.floats(0, 1.25), scale=st.floats(0.6, 1.6))
def test_a_strip_s_map_undoes_its_view(upright, scale):
    line = line_of("account-small.png")
    strip = line.strip(View(upright, scale))
    shown = view_matrix(upright * line.slant, scale, scale)
    for point in ((20.0, 24.0), (100.0, 14.0)):
        x, y = shown @ [*point, 1]
        source = (line.origin_x + point[0] / line.scale_x, line.origin_y + point[1] / line.scale_y)
        assert strip.source_point(x, y) == pytest.approx(source, abs=1e-6)

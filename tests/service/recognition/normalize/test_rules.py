"""Printed lines of every kind, drawn here, with digits and without."""

import cv2
import numpy as np
import pytest

from service.recognition.normalize import normalize
from service.recognition.normalize.rules import find_rules
from service.recognition.normalize.rules.remains import is_bare_frame

HEIGHT, WIDTH = 60, 150
PAPER, INK = 230, 60
LEFT, TOP, RIGHT, BOTTOM = 6, 6, 143, 53  # of a frame
KINDS = ("ruled", "boxed", "cell", "comb", "teeth", "double")
FULL = 255


def blank(height=HEIGHT, width=WIDTH):
    return np.zeros((height, width), np.uint8)


def digits(text="4701", height=HEIGHT, width=WIDTH):
    """Digits 25 pixels high in the middle of a cell; a 1 is a straight upright stroke."""
    drawn = blank(height, width)
    for place, digit in enumerate(text):
        x = 20 + 30 * place
        if digit == "1":
            cv2.line(drawn, (x + 8, 18), (x + 8, 42), FULL, 3)
        else:
            cv2.putText(drawn, digit, (x, 42), cv2.FONT_HERSHEY_SIMPLEX, 1.15, FULL, 3)
    return drawn


def frame(kind, thick=2, height=HEIGHT, width=WIDTH):
    """The lines of one kind."""
    drawn = blank(height, width)

    def level(row, left=LEFT, right=RIGHT):
        cv2.line(drawn, (left, row), (right, row), FULL, thick)

    def upright(column, top=TOP, bottom=BOTTOM):
        cv2.line(drawn, (column, top), (column, bottom), FULL, thick)

    if kind == "ruled":
        level(TOP, 0, width - 1)
        level(BOTTOM, 0, width - 1)
    elif kind == "cell":  # runs out of the image below and to the right
        level(TOP, LEFT, width - 1)
        upright(LEFT, TOP, height - 1)
    elif kind == "teeth":
        level(BOTTOM)
        for column in (43, 73, 103):
            upright(column, BOTTOM - 9)
        upright(LEFT, BOTTOM - 9)
        upright(RIGHT, BOTTOM - 9)
    else:
        level(TOP)
        level(BOTTOM)
        upright(LEFT)
        upright(RIGHT)
        if kind == "comb":
            for column in (43, 73, 103):
                upright(column)
        if kind == "double":
            level(TOP + 2 * thick + 1)
            level(BOTTOM - 2 * thick - 1)
    return drawn


def turned(drawn, degrees):
    middle = (drawn.shape[1] / 2, drawn.shape[0] / 2)
    matrix = cv2.getRotationMatrix2D(middle, degrees, 1)
    return cv2.warpAffine(drawn, matrix, drawn.shape[::-1])


def broken(drawn):
    """Three pixels of fourteen are missing, along either way."""
    rows, columns = np.indices(drawn.shape)
    return np.where((rows + columns) % 14 < 3, 0, drawn).astype(np.uint8)


def page(ink, lines=None, level=INK):
    """Ink and, of another gray level, lines on paper."""
    lines = np.zeros_like(ink) if lines is None else lines
    share = np.maximum(ink / FULL * (PAPER - INK), lines / FULL * (PAPER - level))
    blurred = cv2.GaussianBlur(PAPER - share, (0, 0), 0.5)
    return np.rint(blurred).astype(np.uint8)


def kept_and_left(ink, lines):
    """The share of digits' pixels that stay, and of lines' pixels beside them that do."""
    rules = find_rules((ink > 127) | (lines > 127)).mask
    beside = (lines > 127) & (cv2.dilate(ink, np.ones((7, 7), np.uint8)) == 0)
    alone = (ink > 127) & (lines <= 127)
    assert beside.any() or not lines.any()
    return float((~rules)[alone].mean()), float((~rules)[beside].sum() / max(beside.sum(), 1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("thick", [1, 2, 3])
def test_lines_go_and_digits_stay(kind, thick):
    kept, left = kept_and_left(digits(), frame(kind, thick))
    assert kept == 1
    assert left < 0.03


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("degrees", [-2.5, 1, 2])
def test_tilted_lines_go_and_digits_stay(kind, degrees):
    kept, left = kept_and_left(digits(), turned(frame(kind), degrees))
    assert kept == 1
    assert left < 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_broken_lines_go_and_digits_stay(kind):
    kept, left = kept_and_left(digits(), broken(frame(kind)))
    assert kept == 1
    assert left < 0.1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [INK, 150, 200])
def test_a_cell_reads_as_without_its_lines(kind, level):
    plain = normalize(page(digits()))
    framed = normalize(page(digits(), frame(kind), level))
    # Another threshold of ink: digits are a pixel higher or lower.
    assert framed.band.top == pytest.approx(plain.band.top, abs=1)
    assert framed.band.bottom == pytest.approx(plain.band.bottom, abs=1)
    strips = [line.strip().pixels for line in (plain, framed)]
    strips[1] = cv2.resize(strips[1], strips[0].shape[::-1])
    assert (np.abs(strips[1].astype(int) - strips[0]) > 128).mean() < 0.02


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alter", [lambda lines: lines, lambda lines: turned(lines, 1.5), broken])
@pytest.mark.parametrize("level", [INK, 200])
def test_an_empty_cell_has_no_text(kind, alter, level):
    line = normalize(page(blank(), alter(frame(kind)), level))
    assert not line.pixels.any()
    assert line.page.erased.any()


@pytest.mark.parametrize("text", ["1", "11", "111", "1 1", "7", "4", "17"])
@pytest.mark.parametrize("kind", [None, *KINDS])
def test_ones_and_bars_of_digits_are_no_lines(text, kind):
    ink = digits(text)
    lines = blank() if kind is None else frame(kind)
    assert kept_and_left(ink, lines)[0] == 1


def test_a_one_alone_at_the_edge_stays():
    for column in (2, 30, WIDTH - 3):
        ink = blank()
        cv2.line(ink, (column, 14), (column, 46), FULL, 3)
        assert not find_rules(ink > 0).mask.any()


def test_digits_that_fill_the_image_stay():
    for text in ("1", "7", "4", "2", "11", "171"):
        ink = digits(text)
        rows, columns = np.nonzero(ink)
        ink = ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert not find_rules(ink > 127).mask.any(), text


def test_strokes_that_cross_a_line_stay_whole():
    ink = blank()
    cv2.line(ink, (40, 15), (40, 58), FULL, 3)  # a 1 that goes below the rule
    cv2.line(ink, (100, 15), (85, 58), FULL, 3)  # the foot of a 7
    cv2.line(ink, (80, 15), (100, 15), FULL, 3)
    lines = blank()
    cv2.line(lines, (0, 48), (WIDTH - 1, 48), FULL, 2)
    rules = find_rules((ink > 0) | (lines > 0)).mask
    assert not rules[ink > 0].any()
    assert rules[47:50].any(axis=0).mean() > 0.9


def test_a_dash_and_a_stroke_through_two_digits_are_no_lines():
    ink = digits("47")
    cv2.line(ink, (95, 30), (110, 30), FULL, 3)
    cv2.line(ink, (18, 34), (72, 26), FULL, 3)
    assert not find_rules(ink > 127).mask.any()


def test_a_rule_on_a_very_wide_page_is_followed_though_it_bends():
    columns = np.arange(4000)
    rows = (70 + 6 * np.sin(columns / 600)).astype(int)
    mask = np.zeros((100, 4000), bool)
    for beside in (0, 1):
        mask[rows + beside, columns] = True
    mask[20:55, 100:4000:60] = True
    mask[20:55, 101:4000:60] = True
    rules = find_rules(mask).mask
    assert rules[60:].sum() > 0.97 * mask[60:].sum()
    assert not rules[:60].any()


@pytest.mark.parametrize("open_side", [None, "left", "right", "top", "bottom"])
def test_a_frame_goes_whose_corners_are_broken_away(open_side):
    lines = frame("boxed")
    for row in (TOP, BOTTOM):
        for column in (LEFT, RIGHT):
            lines[row - 5 : row + 6, column - 5 : column + 6] = 0
    first_row, last_row = (HEIGHT // 2, None) if open_side == "top" else (0, None)
    if open_side == "bottom":
        last_row = HEIGHT // 2
    first, last = (WIDTH // 2, None) if open_side == "left" else (0, None)
    if open_side == "right":
        last = WIDTH // 2
    part = lines[first_row:last_row, first:last] > 127
    assert not (part & ~find_rules(part).mask).any()


def low_teeth(places):
    """A line with teeth 12 rows high, and a digit that is hardly higher."""
    drawn = blank()
    cv2.line(drawn, (LEFT, BOTTOM), (RIGHT, BOTTOM), FULL, 2)
    for column in places:
        cv2.line(drawn, (column, BOTTOM - 12), (column, BOTTOM), FULL, 2)
    lines = drawn > 127
    cv2.putText(drawn, "5", (14, 36), cv2.FONT_HERSHEY_SIMPLEX, 0.6, FULL, 2)
    return drawn > 127, lines


@pytest.mark.parametrize("places", [(6, 40, 75, 109, 143), (40, 75, 109)])
def test_teeth_as_high_as_the_digits_go_where_they_divide_their_line_evenly(places):
    drawn, lines = low_teeth(places)
    assert (find_rules(drawn).mask == lines).mean() > 0.999


def test_strokes_on_a_line_stay_where_they_divide_it_unevenly():
    drawn, _ = low_teeth((24, 46, 75))
    rules = find_rules(drawn).mask
    assert not rules[BOTTOM - 12 : BOTTOM - 3].any()


def test_teeth_that_a_break_parts_from_their_rule_go_too():
    lines = frame("teeth")
    lines[BOTTOM - 4 : BOTTOM - 1, 60:80] = 0  # under the tooth at column 73
    line = normalize(page(blank(), lines))
    assert not line.pixels.any()
    assert kept_and_left(digits(), lines) == (1, 0)


def between_rules(columns, left=0, right=WIDTH - 1, text=True):
    """Strokes as thick as the two rules, from the one to the other, and a seven beside them."""
    drawn = digits("7") if text else blank()
    for row in (TOP, BOTTOM):
        cv2.line(drawn, (left, row), (right, row), FULL, 2)
    for column in columns:
        cv2.line(drawn, (column, TOP), (column, BOTTOM), FULL, 2)
    return drawn > 0


@pytest.mark.parametrize(
    ("columns", "left", "right"),
    [
        ((100,), 0, WIDTH - 1),
        ((100, 120), 0, WIDTH - 1),
        ((LEFT, 75, RIGHT), LEFT, RIGHT),  # in the middle of a box
        ((LEFT, 60, 100, RIGHT), LEFT, RIGHT),  # not at its thirds
        ((135,), LEFT, RIGHT),  # near the rules' ends
        (tuple(range(LEFT, 142, 15)), LEFT, 141),  # as even as a comb, but too narrow for digits
    ],
)
def test_a_line_between_rules_is_doubtful_where_it_could_be_a_1(columns, left, right):
    assert find_rules(between_rules(columns, left, right)).doubtful


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["", "77"])
@pytest.mark.parametrize("thick", [1, 2, 3])
def test_sides_of_frames_and_even_dividers_are_not_doubtful(kind, text, thick):
    lines = comb(thick) if kind == "comb" else frame(kind, thick)
    assert not find_rules((digits(text) > 127) | (lines > 0)).doubtful


def comb(thick):
    """A comb of four cells as wide as each other."""
    drawn = frame("boxed", thick)
    for place in (1, 2, 3):
        column = round(LEFT + place * (RIGHT - LEFT) / 4)
        cv2.line(drawn, (column, TOP), (column, BOTTOM), FULL, thick)
    return drawn


def test_rules_that_stay_make_a_1_between_them_doubtful():
    mask = between_rules((60,), 20, 110, text=False)
    cv2.putText(drawn := blank(), "7", (75, 42), cv2.FONT_HERSHEY_SIMPLEX, 1.15, FULL, 3)
    found = find_rules(mask | (drawn > 0))
    assert found.doubtful


def test_ones_amid_a_combs_cells_are_told_from_dividers_by_their_thickness():
    lines = frame("boxed", 4)
    for place, thick in ((1, 5), (2, 4), (3, 3)):
        column = round(LEFT + place * (RIGHT - LEFT) / 4)
        cv2.line(lines, (column, TOP), (column, BOTTOM), FULL, thick)
    assert find_rules(lines > 0).doubtful


def test_upright_lines_alone_at_the_edges_may_be_ones_that_were_cut_close():
    page = np.zeros((42, 108), np.bool_)
    page[1:41, 10:13] = page[1:41, 96:99] = True
    found = find_rules(page)
    assert found.mask.any()
    assert found.doubtful


def test_a_one_on_a_divider_is_not_taken_for_what_the_line_left():
    lines = frame("comb")
    ink = blank()
    cv2.line(ink, (38, 20), (38, 42), FULL, 3)  # beside the divider in column 37
    kept, _ = kept_and_left(ink, lines)
    assert kept >= 0.4


def test_feet_of_digits_a_little_above_a_printed_line_are_no_line():
    found = find_rules(over_a_rule())
    assert found.mask[30, 14:].all()
    assert not found.mask[:29].any()


def over_a_rule():
    """Two digits, small for their page, whose feet make an uneven line with a break."""
    drawn = blank(34, 60)
    for left in (12, 29):
        points = np.array([(2, 18), (5, 17), (8, 19), (5, 24), (0, 27), (9, 27)]) + np.array(
            [left, 0]
        )
        cv2.polylines(drawn, [points, points + np.array([1, 0])], False, FULL, 1)
        drawn[26:29, left : left + 4] = FULL
        drawn[27:29, left + 4 : left + 12] = FULL
        drawn[26, left + 11] = FULL
    drawn[30, 14:] = FULL
    return drawn > 0


@pytest.mark.parametrize("columns", [(22, 127), (20, 125)])
def test_sides_of_an_empty_cell_whose_rules_lie_outside_the_image_are_no_ones(columns):
    drawn = blank(80, 150)
    for column in columns:
        drawn[:, column : column + 2] = FULL
    found = find_rules(drawn > 0)
    assert not ((drawn > 0) & ~found.mask).any()
    assert found.doubtful


def test_nothing_is_left_of_double_lines_that_a_blot_joins():
    drawn = blank()
    for row in (6, 10, 49, 53):
        drawn[row : row + 2, LEFT:RIGHT] = FULL
    for column in (LEFT, RIGHT - 2):
        drawn[6:55, column : column + 2] = FULL
    drawn[48:56, 60] = FULL
    assert not ((drawn > 0) & ~find_rules(drawn > 0).mask).any()


def double_frame(digit=False):
    """Two lines a side, three pixels apart and broken, on a page of 46 x 36."""
    drawn = blank(46, 36)
    for inset in (0, 3):
        cv2.rectangle(drawn, (4 + inset, 5 + inset), (31 - inset, 40 - inset), FULL, 1)
    drawn[5:8, 14:17] = drawn[20:23, 4:8] = drawn[38:41, 20:22] = 0
    if digit:
        cv2.line(drawn, (18, 15), (18, 30), FULL, 2)
    return drawn > 0


def test_a_bare_frame_goes_whole_and_one_that_holds_a_digit_does_not():
    assert is_bare_frame(double_frame(), np.zeros((46, 36), np.bool_))
    assert not is_bare_frame(double_frame(digit=True), np.zeros((46, 36), np.bool_))
    found = find_rules(double_frame())
    assert not (double_frame() & ~found.mask).any()
    assert not find_rules(double_frame(digit=True)).mask[15:31, 17:20].any()


@pytest.mark.parametrize("middle", [(75, 30), (20, 30)])
def test_a_0_alone_is_no_frame(middle):
    drawn = cv2.ellipse(blank(), middle, (14, 22), 0, 0, 360, FULL, 3)
    assert not find_rules(drawn > 0).mask.any()
    tight = drawn[6:55, middle[0] - 17 : middle[0] + 18]
    assert not find_rules(tight > 0).mask.any()


def test_a_divider_that_a_digit_touches_goes_by_its_place_and_is_doubtful():
    lines, digit = np.zeros((60, 176), np.uint8), np.zeros((60, 176), np.uint8)
    cv2.rectangle(lines, (8, 8), (168, 52), FULL, 2)
    for column in (48, 88, 128):
        cv2.line(lines, (column, 8), (column, 52), FULL, 2)
    cv2.ellipse(digit, (84, 30), (7, 13), 0, 0, 360, FULL, 3)
    cv2.line(digit, (90, 18), (90, 44), FULL, 3)
    assert not find_rules(lines > 0).doubtful
    rules = find_rules((lines | digit) > 0)
    assert rules.doubtful
    kept = (digit > 0) & (lines == 0)
    assert (rules.mask & kept).sum() < 0.1 * kept.sum()
    assert rules.mask[9:17, 88].mean() > 0.5  # of the divider above the digit


def test_the_bar_of_a_4_that_is_lower_than_its_cell_is_no_rule():
    four = np.zeros((64, 40), np.uint8)
    cv2.polylines(four, [np.array([(18, 18), (10, 34), (32, 34)])], False, FULL, 2)
    cv2.line(four, (26, 22), (25, 46), FULL, 2)
    assert not find_rules(four > 0).mask.any()


def test_what_goes_with_teeth_is_doubtful_where_it_could_be_a_broken_1():
    teeth = blank(36, 90)
    for row in (4, 31):
        cv2.line(teeth, (2, row), (88, row), FULL, 2)
    for column in range(10, 90, 16):
        cv2.line(teeth, (column, 26), (column, 31), FULL, 2)
    one = blank(36, 90)
    for row in (7, 16):
        cv2.line(one, (50, row), (50, row + 5), FULL, 2)
    assert not find_rules(teeth > 0).doubtful
    rules = find_rules((teeth | one) > 0)
    assert (rules.mask & (one > 0)).any()
    assert rules.doubtful


def pieces_of_a_side(thick, top=4, bottom=50, column=WIDTH - 5):
    drawn = digits("470")
    drawn[top:bottom, column : column + thick] = FULL
    return drawn


@pytest.mark.parametrize("column", [0, 3, WIDTH - 1, WIDTH - 6])
def test_a_piece_of_a_side_goes_that_is_thinner_than_the_pen(column):
    drawn = pieces_of_a_side(1, top=0, column=column)  # from the image's edge, as no 1
    found = find_rules(drawn > 0)
    assert (found.mask == (drawn != digits("470"))).all()
    assert not found.doubtful


def test_a_1_at_the_image_s_end_stays_that_is_as_thick_as_the_digits():
    for thick in (4, 5):
        assert not find_rules(pieces_of_a_side(thick, 18, 43) > 0).mask.any()


def test_digits_of_a_hair_fine_pen_keep_their_1():
    drawn = digits("470") // 255
    edges = cv2.Canny(drawn * 255, 50, 100)  # outlines, one pixel wide
    edges[18:43, WIDTH - 6] = FULL
    assert not find_rules(edges > 0).mask.any()


def test_a_thin_stroke_as_high_as_the_digits_goes_but_is_doubtful():
    found = find_rules(pieces_of_a_side(1, 18, 43) > 0)
    assert found.mask.any()
    assert found.doubtful


def test_a_thin_stroke_away_from_the_ends_stays():
    assert not find_rules(pieces_of_a_side(1, column=WIDTH - 30) > 0).mask.any()


@pytest.mark.parametrize("standing", [True, False])
def test_a_tall_1_before_small_zeros_stays(standing):
    drawn = blank()
    cv2.line(drawn, (10, 6), (10, 54), FULL, 3)
    for place in range(4):
        middle = (30 + 26 * place, 43 if standing else 17)
        cv2.ellipse(drawn, middle, (8, 11), 0, 0, 360, FULL, 5)
    assert not find_rules(drawn > 0).mask.any()


def test_a_thin_1_beside_small_zeros_is_doubtful():
    drawn = blank()
    cv2.line(drawn, (10, 6), (10, 54), FULL, 1)
    for place in range(4):
        cv2.ellipse(drawn, (30 + 26 * place, 43), (8, 11), 0, 0, 360, FULL, 4)
    assert find_rules(drawn > 0).doubtful

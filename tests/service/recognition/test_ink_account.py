import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.imaging.decode import decode
from service.recognition.decoding.regex import pattern
from service.recognition.ink_account import Reason, account, page_ink
from service.recognition.ink_account.page_ink import Zone
from service.recognition.model import ModelFiles
from service.recognition.normalize import normalize
from service.recognition.recognizer import Decision, Options, Recognizer
from tests.conftest import STRIPS

PAPER, INK = 235, 40
LENIENT = Options(error_rate=0.5)
ACCOUNTS = {Reason.NOTHING_SEEN, Reason.SECOND_LINE, Reason.UNEXPLAINED_INK}
ACCOUNTS |= {Reason.STRUCK_OUT, Reason.CUT_OFF}


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.load(ModelFiles.read())


def strip(name="account-small.png", height=48):
    """An example strip on paper of one level, `height` pixels high."""
    gray = decode((STRIPS / name).read_bytes()).gray
    width = round(gray.shape[1] * height / gray.shape[0])
    small = cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA)
    low, high = np.quantile(small, [0.01, 0.5])
    return np.clip(INK + (small - low) * (PAPER - INK) / (high - low), INK, PAPER).astype(np.uint8)


def padded(gray, above=0, below=0, left=0, right=0):
    return cv2.copyMakeBorder(
        gray, above, below, left, right, cv2.BORDER_CONSTANT, value=(PAPER, PAPER, PAPER, PAPER)
    )


def stroke(gray, start, stop, thickness=3):
    drawn = gray.copy()
    cv2.line(drawn, start, stop, (INK, INK, INK), thickness, cv2.LINE_AA)
    return drawn


def reasons(recognizer, gray, options=LENIENT):
    found = recognizer.recognize(gray, options)
    assert (found.decision is Decision.REVIEW) == bool(found.reasons)
    assert set(found.ink.reasons) <= set(found.reasons)
    return ACCOUNTS & set(found.reasons)


@pytest.mark.parametrize("name", [path.name for path in sorted(STRIPS.glob("*.[!c]*"))])
def test_the_ink_of_the_example_strips_balances(recognizer, name):
    found = recognizer.recognize(decode((STRIPS / name).read_bytes()))
    assert found.ink.reasons == ()
    assert found.ink.lines == 1
    assert found.ink.unexplained + found.ink.outside < 0.02


def test_a_second_line_is_named_and_listed(recognizer):
    first, second = strip(), strip("two-digits.png")
    page = padded(first, below=20)
    page = np.vstack([page, padded(second, right=page.shape[1] - second.shape[1])])
    found = recognizer.recognize(page, Options(error_rate=0.5))
    assert Reason.SECOND_LINE in found.reasons
    assert found.ink.lines == 2
    assert found.ink.outside > 0.1
    assert all(box.top > first.shape[0] for box in found.ink.boxes)
    assert len(found.ink.boxes) == 2


def test_a_slash_and_a_dash_behind_a_string_are_unexplained(recognizer):
    page = padded(strip("two-digits.png"), right=60)
    width = page.shape[1]
    page = stroke(page, (width - 52, 38), (width - 44, 10))
    page = stroke(page, (width - 30, 24), (width - 14, 24))
    assert reasons(recognizer, page) == {Reason.UNEXPLAINED_INK}


def test_a_dash_before_a_string_is_unexplained_and_one_behind_it_is_not(recognizer):
    page = padded(strip("two-digits.png"), left=40, right=40)
    width = page.shape[1]
    assert reasons(recognizer, stroke(page, (8, 25), (26, 25))) == {Reason.UNEXPLAINED_INK}
    assert reasons(recognizer, stroke(page, (width - 26, 25), (width - 8, 25))) == set()


def test_a_dash_that_the_pattern_names_is_explained_in_its_place_alone(recognizer):
    page = padded(strip("two-digits.png"), left=40)
    page = stroke(page, (8, 25), (26, 25))
    assert not reasons(recognizer, page, Options(pattern(r"-\d\d"), error_rate=0.5))
    assert reasons(recognizer, page, Options(pattern(r"\d-\d"), error_rate=0.5))


@pytest.mark.parametrize("rise", [0, 3, -4])
def test_a_line_through_the_digits_strikes_them_out(recognizer, rise):
    page = strip()
    page = stroke(page, (4, 24 + rise), (page.shape[1] - 4, 24 - rise))
    assert Reason.STRUCK_OUT in reasons(recognizer, page)


def test_digits_that_go_on_beyond_the_left_edge_are_cut_off(recognizer):
    page = strip("one-digit.png")
    columns = np.flatnonzero((page < (PAPER + INK) / 2).any(axis=0))
    edge = (columns[0] + columns[-1]) // 2  # in the midst of a zero: its left side is gone
    page = padded(page[:, edge - 8 :], right=30)
    page[:, :3] = np.minimum(page[:, :3], page[:, 3:4])
    page[12:36, 0] = INK
    assert Reason.CUT_OFF in reasons(recognizer, page)


def test_a_piece_at_the_edge_in_which_no_digit_is_read_is_cut_off():
    page = one(seven(paper(70), 20), 46)
    piece = page[:, :49]
    assert accounted(piece, "7", [32]).reasons == (Reason.CUT_OFF,)
    assert accounted(page, "71", [32, 48]).reasons == ()


def test_most_digits_at_the_lower_edge_are_cut_off(recognizer):
    page = strip()
    rows = np.flatnonzero((page < (PAPER + INK) / 2).any(axis=1))
    page = page[: (rows[0] + 2 * rows[-1]) // 3]
    assert Reason.CUT_OFF in reasons(recognizer, page)


def test_traces_too_faint_to_read_are_not_blank_paper(recognizer):
    faint = (PAPER - (PAPER - strip().astype(float)) * 8 / (PAPER - INK)).round().astype(np.uint8)
    found = recognizer.recognize(faint, Options(error_rate=0.5))
    assert found.reading.text == ""
    assert not found.ink.seen
    assert found.reasons[0] is Reason.NOTHING_SEEN


def test_faint_traces_in_grain_are_told_by_their_shapes():
    faint = PAPER - (PAPER - strip().astype(float)) * 5 / (PAPER - INK)
    grain = np.random.default_rng(14).normal(0, 2, faint.shape)
    page = normalize(np.clip(faint + grain, 0, 255).astype(np.uint8)).page
    assert not page.seen


@given(st.integers(0, 2**32 - 1), st.floats(0, 4), st.integers(8, 200), st.integers(8, 300))
def test_blank_paper_with_grain_is_blank(seed, grain, height, width):
    rng = np.random.default_rng(seed)
    paper = np.clip(rng.normal(PAPER, grain, (height, width)), 0, 255).astype(np.uint8)
    page = normalize(paper).page
    assert page.seen
    assert not page.mask.any()


def test_what_could_be_a_digit_at_the_edge_is_no_piece_of_a_printed_line(recognizer):
    page = padded(strip("two-digits.png"), left=14)
    line = normalize(stroke(page, (0, 18), (0, 32), 5))
    found = recognizer.recognize(page)
    unit = found.strip.band.bottom - found.strip.band.top
    centers = [recognizer.metadata.center(digit.position) for digit in found.reading.digits]
    unread = account(line, line.strip(found.strip.view), "45", centers)
    assert Reason.UNEXPLAINED_INK in unread.reasons
    assert unread.boxes[0].left == 0
    assert unread.boxes[0].bottom - unread.boxes[0].top == pytest.approx(unit, rel=0.5)


def test_a_frames_side_along_the_edge_is_a_printed_line(recognizer):
    page = padded(strip(), left=14)
    page = stroke(page, (0, 0), (0, page.shape[0] - 1), 5)
    assert reasons(recognizer, page) == set()


def test_the_account_of_a_very_wide_page_takes_time_by_its_width(recognizer):
    line = normalize(np.tile(strip(), (1, 400)))
    found = account(line, line.strip(), "1", [line.pixels.shape[1] / 2])
    assert Reason.UNEXPLAINED_INK in found.reasons


@pytest.mark.parametrize("slant", [-0.7, 0.0, 0.3])
def test_what_is_in_reach_of_digits_is_the_same_piece_by_piece(slant):
    to_page = np.array([[1.3, slant, -7.0], [0.0, 1.3, 2.0]])
    zone = Zone.of((60, 700), to_page, [-4.0, 9.0, 13.0, 120.0, 300.5, 510.0, 545.0], (12.0, 41.0))
    whole = zone.draw(0, 700)
    assert 0 < whole.mean() < 1
    for columns in (1, 7, 64, 699):
        parts = [zone.draw(left, min(left + columns, 700)) for left in range(0, 700, columns)]
        assert np.array_equal(np.concatenate(parts, axis=1), whole)


def test_ink_that_is_cut_out_again_is_the_same(recognizer, monkeypatch):
    page = padded(strip(), left=14)
    expected = recognizer.recognize(page).ink
    monkeypatch.setattr(page_ink, "MOST_OWN", 1)
    assert recognizer.recognize(page).ink == expected


def test_shares_sum_to_the_whole(recognizer):
    ink = recognizer.recognize(strip()).ink
    assert ink.digits + ink.unexplained + ink.outside + ink.removed == pytest.approx(1)
    ink = recognizer.recognize(np.full((48, 200), PAPER, np.uint8)).ink
    assert (ink.seen, ink.lines, ink.boxes, ink.reasons) == (True, 0, (), ())
    assert ink.digits == ink.unexplained == ink.outside == ink.removed == 0


def accounted(page, digits, columns):
    """The account of a page on which digits are read at columns of it, one each."""
    line = normalize(page)
    found = line.strip()
    middle = found.pixels.shape[0] / 2
    scale, lean, left = found.to_source[0]
    return account(line, found, digits, [(x - lean * middle - left) / scale for x in columns])


def paper(width=160, height=64):
    return np.full((height, width), PAPER, np.uint8)


def seven(page, left):
    """A 7 of 40 pixels: no part of it is level in its middle."""
    page = stroke(page, (left, 12), (left + 20, 12))
    return stroke(page, (left + 20, 12), (left + 6, 52))


def one(page, left, top=12, bottom=52):
    return stroke(page, (left + 4, top), (left, bottom))


@pytest.mark.parametrize("radius", [9, 16, 22])
def test_a_blot_is_no_digit(radius):
    page = paper()
    cv2.circle(page, (60, 32), radius, (INK, INK, INK, INK), -1, cv2.LINE_AA)
    assert accounted(page, "0", [60]).reasons == (Reason.UNEXPLAINED_INK,)


def test_a_blot_over_a_digit_strikes_it_out():
    page = seven(seven(paper(), 20), 110)
    cv2.rectangle(page, (58, 14), (94, 50), (INK, INK, INK, INK), -1)
    assert accounted(page, "787", [32, 76, 122]).reasons == (Reason.STRUCK_OUT,)


@pytest.mark.parametrize(
    "arms", [[(30, 36), (40, 52), (68, 14)], [(34, 30), (40, 52), (60, 12)]], ids=["wide", "steep"]
)
def test_a_tick_is_no_1(arms):
    page = stroke(stroke(paper(90), arms[0], arms[1], 4), arms[1], arms[2], 4)
    assert accounted(page, "1", [45]).reasons == (Reason.UNEXPLAINED_INK,)


@pytest.mark.parametrize(
    "flag", [[(50, 12), (30, 34)], [(50, 12), (34, 50)], [(50, 12), (40, 16)]], ids=str
)
def test_a_1_with_a_flag_is_a_1(flag):
    page = stroke(stroke(paper(90), *flag, 4), (50, 12), (46, 52), 4)
    assert accounted(page, "1", [47]).reasons == ()


def test_a_1_with_a_foot_is_a_1():
    page = stroke(stroke(paper(90), (46, 12), (46, 52), 4), (34, 52), (58, 52), 4)
    assert accounted(page, "1", [46]).reasons == ()


def test_a_slash_between_digits_is_no_1():
    page = seven(seven(paper(), 20), 100)
    slash = stroke(page, (82, 2), (66, 62), 4)
    assert accounted(slash, "717", [32, 74, 112]).reasons == (Reason.UNEXPLAINED_INK,)
    assert accounted(one(page, 72), "717", [32, 74, 112]).reasons == ()


@pytest.mark.parametrize("place", [10, 140])
def test_a_hairline_at_an_end_of_a_string_is_no_1(place):
    def drawn(thickness):
        page = seven(seven(paper(), 30), 80)
        page = cv2.erode(page, np.ones((3, 3), np.uint8))  # a broad pen
        return stroke(page, (place + 6, 12), (place, 54), thickness)

    digits = "177" if place < 30 else "771"
    columns = sorted([42, 92, place + 3])
    assert accounted(drawn(1), digits, columns).reasons == (Reason.UNEXPLAINED_INK,)
    assert accounted(drawn(5), digits, columns).reasons == ()


def test_a_digit_that_crosses_the_edge_with_two_strokes_is_cut_off():
    page = seven(paper(100), 20)
    cv2.ellipse(page, (104, 32), (22, 19), 0, 0, 360, (INK, INK, INK, INK), 3, cv2.LINE_AA)
    assert accounted(page, "70", [32, 91]).reasons == (Reason.CUT_OFF,)
    assert accounted(padded(page, right=30), "70", [32, 91]).reasons == ()


def test_a_dash_behind_digits_that_goes_on_beyond_the_edge_is_unexplained():
    page = stroke(seven(seven(paper(110), 10), 50), (86, 34), (120, 34), 4)
    assert accounted(page, "77", [22, 62]).reasons == (Reason.UNEXPLAINED_INK,)
    assert accounted(padded(page, right=12), "77", [22, 62]).reasons == ()


def test_a_tall_1_before_digits_is_a_1():
    page = one(seven(seven(paper(), 60), 110), 20, 5, 58)
    assert accounted(page, "177", [22, 72, 122]).reasons == ()


def test_a_fold_from_edge_to_edge_is_no_1():
    fold = stroke(paper(), (80, -5), (83, 70), 2)
    assert Reason.UNEXPLAINED_INK in accounted(fold, "1", [81]).reasons
    tight = one(paper(14), 4, 0, 64)
    assert accounted(tight, "1", [6]).reasons == ()


def test_a_single_digit_at_one_edge_is_cut_off():
    page = seven(paper(60), 20)
    assert accounted(page[:40], "7", [32]).reasons == (Reason.CUT_OFF,)
    assert accounted(page[20:], "7", [32]).reasons == (Reason.CUT_OFF,)
    assert accounted(page[11:54], "7", [32]).reasons == ()


def test_a_stroke_through_a_single_digit_strikes_it_out():
    page = paper(100)
    cv2.ellipse(page, (50, 32), (11, 19), 0, 0, 360, (INK, INK, INK, INK), 3, cv2.LINE_AA)
    assert accounted(page, "0", [50]).reasons == ()
    struck = stroke(page, (30, 34), (70, 31))
    assert accounted(struck, "0", [50]).reasons == (Reason.STRUCK_OUT,)


@pytest.mark.parametrize("high", [22, 27])
@pytest.mark.parametrize(("left", "turned"), [(20, 0), (92, 180)])
def test_a_parenthesis_read_as_a_1_is_unexplained(left, turned, high):
    page = seven(seven(paper(130, 72), 36), 66)
    arc = cv2.ellipse(
        page.copy(), (left, 34), (12, high), turned, 110, 250, (INK,) * 4, 3, cv2.LINE_AA
    )
    digits, columns = ("177", [12, 48, 78]) if left < 60 else ("771", [48, 78, 100])
    assert accounted(arc, digits, columns).reasons == (Reason.UNEXPLAINED_INK,)
    plain = one(page, columns[digits.index("1")] - 2, 6, 60)
    assert accounted(plain, digits, columns).reasons == ()


@pytest.mark.parametrize("rise", [-3, 0, 3])
def test_a_stroke_through_a_single_7_or_4_strikes_it_out_and_a_bar_of_its_own_does_not(rise):
    page = seven(paper(80), 30)
    crossed = stroke(page, (34, 34), (50, 33))
    assert accounted(crossed, "7", [42]).reasons == ()
    assert accounted(stroke(page, (22, 32 + rise), (66, 32 - rise)), "7", [42]).reasons == (
        Reason.STRUCK_OUT,
    )
    page = cv2.polylines(
        paper(80), [np.array([(40, 12), (30, 36), (54, 36)])], False, (INK,) * 4, 3, cv2.LINE_AA
    )
    page = stroke(page, (48, 18), (46, 52))
    assert accounted(page, "4", [42]).reasons == ()
    assert accounted(stroke(page, (20, 32 + rise), (66, 32 - rise)), "4", [42]).reasons == (
        Reason.STRUCK_OUT,
    )


@pytest.mark.parametrize(("start", "reasons"), [(18, (Reason.STRUCK_OUT,)), (38, ())])
def test_a_stroke_through_the_leg_of_a_7_strikes_it_out_where_both_its_ends_jut_out(start, reasons):
    page = stroke(seven(paper(80), 30), (start, 44), (62, 48), 2)
    assert accounted(page, "7", [42]).reasons == reasons


@pytest.mark.parametrize("ends", [((50, 27), (118, 24)), ((110, 31), (196, 16))])
def test_a_stroke_through_some_of_the_digits_strikes_them_out(recognizer, ends):
    assert reasons(recognizer, strip()) == set()
    assert Reason.STRUCK_OUT in reasons(recognizer, stroke(strip(), *ends, 2))


def zero(page, middle, half=11):
    return cv2.ellipse(page, (middle, 32), (half, 20), 0, 0, 360, (INK,) * 4, 3, cv2.LINE_AA)


def test_a_slash_behind_digits_is_no_1_and_a_1_as_high_as_they_are_is_one():
    page = seven(seven(paper(), 20), 60)
    slash = stroke(page, (104, 58), (122, 6), 3)
    assert accounted(slash, "771", [32, 72, 113]).reasons == (Reason.UNEXPLAINED_INK,)
    assert accounted(stroke(page, (106, 52), (120, 12), 3), "771", [32, 72, 113]).reasons == ()
    tall = stroke(page, (111, 58), (113, 6), 3)
    assert accounted(tall, "771", [32, 72, 112]).reasons == ()


def test_a_leaning_stroke_alone_may_be_a_slash():
    slash = stroke(paper(80), (30, 54), (48, 10), 3)
    assert accounted(slash, "1", [39]).reasons == (Reason.UNEXPLAINED_INK,)
    assert accounted(one(paper(80), 38), "1", [40]).reasons == ()


def test_a_percent_sign_is_no_two_digits():
    page = stroke(seven(seven(paper(), 10), 50), (96, 54), (120, 10), 3)
    for middle in ((97, 19), (119, 45)):
        page = cv2.circle(page, middle, 6, (INK,) * 4, 2, cv2.LINE_AA)
    found = accounted(page, "7796", [22, 62, 102, 114])
    assert found.reasons == (Reason.UNEXPLAINED_INK,)
    assert len(found.boxes) == 3


def test_a_small_ring_among_digits_is_none():
    page = seven(seven(paper(), 10), 50)
    ring = cv2.circle(page.copy(), (92, 22), 7, (INK,) * 4, 2, cv2.LINE_AA)
    assert accounted(ring, "770", [22, 62, 92]).reasons == (Reason.UNEXPLAINED_INK,)
    small = cv2.ellipse(page, (92, 38), (9, 13), 0, 0, 360, (INK,) * 4, 3, cv2.LINE_AA)
    assert accounted(small, "770", [22, 62, 92]).reasons == ()


@pytest.mark.parametrize("place", [18, 150])
def test_a_dollar_sign_is_no_8(place):
    page = seven(seven(seven(paper(168), 36), 70), 104)
    for y, start in ((22, 30), (42, 210)):  # the arcs of an S
        page = cv2.ellipse(page, (place, y), (11, 10), 0, start, start + 240, (INK,) * 4, 3)
    digits, columns = ("8777", [18, 48, 82, 116]) if place < 36 else ("7778", [48, 82, 116, 150])
    assert accounted(page, digits, columns).reasons == ()
    dollar = stroke(page, (place, 4), (place, 60), 2)
    assert accounted(dollar, digits, columns).reasons == (Reason.UNEXPLAINED_INK,)


def test_a_dollar_sign_no_higher_than_the_digits_is_no_5():
    page = seven(seven(paper(120), 26), 56)
    for y, start in ((22, 30), (42, 210)):
        page = cv2.ellipse(page, (98, y), (11, 9), 0, start, start + 240, (INK,) * 4, 3)
    assert accounted(page, "775", [38, 68, 98]).reasons == ()
    assert accounted(stroke(page, (98, 9), (98, 55), 2), "775", [38, 68, 98]).reasons == (
        Reason.UNEXPLAINED_INK,
    )


def test_a_bar_through_one_digit_of_several_strikes_it_out():
    page = zero(seven(seven(paper(), 10), 50), 110, 15)
    assert accounted(page, "770", [22, 62, 110]).reasons == ()
    struck = stroke(page, (90, 34), (130, 31), 3)
    assert accounted(struck, "770", [22, 62, 110]).reasons == (Reason.STRUCK_OUT,)


def test_a_leaning_piece_at_an_edge_is_no_printed_line():
    page = seven(seven(paper(140), 20), 60)
    cut = stroke(page, (130, 24), (141, 42), 3)
    assert accounted(cut, "77", [32, 72]).reasons == (Reason.UNEXPLAINED_INK,)
    side = page.copy()
    side[24:42, -2:] = INK
    assert accounted(side, "77", [32, 72]).reasons == ()


@pytest.mark.parametrize(("digits", "columns"), [("47", [30, 72]), ("4", [30])])
def test_an_a_is_no_4(digits, columns):
    page = seven(paper(), 60) if len(digits) > 1 else paper()
    page = stroke(stroke(page, (30, 12), (16, 52)), (30, 12), (44, 52))
    letter = stroke(page, (22, 38), (38, 38))
    assert accounted(letter, digits, columns).reasons == (Reason.UNEXPLAINED_INK,)
    four = stroke(stroke(paper(), (30, 12), (16, 38)), (16, 38), (44, 38))
    four = stroke(four, (34, 12), (38, 52))
    assert accounted(four, "4", [30]).reasons == ()


def test_a_ring_round_digits_is_unexplained():
    page = zero(zero(seven(seven(paper(200, 72), 10), 130), 72), 98)
    assert accounted(page, "7007", [22, 72, 98, 142]).reasons == ()
    ring = cv2.circle(page, (85, 32), 25, (INK,) * 4, 2, cv2.LINE_AA)
    assert accounted(ring, "7007", [22, 72, 98, 142]).reasons == (Reason.UNEXPLAINED_INK,)


def test_a_frame_that_crosses_its_digit_is_unexplained():
    assert accounted(zero(paper(80), 40, 14), "0", [40]).reasons == ()
    frame = zero(paper(80), 40, 14).copy()
    cv2.rectangle(frame, (27, 8), (53, 46), (INK,) * 4, 2)
    assert Reason.UNEXPLAINED_INK in accounted(frame, "0", [40]).reasons


def test_ink_that_holds_a_digit_is_unexplained():
    page = seven(paper(120, 84), 50)
    ring = cv2.ellipse(page, (61, 34), (34, 32), 0, 0, 360, (INK,) * 4, 3, cv2.LINE_AA)
    assert Reason.UNEXPLAINED_INK in accounted(ring, "07", [34, 62]).reasons


@pytest.mark.parametrize("ends", [((17, 48), (217, 18)), ((17, 18), (217, 48))])
def test_a_stroke_from_end_to_end_strikes_digits_out_however_it_climbs(ends):
    page, columns = paper(240), [32, 66, 100, 134, 168, 202]
    for column in columns:
        page = zero(page, column)
    assert accounted(page, "000000", columns).reasons == ()
    assert accounted(stroke(page, *ends, 2), "000000", columns).reasons == (Reason.STRUCK_OUT,)


def test_a_1_with_a_bar_is_struck_out_and_one_with_a_flag_is_not():
    page = one(paper(80), 40)
    assert accounted(stroke(page, (31, 33), (53, 31)), "1", [42]).reasons == (Reason.STRUCK_OUT,)
    assert accounted(stroke(page, (34, 22), (44, 12)), "1", [42]).reasons == ()


def test_a_scribble_over_a_digit_strikes_it_out():
    page = zero(seven(seven(paper(), 20), 60), 120)
    rng = np.random.default_rng(3)
    points = rng.uniform((104, 12), (134, 52), (26, 2)).round().astype(np.int32)
    scribbled = cv2.polylines(page.copy(), [points], False, (INK,) * 4, 3, cv2.LINE_AA)
    assert accounted(scribbled, "778", [32, 72, 119]).reasons == (Reason.STRUCK_OUT,)
    eight = cv2.circle(page, (120, 32), 6, (INK,) * 4, 4, cv2.LINE_AA)
    assert accounted(eight, "770", [32, 72, 120]).reasons == ()


def test_a_digit_at_one_side_is_cut_off_where_the_other_side_has_room():
    page = zero(seven(seven(paper(180), 26), 66), 130, 16)
    cut = page[:, :142]
    assert accounted(cut, "770", [38, 78, 130]).reasons == (Reason.CUT_OFF,)
    assert accounted(cut[:, 26:], "770", [12, 52, 104]).reasons == ()
    assert accounted(page, "770", [38, 78, 130]).reasons == ()


def test_one_stroke_that_crosses_an_edge_cuts_a_digit_off_where_there_is_paper_all_round():
    page = padded(seven(seven(paper(), 20), 60), above=8, below=8, right=20)
    assert accounted(page, "77", [32, 72]).reasons == ()
    cut = page[:, 23:]
    assert accounted(cut, "77", [10, 49]).reasons == (Reason.CUT_OFF,)
    assert accounted(cut[12:], "77", [10, 49]).reasons == ()  # close to the digits above, too


def test_a_hair_in_which_a_digit_is_read_is_too_little_ink():
    hair = paper(120, 90)
    hair[:, 60] = INK
    found = accounted(hair, "1", [60])
    assert Reason.UNEXPLAINED_INK in found.reasons


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 60), st.floats(0.02, 0.98))
def test_every_page_has_an_account(seed, height, width, share):
    rng = np.random.default_rng(seed)
    page = np.where(rng.random((height, width)) < share, INK, PAPER).astype(np.uint8)
    found = accounted(page, "111", [width * each for each in (0.2, 0.5, 0.8)])
    assert (
        found.digits + found.unexplained + found.outside + found.removed
        == pytest.approx(1, abs=1e-6)
        or not normalize(page).page.mask.any()
    )


@pytest.mark.parametrize("text", ["1", "11", "17", "71", "171"])
@pytest.mark.parametrize("rule", [2, 3, 4])
def test_a_1_that_is_removed_with_the_rules_it_touches_is_not_passed_over(recognizer, text, rule):
    page = paper(60 + 34 * len(text))
    for number, digit in enumerate(text):
        left = 30 + 34 * number
        page = stroke(page, (left + 8, 6), (left + 8, 58), 2) if digit == "1" else seven(page, left)
    for row in (6, 58):
        page = stroke(page, (0, row), (page.shape[1], row), rule)
    found = recognizer.recognize(page, LENIENT)
    assert found.reading.text == text or Reason.UNEXPLAINED_INK in found.reasons


def eight(page, middle):
    for row in (22, 42):
        cv2.ellipse(page, (middle, row), (9, 10), 0, 0, 360, (INK,) * 4, 4, cv2.LINE_AA)
    return page


@pytest.mark.parametrize("strike", [((58, 50), (94, 16)), ((58, 14), (94, 48))])
def test_an_even_stroke_through_one_digit_of_several_strikes_it_out(strike):
    page = seven(eight(seven(paper(), 20), 76), 110)
    assert accounted(page, "787", [32, 76, 122]).reasons == ()
    page = stroke(page, *strike, 2)
    assert accounted(page, "787", [32, 76, 122]).reasons == (Reason.STRUCK_OUT,)


def test_an_upright_stroke_through_one_digit_of_several_strikes_it_out():
    page = seven(zero(seven(paper(), 20), 76), 110)
    page = stroke(padded(page, above=16, below=16), (75, 19), (78, 77), 2)
    assert accounted(page, "707", [32, 76, 122]).reasons == (Reason.STRUCK_OUT,)


def test_two_short_strokes_through_one_digit_strike_it_out():
    page = eight(seven(paper(), 20), 76)
    for row in (28, 35):
        page = stroke(page, (62, row), (90, row), 2)
    assert accounted(page, "78", [32, 76]).reasons == (Reason.STRUCK_OUT,)


def test_bars_of_digits_that_touch_are_no_stroke_through_both():
    page = paper()
    for left in (40, 68):
        page = stroke(page, (left + 4, 12), (left, 36))
        page = stroke(page, (left, 36), (left + 28, 36))
        page = stroke(page, (left + 20, 22), (left + 18, 52))
    page = stroke(page, (26, 13), (44, 13))  # the first one's flourish
    assert accounted(page, "44", [54, 82]).reasons == ()


@pytest.mark.parametrize(("bend", "reasons"), [(8, ()), (0, (Reason.STRUCK_OUT,))])
def test_bent_bars_of_digits_that_touch_are_no_stroke_and_a_level_one_is(bend, reasons):
    page = paper()
    for left in (40, 70):
        page = stroke(page, (left + 4, 12), (left, 34 + bend // 2), 4)
        page = stroke(page, (left, 34 + bend // 2), (left + 15, 34 - bend // 2), 4)
        page = stroke(page, (left + 15, 34 - bend // 2), (left + 30, 34 + bend // 2), 4)
        page = stroke(page, (left + 20, 20), (left + 18, 52), 4)
    assert accounted(page, "44", [55, 85]).reasons == reasons


def test_a_ruled_stroke_of_a_thinner_pen_beside_digits_is_no_1():
    page = zero(zero(zero(paper(200), 40), 80), 120)
    page = cv2.erode(page, np.ones((3, 3), np.uint8))  # a thicker pen's
    ruled = stroke(page, (150, 52), (154, 12), 4)
    found = accounted(ruled, "0001", [40, 80, 120, 153])
    assert found.reasons == (Reason.UNEXPLAINED_INK,)
    swelling = stroke(ruled, (151, 46), (153, 32), 6)
    assert accounted(swelling, "0001", [40, 80, 120, 153]).reasons == ()


@pytest.mark.parametrize(("gap", "reasons"), [(10, ()), (40, (Reason.UNEXPLAINED_INK,))])
def test_a_1_far_from_digits_that_stand_close_may_be_a_mark(gap, reasons):
    page = zero(zero(zero(paper(220), 40), 68), 96)
    page = one(page, 112 + gap)
    assert accounted(page, "0001", [40, 68, 96, 114 + gap]).reasons == reasons

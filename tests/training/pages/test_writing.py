import dataclasses
import re

import numpy as np
import pytest

from training.config import StripConfig
from training.pages.glyphs import curve
from training.pages.writing import (
    LEAST_ADVANCE,
    WIDEST,
    Line,
    amount,
    any_of,
    beside,
    lean,
    lone_marks,
    place,
    random_text,
    shapes,
    sizes,
    write,
)

SEEDS = range(30)
OFF = StripConfig.only()


def rng_of(seed):
    return np.random.default_rng(seed)


def stems(count):
    return [curve([(0, -1), (0.4, -0.5), (0, 0)]) for _ in range(count)]


def heights(glyphs):
    return np.array([np.ptp(strokes[..., 1]) for strokes in glyphs])


def widths(glyphs):
    return np.array([np.ptp(strokes[..., 0]) for strokes in glyphs])


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def gaps(line):
    return np.array(
        [
            after[..., 0].min() - before[..., 0].max()
            for before, after in zip(line.digits[:-1], line.digits[1:], strict=True)
        ]
    )


# --- what is written


def test_texts_are_digits_of_the_lengths_asked_for():
    config = dataclasses.replace(StripConfig(), digits=(3, 9))
    lengths = {len(random_text(rng_of(seed), config)) for seed in range(300)}
    assert lengths == set(range(3, 10))
    assert all(re.fullmatch(r"\d+", random_text(rng_of(seed), config)) for seed in SEEDS)


def test_small_numbers_have_one_to_five_digits_two_mostly():
    texts = [random_text(rng_of(seed), StripConfig.only("small")) for seed in range(500)]
    lengths = np.bincount([len(text) for text in texts])
    assert len(lengths) <= 8  # an amount has seven digits at most
    assert lengths.argmax() == 2


def test_outer_ones_stand_first_or_last():
    config = dataclasses.replace(StripConfig.only("outer_ones"), digits=(2, 6))
    texts = [random_text(rng_of(seed), config) for seed in range(200)]
    assert all("1" in (text[0], text[-1]) for text in texts)
    assert {text[0] == "1" for text in texts} == {True, False}


def test_a_blank_page_says_nothing():
    assert random_text(rng_of(0), StripConfig.only("blank")) == ""


def test_tall_ones_are_taller_than_other_digits():
    config = StripConfig.only("tall")
    ratios = [heights(sizes(stems(2), [1, 7], rng_of(seed), config)) for seed in SEEDS]
    assert all(one >= other for one, other in ratios)
    assert max(one / other for one, other in ratios) > 1.25


@pytest.mark.parametrize("effect", ["letter", "stray"])
def test_a_sign_stands_clear_of_the_digits_before_or_after_them(effect):
    line = Line(stems(2), [])
    sides = set()
    for seed in SEEDS:
        written = beside(line, rng_of(seed), StripConfig.only(effect))
        (sign,) = written.others
        left, _, right, _ = line.box(others=False)
        after = sign[..., 0].min() > right
        assert after or sign[..., 0].max() < left
        sides.add(after)
    assert sides == {True, False}


def test_texts_show_every_digit():
    texts = "".join(random_text(rng_of(seed), StripConfig()) for seed in range(500))
    shares = np.bincount([int(letter) for letter in texts], minlength=10) / len(texts)
    assert shares.min() > 0.06


def test_amounts_have_one_to_seven_digits_no_leading_zero_and_often_round_ends():
    amounts = [amount(rng_of(seed)) for seed in range(500)]
    assert {len(text) for text in amounts} == set(range(1, 8))
    assert not any(text.startswith("0") for text in amounts)
    assert 0.1 < np.mean([text.endswith("000") for text in amounts]) < 0.3


# --- shapes


def test_any_of_finds_a_digit_however_rare(digits):
    rare = digits.where(np.flatnonzero((digits.labels == 1) | (np.arange(len(digits)) == 0)))
    label = int(digits.labels[0])
    assert any_of(label, rare, rng_of(0)) == 0
    assert all(digits.labels[any_of(7, digits, rng_of(seed))] == 7 for seed in SEEDS)


def test_alike_digits_have_one_shape_and_without_the_switch_many(digits):
    alike = shapes([3, 3, 3, 3], digits, rng_of(0), StripConfig.only("alike"))
    assert all(np.allclose(strokes, alike[0], atol=1e-5) for strokes in alike)
    other = shapes([3, 3, 3, 3], digits, rng_of(0), OFF)
    assert len({strokes.shape for strokes in other}) > 1


def test_upright_digits_lean_less_than_they_did(digits):
    def slants(config):
        ones = shapes([1] * 12, digits, rng_of(3), config)
        return [np.ptp(strokes[..., 0]) for strokes in ones]

    assert np.mean(slants(StripConfig.only("upright"))) < 0.7 * np.mean(slants(OFF))


# --- sizes


def test_sizes_change_nothing_where_all_is_off():
    assert same(sizes(stems(4), [1, 0, 0, 2], rng_of(0), OFF), stems(4))


def test_stretching_changes_widths_and_no_height():
    stretched = sizes(stems(4), [1, 2, 3, 4], rng_of(0), StripConfig.only("stretch"))
    np.testing.assert_allclose(heights(stretched), 1)
    assert (widths(stretched) != widths(stems(4))).all()


def test_uneven_digits_differ_in_height_and_keep_their_shape():
    uneven = sizes(stems(6), [1] * 6, rng_of(0), StripConfig.only("uneven"))
    assert np.ptp(heights(uneven)) > 0.03
    np.testing.assert_allclose(widths(uneven) / heights(uneven), 0.4, rtol=1e-4)


def test_small_zeros_are_small_stand_on_the_line_and_are_the_last_ones_at_least():
    for seed in SEEDS:
        small = sizes(stems(5), [0, 5, 0, 0, 0], rng_of(seed), StripConfig.only("small_zeros"))
        assert (heights(small)[2:] < 0.8).all()
        assert heights(small)[1] == pytest.approx(1)
        assert small[4][..., 1].max() == pytest.approx(0)


def test_raised_zeros_hang_above_the_line():
    config = StripConfig.only("small_zeros", "raised_zeros")
    raised = [sizes(stems(3), [5, 0, 0], rng_of(seed), config)[2] for seed in SEEDS]
    assert all(strokes[..., 1].max() < -0.03 for strokes in raised)
    assert all(strokes[..., 1].min() > -1.001 for strokes in raised)


def test_wide_zeros_are_wider_and_never_too_wide():
    for seed in SEEDS:
        wide = sizes(stems(2), [5, 0], rng_of(seed), StripConfig.only("wide_zeros"))
        assert widths(wide)[0] == widths(stems(1))[0]
        assert widths(wide)[1] > 1.1 * widths(stems(1))[0]
    huge = [stems(1)[0] * np.array([8, 1], np.float32)]
    assert widths(sizes(huge, [0], rng_of(0), OFF))[0] == pytest.approx(WIDEST)


# --- the line


def test_without_effects_digits_stand_on_one_line_apart_and_with_nothing_between():
    for seed in SEEDS:
        line = place(stems(6), [1] * 6, rng_of(seed), OFF)
        assert (gaps(line) > -0.3).all()
        assert all(strokes[..., 1].max() == 0 for strokes in line.digits)
        assert sum(len(other) for other in line.others) == 0


def test_overlapping_digits_touch_and_keep_their_order():
    for seed in SEEDS:
        line = place(stems(8), [1] * 8, rng_of(seed), StripConfig.only("overlap"))
        middles = [(strokes[..., 0].min() + strokes[..., 0].max()) / 2 for strokes in line.digits]
        assert (np.diff(middles) >= LEAST_ADVANCE - 1e-5).all()
        assert gaps(line).max() < 0.15


def test_spaced_digits_stand_farther_apart_than_others_do():
    widest = StripConfig().gaps[1]
    for seed in range(20):
        line = place(stems(8), [1] * 8, rng_of(seed), StripConfig.only("spaced"))
        middles = [float(strokes[..., 0].mean()) for strokes in line.digits]
        assert np.mean(np.diff(middles)) > widest


def test_drift_moves_digits_up_and_down():
    line = place(stems(6), [1] * 6, rng_of(0), StripConfig.only("drift"))
    assert np.std([strokes[..., 1].max() for strokes in line.digits]) > 0.003


def test_a_chain_joins_neighboring_zeros_and_no_other_digits():
    for seed in SEEDS:
        line = place(stems(5), [5, 0, 0, 0, 5], rng_of(seed), StripConfig.only("chain"))
        joined = [other for other in line.others if len(other)]
        assert len(joined) == 2
        assert (gaps(line)[1:3] < 0.05).all()


def test_connections_lie_between_all_neighbors():
    line = place(stems(5), [1] * 5, rng_of(0), StripConfig.only("connect"))
    assert len([other for other in line.others if len(other)]) == 4


def test_separators_stand_between_groups_from_the_right_and_make_room():
    marked = 0
    for seed in SEEDS:
        line = place(stems(7), [1] * 7, rng_of(seed), StripConfig.only("separator"))
        marks = [other for other in line.others if len(other)]
        marked += len(marks) in (1, 2)
        for mark in marks:
            x = mark[..., 0].mean()
            after = sum(strokes[..., 0].min() > x - 0.05 for strokes in line.digits)
            assert after in (2, 3, 6)
    assert marked > 0.5 * len(SEEDS)


def test_slashes_stand_between_groups_of_two_or_three():
    groups = set()
    for seed in SEEDS:
        line = place(stems(6), [1] * 6, rng_of(seed), StripConfig.only("slash"))
        feet = [mark[..., 0].min() for mark in line.others if len(mark)]
        groups.add(len(feet))
        for x in feet:
            assert sum(strokes[..., 0].min() > x for strokes in line.digits) in (2, 3, 4)
    assert groups == {1, 2}


def test_marks_alone_are_one_or_two():
    lines = [lone_marks(rng_of(seed), OFF) for seed in SEEDS]
    assert {len(line.digits) for line in lines} == {1, 2}
    assert not any(line.others for line in lines)


def test_short_strings_have_no_separators():
    for seed in SEEDS:
        line = place(stems(3), [1] * 3, rng_of(seed), StripConfig.only("separator", "slash"))
        assert not any(len(other) for other in line.others)


# --- beside the digits


def line_of(count):
    return place(stems(count), [1] * count, rng_of(0), OFF)


@pytest.mark.parametrize("effect", ["trailing", "leading", "currency", "underline"])
def test_what_stands_beside_is_added_once_and_leaves_the_digits_alone(effect):
    line = line_of(4)
    left, _, right, bottom = line.box(others=False)
    for seed in SEEDS:
        assert len(beside(line, rng_of(seed), OFF).others) == len(line.others)
        found = beside(line, rng_of(seed), StripConfig.only(effect))
        assert same(found.digits, line.digits)
        (added,) = found.others[len(line.others) :]
        if effect == "trailing":
            assert added[..., 0].min() > right - 0.1
        elif effect == "underline":
            assert added[..., 1].min() > bottom - 0.2
        else:
            assert added[..., 0].max() < left + 0.1


def test_leading_marks_and_currency_do_not_lie_on_each_other():
    line = line_of(4)
    for seed in SEEDS:
        found = beside(line, rng_of(seed), StripConfig.only("leading", "currency"))
        near, far = found.others[-2:]
        assert far[..., 0].max() < near[..., 0].min() + 0.2


# --- slant


def test_a_line_without_slant_is_left_as_it_is():
    line = line_of(4)
    assert same(lean(line, rng_of(0), OFF).digits, line.digits)


def test_a_slant_is_common_to_all_digits_and_mostly_to_the_right():
    tangents = []
    for seed in SEEDS:
        slanted = lean(line_of(4), rng_of(seed), StripConfig.only("slant"))
        tops = [
            strokes[0, 0, 0] - upright[0, 0, 0]
            for strokes, upright in zip(slanted.digits, line_of(4).digits, strict=True)
        ]
        assert np.ptp(tops) < 1e-4
        tangents.append(tops[0])
    assert np.mean(tangents) > 0
    assert min(tangents) > -0.21
    assert max(tangents) < 0.56


def test_leaning_is_each_digit_s_own():
    leaning = lean(line_of(4), rng_of(0), StripConfig.only("lean"))
    tops = [strokes[0, 0, 0] - strokes[-1, 1, 0] for strokes in leaning.digits]
    assert np.ptp(tops) > 0.01


def test_a_climbing_line_rises_or_falls_evenly():
    climbing = lean(line_of(5), rng_of(1), StripConfig.only("climb"))
    bases = np.array([strokes[-1, 1] for strokes in climbing.digits])
    slopes = np.diff(bases[:, 1]) / np.diff(bases[:, 0])
    assert np.ptp(slopes) < 1e-4
    assert slopes[0] != 0


# --- the whole


def test_a_written_line_has_a_digit_s_strokes_for_every_letter(digits):
    for seed in SEEDS:
        line = write("1234567890", digits, rng_of(seed), StripConfig())
        assert isinstance(line, Line)
        assert len(line.digits) == 10
        assert all(len(strokes) for strokes in line.digits)
        assert all(np.isfinite(strokes).all() for strokes in [*line.digits, *line.others])

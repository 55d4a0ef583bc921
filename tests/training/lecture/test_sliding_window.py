import numpy as np
import pytest

from training.lecture import cutting, shipped
from training.lecture.changes import CHANGES
from training.lecture.frames import found
from training.lecture.readers import GAPS, string
from training.lecture.sliding_window import multiplications, positions, stands, windows
from training.networks import NONE
from training.pages.augment import ink_columns


@pytest.fixture(scope="module")
def net():
    return shipped.network()


@pytest.fixture
def four(validation):
    return shipped.choose(validation, "4058", np.random.default_rng(3))


def test_the_multiplications_of_a_window_are_those_one_would_count():
    by_layer = [28 * 28 * 20 * 25, 10 * 10 * 50 * 20 * 25, 500 * 50 * 25, 11 * 500]
    assert multiplications(32) == sum(by_layer) == 3_522_500


def test_a_strip_of_64_pixels_has_9_windows():
    assert positions(64) == len(windows(np.zeros((32, 64), np.uint8))) == 9


def test_many_windows_cost_three_times_one_pass_in_the_limit():
    ratio = positions(4096) * multiplications(32) / multiplications(4096)
    assert ratio == pytest.approx(2.98, abs=0.02)


@pytest.mark.parametrize("gap", [6, 0, -3])
def test_a_string_s_digits_stand_as_far_apart_as_requested(four, gap):
    pair = string(four[:2], gap)
    alone = sum(last - first for first, last in map(ink_columns, four[:2]))
    first, last = ink_columns(pair)
    assert last - first == alone + gap


def test_apart_every_digit_is_one_piece_and_touching_they_are_not(four):
    assert len(cutting.components(string(four, 4))) == 4
    assert len(cutting.components(string(four, -4))) < 4


def test_a_roof_belongs_to_its_five():
    page = np.zeros((32, 40), np.uint8)
    page[6:8, 14:24] = 255
    page[12:24, 12:20] = 255
    assert len(cutting.components(page)) == 1


def test_a_wide_piece_is_cut_where_its_ink_is_thinnest():
    page = np.zeros((32, 60), np.uint8)
    page[8:24, 10:24] = 255
    page[15:17, 24:27] = 255
    page[8:24, 27:41] = 255
    (span, alone), *rest = cutting.components(page)
    assert not rest
    spans = cutting.thinnest(alone, span, height=16)
    assert len(spans) == 2
    assert 24 <= spans[0][1] == spans[1][0] <= 27


def test_nothing_but_specks_gives_no_characters(net):
    page = np.zeros((32, 60), np.uint8)
    page[3, 4] = page[20, 40] = 255
    assert cutting.read(net, page, cut_wide=True) == ""


def test_a_character_stands_in_the_middle_of_its_window(four):
    for window in cutting.characters(string(four, 4), cut_wide=False):
        assert window.shape == (32, 32)
        first, last = ink_columns(window)
        assert abs((first + last) / 2 - 16) <= 1


def test_cutters_read_what_stands_apart(net, four):
    assert cutting.read(net, string(four, 5), cut_wide=True) == "4058"


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_a_change_by_nothing_changes_nothing(change, four):
    page = string(four, 3)
    unchanged = change.apply(page, change.nothing, np.random.default_rng(1))
    np.testing.assert_array_equal(unchanged, page)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_the_amounts_go_past_what_was_learned_on_both_sides(change):
    assert change.nothing in change.amounts
    assert min(change.amounts) <= change.learned[0] <= change.learned[1] <= max(change.amounts)


def test_sliding_moves_the_ink_and_thickening_adds_some(four):
    changes = {change.name: change for change in CHANGES}
    rng = np.random.default_rng(1)
    page = shipped.lay(four[:1], [32], 96)
    first, _ = ink_columns(page)
    assert ink_columns(changes["slide"].apply(page, 7, rng))[0] == first + 7
    thin, thick = (
        changes["thicken"].apply(page, amount, rng).sum(dtype=int) for amount in (-0.5, 0.5)
    )
    assert thin < page.sum(dtype=int) < thick


def test_a_range_stands_where_accuracy_holds_on_both_sides_of_no_change():
    of = {"amounts": [-2, -1, 0, 1, 2], "surest": [0.99, 0.5, 1.0, 0.97, 0.96]}
    assert stands(of, "surest", 0, 0.95) == (0, 2)


def test_runs_of_positions_are_found_where_a_digit_is_ahead():
    chances = np.full((6, NONE + 1), 0.01)
    chances[[0, 3, 5], NONE] = 0.9
    chances[[1, 2], 7] = 0.9
    chances[4, 2] = 0.6
    assert [(label, round(at, 6)) for label, at, _ in found(chances)] == [(7, 1.5), (2, 4)]


def test_one_pass_says_what_every_window_says_and_costs_less(quick):
    for width, count, arithmetic, _, apart in quick.figures(7)["cost"]:
        assert count == positions(int(width))
        assert apart < 1e-3
        assert arithmetic > 1 or width == 32


def test_sliding_reads_touching_digits_better_than_cutting(quick):
    strings = quick.figures(7)["strings"]
    touching = GAPS.index(0)
    assert strings["slide"][touching] > strings["pieces"][touching]
    assert strings["slide"][touching] > strings["cut"][touching]

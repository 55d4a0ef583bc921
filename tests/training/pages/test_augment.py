import dataclasses

import numpy as np
import pytest

from training.config import Config
from training.pages.augment import (
    APART,
    INK,
    blank,
    distort,
    elastic,
    flank,
    ink_columns,
    noise,
    rotate,
    scale,
    sharpen,
    shift,
    slant,
    stroke,
    uncentered,
    warp,
)

SEEDS = range(40)

FUNCTIONS = {
    "shift": shift,
    "scale": scale,
    "slant": slant,
    "rotate": rotate,
    "stroke": stroke,
    "elastic": elastic,
    "sharpen": sharpen,
    "distort": lambda image, rng: distort(image, rng, Config()),
    "flank": lambda image, rng: flank(image, rng, [image, image]),
    "uncentered": lambda image, rng: uncentered(rng, [image, image]),
    "blank": lambda _, rng: blank(rng),
    "noise": lambda _, rng: noise(rng),
}


def rng_of(seed):
    return np.random.default_rng(seed)


def bar(columns, rows=(6, 26)):
    image = np.zeros((32, 32), np.uint8)
    image[slice(*rows), slice(*columns)] = 255
    return image


def ink(image):
    return image.sum(dtype=np.int64)


def center_of_mass(image):
    rows, columns = np.mgrid[0:32, 0:32]
    return np.array([(image * columns).sum(), (image * rows).sum()]) / ink(image)


def tilt(image):
    """Pixels to the right per pixel downwards."""
    rows, columns = np.mgrid[0:32, 0:32].astype(float)
    x, y = center_of_mass(image)
    return (image * (columns - x) * (rows - y)).sum() / (image * (rows - y) ** 2).sum()


@pytest.fixture(scope="module")
def digit(mnist5k):
    return mnist5k.images[2600]  # a five


@pytest.fixture(params=FUNCTIONS.values(), ids=FUNCTIONS.keys())
def augmentation(request):
    return request.param


# --- what all have in common


def test_equal_seeds_give_equal_images_and_others_do_not(augmentation, digit):
    images = [augmentation(digit, rng_of(seed)) for seed in SEEDS]
    again = [augmentation(digit, rng_of(seed)) for seed in SEEDS]
    np.testing.assert_array_equal(images, again)
    assert len({image.tobytes() for image in images}) > 10


def test_the_digit_passed_in_is_left_as_it_was(augmentation, digit):
    before = digit.copy()
    for seed in SEEDS:
        result = augmentation(digit, rng_of(seed))
        assert not np.shares_memory(result, digit)
    np.testing.assert_array_equal(digit, before)


def test_an_image_keeps_its_shape_and_type(augmentation, digit):
    for seed in SEEDS:
        result = augmentation(digit, rng_of(seed))
        assert result.shape == (32, 32)
        assert result.dtype == np.uint8


# --- one by one


def test_shift_moves_the_digit_and_never_past_its_limits(digit):
    moves = np.array(
        [
            center_of_mass(shift(digit, rng_of(seed), across=2, along=3)) - center_of_mass(digit)
            for seed in SEEDS
        ]
    )
    assert (np.abs(moves) <= [2.1, 3.1]).all()
    assert (moves.min(axis=0) < [-1, -1.5]).all()
    assert (moves.max(axis=0) > [1, 1.5]).all()


def test_shift_by_nothing_changes_nothing(digit):
    np.testing.assert_array_equal(shift(digit, rng_of(0), across=0, along=0), digit)


def test_scale_changes_height_and_width_within_their_spreads():
    sizes = []
    for seed in SEEDS:
        scaled = scale(bar((11, 21)), rng_of(seed), spread=0.15, stretch=0.25) / 255
        sizes.append([scaled[:, 16].sum() / 20, scaled[16].sum() / 10])
    heights, widths = np.array(sizes).T
    stretches = widths / heights
    for factors, spread in ((heights, 0.15), (stretches, 0.25)):
        assert (np.abs(factors - 1) <= spread + 0.02).all()
        assert factors.min() < 1 - spread / 2
        assert factors.max() > 1 + spread / 2


def test_warp_with_a_positive_shear_tilts_the_foot_to_the_right():
    for shear in (-0.2, 0.2):
        sheared = warp(bar((14, 18)), np.array([[1, shear, 0], [0, 1, 0], [0, 0, 1]]))
        assert tilt(sheared) == pytest.approx(shear, abs=0.01)


def test_warp_moves_by_its_translation():
    moved = warp(bar((14, 18)), np.array([[1, 0, 3], [0, 1, -2], [0, 0, 1]]))
    np.testing.assert_array_equal(moved, bar((17, 21), rows=(4, 24)))


@pytest.mark.parametrize(
    ("turn", "limit"), [(slant, 0.25), (rotate, np.tan(np.radians(10)))], ids=["slant", "rotate"]
)
def test_slant_and_rotate_tilt_either_way_within_the_limit_round_the_center(turn, limit):
    turned = [turn(bar((14, 18)), rng_of(seed)) for seed in SEEDS]
    tilts = np.array([tilt(image) for image in turned])
    assert (np.abs(tilts) <= limit + 0.01).all()
    assert tilts.min() < -limit / 2
    assert tilts.max() > limit / 2
    for image in turned:
        np.testing.assert_allclose(center_of_mass(image), [15.5, 15.5], atol=0.1)


def test_slant_keeps_the_height_and_rotate_keeps_the_ink():
    upright = bar((14, 18))
    for seed in SEEDS:
        rows = np.flatnonzero((slant(upright, rng_of(seed)) >= INK).any(axis=1))
        assert (rows[0], rows[-1]) == (6, 25)
        assert ink(rotate(upright, rng_of(seed))) == pytest.approx(ink(upright), rel=0.02)


def test_stroke_thickens_and_thins(digit):
    amounts = np.array([ink(stroke(digit, rng_of(seed))) for seed in SEEDS]) / ink(digit)
    assert amounts.min() < 0.9
    assert amounts.max() > 1.2


@pytest.mark.parametrize("strength", [0.6, 1.0])
@pytest.mark.parametrize("line", [bar((16, 17)), bar((8, 24), rows=(16, 17)), np.diag([255] * 32)])
def test_stroke_never_erases_a_line_of_one_pixel(line, strength):
    line = line.astype(np.uint8)
    for seed in SEEDS:
        assert (stroke(line, rng_of(seed), strength)[line > 0] >= INK).all()


def test_elastic_displaces_ink_and_leaves_the_digit_centered(digit):
    bent = [elastic(digit, rng_of(seed)) for seed in range(200)]
    moves = np.array([center_of_mass(image) - center_of_mass(digit) for image in bent])
    assert np.abs(moves.mean(axis=0)).max() < 0.2  # to no side in particular
    assert np.hypot(*moves.T).mean() < 2
    changed = [np.abs(image.astype(int) - digit).mean() for image in bent]
    assert min(changed) > 1


def test_elastic_keeps_the_middle_of_the_window_in_place():
    point = bar((15, 17), rows=(15, 17))
    moves = [
        center_of_mass(image) - 15.5
        for image in (elastic(point, rng_of(seed)) for seed in SEEDS)
        if image.any()
    ]
    assert len(moves) == len(SEEDS)
    assert np.abs(moves).max() < 0.5


def test_sharpen_darkens_faint_gray_brightens_strong_and_keeps_their_order():
    ramp = np.arange(1024, dtype=np.uint32).reshape(32, 32) // 4
    ramp = ramp.astype(np.uint8)
    for seed in SEEDS:
        sharp = sharpen(ramp, rng_of(seed)).astype(int)
        assert (sharp[ramp < 127] <= ramp[ramp < 127]).all()
        assert (sharp[ramp > 128] >= ramp[ramp > 128] - 1).all()  # levels are cut to whole ones
        assert (np.diff(sharp.flat) >= 0).all()


def test_distort_leaves_the_config_s_share_of_digits_plain(digit):
    for share in (0.0, 0.2, 1.0):
        config = dataclasses.replace(Config(), plain=share)
        plain = [(distort(digit, rng_of(seed), config) == digit).all() for seed in range(300)]
        assert np.mean(plain) == pytest.approx(share, abs=0.06 if 0 < share < 1 else 0)


@pytest.mark.parametrize("plain", [0.0, 1.0])
def test_distort_sets_the_digit_where_it_is_placed(digit, plain):
    config = dataclasses.replace(Config(), plain=plain)
    place = np.array([[1, 0, 3], [0, 1, -2], [0, 0, 1]])
    moves = [
        center_of_mass(distort(digit, rng_of(seed), config, place))
        - center_of_mass(distort(digit, rng_of(seed), config))
        for seed in SEEDS
    ]
    # Elastic change acts on the page, so a digit placed elsewhere is bent otherwise.
    np.testing.assert_allclose(np.mean(moves, axis=0), [3, -2], atol=0.5)


# --- neighbors


def test_flank_keeps_the_digit_s_own_ink(digit, mnist5k):
    for seed in SEEDS:
        window = flank(digit, rng_of(seed), [mnist5k.images[seed], mnist5k.images[-seed]])
        assert (window >= digit).all()


@pytest.mark.parametrize(
    ("neighbors", "left", "right"), [(0, False, False), (1, False, True), (2, True, True)]
)
def test_flank_puts_the_first_neighbor_right_and_the_second_left(neighbors, left, right):
    digit = bar((12, 20))
    for seed in SEEDS:
        window = flank(digit, rng_of(seed), [digit] * neighbors, gaps=(1, 8))
        assert window[:, :12].any() == left
        assert window[:, 20:].any() == right


@pytest.mark.parametrize(
    ("gap", "starts_at"), [(8, 28), (3, 23), (0, 20), (-1, 19), (-3, 17), (-20, 17)]
)
def test_flank_leaves_the_requested_gap_touches_at_0_and_overlaps_below(gap, starts_at):
    digit, neighbor = bar((12, 20), rows=(4, 12)), bar((12, 20), rows=(20, 28))
    window = flank(digit, rng_of(0), [neighbor, neighbor], gaps=(gap, gap))
    columns = np.flatnonzero(window[20:28].any(axis=0))
    # Both sides alike; the neighbors' middle stays more than a stride from the window's.
    expected = np.zeros(32, bool)
    expected[starts_at:][:8] = True
    expected |= expected[::-1]
    assert columns.tolist() == np.flatnonzero(expected).tolist()
    np.testing.assert_array_equal(window[4:12], digit[4:12])


def test_flank_never_centers_a_neighbor():
    digit = bar((15, 17), rows=(4, 12))
    neighbor = bar((15, 17), rows=(20, 28))
    for seed in SEEDS:
        window = flank(digit, rng_of(seed), [neighbor, neighbor], gaps=(-30, -10))
        columns = np.flatnonzero(window[20:28].any(axis=0)) + 0.5
        assert len(columns) == 4
        assert (np.abs(columns - 16) > APART - 0.5).all()


# --- nothing centered


def test_a_blank_window_is_even_paper_without_ink():
    for seed in SEEDS:
        window = blank(rng_of(seed))
        assert window.min() == window.max() < INK


def test_noise_leaves_most_of_the_window_without_ink():
    shares = [(noise(rng_of(seed)) >= INK).mean() for seed in range(300)]
    assert 0 < max(shares) < 0.25


def test_noise_has_windows_with_grain_alone_and_windows_with_marks():
    marked = [noise(rng_of(seed)).max() >= 200 for seed in range(300)]
    assert 0.2 < np.mean(marked) < 0.8


@pytest.mark.parametrize("count", [1, 2])
def test_uncentered_keeps_every_digit_apart_from_the_middle(count):
    column = bar((15, 17))  # its center is exactly the window's
    for seed in range(200):
        columns = np.flatnonzero((uncentered(rng_of(seed), [column] * count) >= INK).any(axis=0))
        assert (np.abs(columns + 0.5 - 16) >= APART).all()  # even the column nearer the middle


def test_uncentered_puts_one_digit_on_either_side_and_the_second_on_the_other():
    column = bar((15, 17))

    def sides(seed, count):
        first, last = ink_columns(uncentered(rng_of(seed), [column] * count))
        return first < 16 < last, first < 16, last > 16

    alone = [sides(seed, 1) for seed in range(100)]
    assert not any(both for both, *_ in alone)
    assert 20 < sum(left for _, left, _ in alone) < 80
    assert sum(both for both, *_ in (sides(seed, 2) for seed in range(100))) > 20


def test_ink_columns_are_the_first_with_ink_and_the_one_past_the_last():
    image = bar((9, 21))
    assert ink_columns(image) == (9, 21)
    image[:, 25] = INK - 1  # paper still
    assert ink_columns(image) == (9, 21)
    image[3, 25] = INK
    assert ink_columns(image) == (9, 26)


def test_ink_columns_of_a_blank_window_are_its_middle():
    assert ink_columns(np.zeros((32, 32), np.uint8)) == (16, 16)

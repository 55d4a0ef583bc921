import cv2
import numpy as np
import pytest

from training.errors import DatasetError
from training.pages.hands import (
    BOX,
    SOURCES,
    THIN,
    HandSource,
    boxed,
    cleaned,
    hand_digit,
    joined,
    load_hands,
    read_hand,
)

PLAIN = HandSource("plain", 1.0)


def rng_of(seed):
    return np.random.default_rng(seed)


def ring(side=28, shift=(0, 0), radius=8):
    image = np.zeros((side, side), np.uint8)
    center = (side // 2 + shift[0], side // 2 + shift[1])
    cv2.circle(image, center, radius, 255, 2, cv2.LINE_AA)
    return image


def extent(image, axis):
    inked = np.flatnonzero((image > 60).any(axis=axis))
    return inked[-1] - inked[0] + 1


def center_of_mass(image):
    y, x = np.mgrid[0:32, 0:32] + 0.5
    return (image * x).sum() / image.sum(), (image * y).sum() / image.sum()


@pytest.fixture
def folder(tmp_path, digits):
    """Files as the real ones are: dark on light, and stretched bitmaps."""
    images, labels = digits.images[:, 2:30, 2:30], digits.labels
    np.savez(tmp_path / "bhmsds.npz", x=255 - images, y=labels)
    small = np.stack([cv2.resize(image[4:24, 4:24], (16, 16)) for image in images])
    np.savez(tmp_path / "semeion.npz", x=small, y=labels)
    return tmp_path


@pytest.mark.parametrize("shift", [(0, 0), (5, -4)])
@pytest.mark.parametrize("radius", [5, 8])
def test_a_digit_fills_mnist_s_box_round_its_center_of_mass(shift, radius):
    digit = boxed(ring(shift=shift, radius=radius))
    assert digit.shape == (32, 32)
    assert abs(extent(digit, axis=1) - BOX) <= 2
    assert np.allclose(center_of_mass(digit.astype(float)), 16, atol=0.3)


def test_a_digit_that_was_stretched_gets_a_width_again():
    digit = boxed(ring(), aspect=0.5)
    assert extent(digit, axis=1) == pytest.approx(BOX, abs=2)
    assert extent(digit, axis=0) == pytest.approx(BOX / 2, abs=2)


def test_a_one_that_has_become_a_block_is_a_stroke_again():
    source = HandSource("bitmaps", 1.0, stretched=True)
    digit = hand_digit(np.full((16, 16), 255, np.uint8), 1, source, rng_of(0))
    assert extent(digit, axis=0) <= 8


def test_faint_pencil_on_gray_paper_becomes_ink_on_nothing():
    page = np.full((28, 28), 215, np.uint8)
    page[ring() > 100] = 180
    page[2, 2] = 190  # a speck
    ink = cleaned(255 - page)
    assert ink.max() > 200
    assert ink[2, 2] == 0
    assert np.median(ink) == 0


def test_thin_strokes_are_redrawn_as_wide_as_mnist_s():
    thin = np.zeros((80, 80), np.uint8)
    cv2.ellipse(thin, (40, 40), (14, 36), 0, 0, 360, 255, 1, cv2.LINE_AA)
    assert np.count_nonzero(boxed(thin) > 128) < THIN
    for seed in range(5):
        digit = hand_digit(thin, 0, PLAIN, rng_of(seed))
        assert np.count_nonzero(digit > 128) > THIN


def test_an_empty_image_is_no_digit():
    assert boxed(np.zeros((28, 28), np.uint8)) is None
    assert hand_digit(np.zeros((28, 28), np.uint8), 3, PLAIN, rng_of(0)) is None


def test_a_folder_s_files_are_read_parted_and_known_by_name(folder, digits):
    hands = load_hands(folder)
    assert hands.names == ("bhmsds", "semeion")
    learned = sum(len(part) for _, part in hands.training)
    assert learned + len(hands.held_out) > 1.9 * len(digits)
    assert 0.04 < len(hands.held_out) / (learned + len(hands.held_out)) < 0.14


def test_the_same_digits_come_of_the_same_folder(folder):
    first, second = load_hands(folder), load_hands(folder)
    for (_, one), (_, other) in zip(first.training, second.training, strict=True):
        np.testing.assert_array_equal(one.images, other.images)


def test_other_hands_are_half_of_all_by_source_with_even_classes(folder, training):
    hands = load_hands(folder)
    mix = hands.beside(training, seed=1)
    assert len(mix) == pytest.approx(2 * len(training), rel=0.05)
    np.testing.assert_array_equal(mix.images[: len(training)], training.images)
    counts = np.bincount(mix.labels[len(training) :], minlength=10)
    assert np.ptp(counts) == 0


def test_every_source_names_its_license_and_shares_sum_to_1():
    assert all(source.license for source in SOURCES)
    assert sum(source.share for source in SOURCES) == pytest.approx(1)


def test_sets_are_joined_in_order(training, validation):
    both = joined([training, validation])
    assert len(both) == len(training) + len(validation)
    np.testing.assert_array_equal(both.images[len(training) :], validation.images)


def test_a_folder_without_known_files_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"expected one of bhmsds\.npz.*found none"):
        load_hands(tmp_path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((3, 28), np.uint8), "y": np.zeros(3)}, "digits, height, width"),
        ({"x": np.zeros((3, 28, 28), np.uint8), "y": np.zeros(2)}, "digits, height, width"),
        ({"x": np.zeros((3, 28, 28)), "y": np.zeros(3)}, "float64"),
        ({"x": np.zeros((1, 28, 28), np.uint8), "y": np.array([12])}, "labels of 0 to 9"),
        ({"x": np.zeros((1, 28, 28), np.uint8), "y": np.array([2])}, "found no ink"),
        ({"images": np.zeros(3)}, "archive of x and y"),
    ],
)
def test_a_damaged_file_is_refused_by_what_was_seen(tmp_path, arrays, message):
    np.savez(tmp_path / "bhmsds.npz", **arrays)
    with pytest.raises(DatasetError, match=message):
        read_hand(tmp_path / "bhmsds.npz", PLAIN, rng_of(0))


def test_bytes_that_are_no_archive_are_refused(tmp_path):
    (tmp_path / "bhmsds.npz").write_bytes(b"no archive")
    with pytest.raises(DatasetError, match="expected an archive"):
        load_hands(tmp_path)

import numpy as np
import pytest

from training.lecture.small import SIDE, draw_classes, fill, four_places, many_hands


def page(rows, columns):
    image = np.zeros((1, 32, 32), np.uint8)
    image[0, rows, columns] = 255
    return image


def test_a_digit_fills_the_square_and_keeps_its_proportions():
    tall = fill(page(slice(4, 28), slice(10, 16)))[0]  # 24 high, 6 wide
    assert (tall == 1).any(1).sum() == SIDE
    assert (tall == 1).any(0).sum() == 4
    flat = fill(page(slice(4, 10), slice(4, 28)))[0]
    assert ((flat == 1).any(1).sum(), (flat == 1).any(0).sum()) == (4, SIDE)


def test_a_window_without_ink_stays_paper():
    assert (fill(np.zeros((2, 32, 32), np.uint8)) == -1).all()


def test_classes_are_drawn_evenly_without_replacement(digits):
    drawn = draw_classes(digits, 20, np.random.default_rng(1))
    assert np.bincount(drawn.labels).tolist() == [20] * 10
    assert len({image.tobytes() for image in drawn.images}) == 200


def test_many_hands_gives_320_and_160_different_digits(mnist5k):
    half = np.arange(len(mnist5k)) % 2 == 0
    made = many_hands(mnist5k.where(half), mnist5k.where(~half), np.random.default_rng(1))
    images, labels, test_images, test_labels = made
    assert images.shape == (320, SIDE, SIDE)
    assert test_images.shape == (160, SIDE, SIDE)
    assert np.bincount(labels).tolist() == [32] * 10
    assert np.bincount(test_labels).tolist() == [16] * 10


def test_four_places_moves_each_of_120_drawings_and_parts_them_at_random(mnist5k):
    images, labels, test_images, test_labels = four_places(mnist5k, np.random.default_rng(1))
    assert (len(images), len(test_images)) == (320, 160)
    assert np.bincount(labels).tolist() == [32] * 10
    assert np.bincount(test_labels).tolist() == [16] * 10
    every = np.concatenate([images, test_images])
    assert set(np.unique(every)) == {-1, 1}
    # Moved to the left edge of its ink, each drawing is there four times.
    shapes = [np.roll(each, -int((each == 1).any(0).argmax()), axis=1).tobytes() for each in every]
    assert len(set(shapes)) <= 120
    assert min(shapes.count(shape) for shape in set(shapes)) >= 4


def test_the_sets_are_the_seed_s(mnist5k):
    first, again, other = (
        four_places(mnist5k, np.random.default_rng(seed))[0] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("width", [13, 16])
def test_nothing_leaves_the_square(width):
    rng = np.random.default_rng(2)
    images = (rng.random((20, 32, 32)) > 0.9).astype(np.uint8) * 255
    filled = fill(images, width)
    assert filled.shape == (20, SIDE, width)
    assert filled.min() >= -1
    assert filled.max() <= 1

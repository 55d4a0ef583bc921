import numpy as np
import pytest

from training.pages import paper

SEEDS = range(20)
SHAPE = (50, 160)
EFFECTS = [
    paper.guilloche,
    paper.texture,
    lambda page, rng, share: paper.rules(page, rng, share, 10, 40),
    paper.box,
    paper.frame,
    paper.fold,
    paper.print_marks,
    paper.light,
    paper.coarse,
    paper.blur,
    paper.noise,
]
NAMES = [
    "guilloche",
    "texture",
    "rules",
    "box",
    "frame",
    "fold",
    "print_marks",
    "light",
    "coarse",
    "blur",
    "noise",
]


def rng_of(seed):
    return np.random.default_rng(seed)


def even():
    return np.full(SHAPE, 200, np.float32)


def written():
    page = even()
    page[10:40, 30:34] = 40
    return page


def darkened(page):
    return even() - page > 20


@pytest.mark.parametrize("effect", EFFECTS, ids=NAMES)
def test_an_effect_changes_the_page_where_it_is_on_and_leaves_it_alone_where_it_is_off(effect):
    for seed in SEEDS:
        page = written()
        assert effect(page, rng_of(seed), 0) is page
        changed = effect(page, rng_of(seed), 1)
        assert changed.shape == page.shape
        assert changed.dtype == np.float32
        assert (changed != page).any()
        np.testing.assert_array_equal(page, written())  # its input is never written on


def test_paper_is_light_or_for_a_share_of_pages_gray():
    assert all(paper.sheet(SHAPE, rng_of(seed), 0)[0, 0] >= 170 for seed in SEEDS)
    assert all(paper.sheet(SHAPE, rng_of(seed), 1)[0, 0] <= 165 for seed in SEEDS)


def test_guilloche_is_fine_lines_that_come_again_every_few_pixels():
    for seed in SEEDS:
        page = paper.guilloche(even(), rng_of(seed), 1)
        assert page.min() < even().min() - 5
        assert np.median(np.abs(np.diff(page, axis=0)).max(axis=0)) > 0.5


def test_a_rule_lies_above_or_below_the_digits_from_end_to_end():
    for seed in SEEDS:
        dark = darkened(paper.rules(even(), rng_of(seed), 1, 10, 40))
        assert not dark[14:35].any()
        assert dark.any(axis=0).all()


def test_a_box_s_edge_stands_at_one_end_from_top_to_bottom():
    for seed in SEEDS:
        dark = darkened(paper.box(even(), rng_of(seed), 1))
        assert not dark[:, 10:-10].any()
        assert dark[4:-4].any(axis=1).all()


def test_a_fold_runs_from_edge_to_edge_and_is_thin():
    for seed in SEEDS:
        lines = darkened(paper.fold(even(), rng_of(seed), 1))
        across, down = lines.any(axis=0).mean(), lines.any(axis=1).mean()
        if lines.any():  # others are too light, or lie beyond the page for the most part
            assert max(across, down) > 0.4
            assert lines.mean() < 0.12


def test_small_print_stays_at_the_border():
    for seed in SEEDS:
        dark = darkened(paper.print_marks(even(), rng_of(seed), 1))
        assert not dark[6:-6].any()
        assert dark.any()


def test_uneven_light_keeps_the_page_s_level_within_a_quarter():
    for seed in SEEDS:
        lit = paper.light(even(), rng_of(seed), 1)
        assert np.abs(lit / even() - 1).max() < 0.35


def test_ink_is_darker_than_paper_and_pale_ink_less_so():
    cover = np.zeros(SHAPE, np.float32)
    cover[20:30] = 1
    for seed in SEEDS:
        black = paper.lay_ink(even(), cover, rng_of(seed), 0, 0)
        pale = paper.lay_ink(even(), cover, rng_of(seed), 0, 1)
        assert black[25].max() < pale[25].min() < 160
        assert (black[:20] == 200).all()


def test_pressure_makes_ink_and_pen_uneven_and_is_off_at_0():
    cover = np.ones(SHAPE, np.float32)
    assert paper.pen_width(SHAPE, 3.0, rng_of(0), 0) == 3.0
    assert np.std(paper.pen_width(SHAPE, 3.0, rng_of(0), 1)) > 0.05
    assert paper.lay_ink(even(), cover, rng_of(0), 0, 0).std() < 1e-3
    assert max(paper.lay_ink(even(), cover, rng_of(seed), 1, 0).std() for seed in SEEDS) > 1


def test_lost_resolution_and_blur_soften_edges():
    for effect in (paper.coarse, paper.blur):
        for seed in SEEDS:
            assert (np.abs(np.diff(effect(written(), rng_of(seed), 1)[25])) < 158).all()


def test_jpeg_changes_gray_levels_a_little_and_the_size_never():
    page = written().astype(np.uint8)
    for seed in SEEDS:
        assert paper.jpeg(page, rng_of(seed), 0) is page
        packed = paper.jpeg(page, rng_of(seed), 1)
        assert packed.shape == page.shape
        assert (packed != page).any()
        assert np.abs(packed.astype(int) - page).mean() < 10


def test_a_frame_has_no_upright_lines_where_they_would_be_ones():
    for seed in SEEDS:
        framed = paper.frame(even(), rng_of(seed), 1, upright=False)
        assert not darkened(framed)[12:38].all(axis=0).any()


def test_a_frame_s_upright_lines_run_the_whole_height():
    columns = [
        darkened(paper.frame(even(), rng_of(seed), 1)).all(axis=0).any() for seed in range(60)
    ]
    assert 0.2 < np.mean(columns) < 0.9


def test_white_paper_is_white():
    assert (paper.sheet(SHAPE, rng_of(0), 1, 1) == 255).all()

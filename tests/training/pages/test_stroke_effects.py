import numpy as np
import pytest

from training.pages import stroke_effects
from training.pages.glyphs import curve

SEEDS = range(20)


def rng_of(seed):
    return np.random.default_rng(seed)


def stem():
    return stroke_effects.stand(curve([(0.1, -1), (0.1, -0.5), (0.1, 0)]))


def seven():
    return stroke_effects.stand(
        np.concatenate([curve([(0, -1), (0.25, -1), (0.5, -1)]), curve([(0.5, -1), (0.3, 0)])])
    )


def box_of(strokes):
    flat = strokes.reshape(-1, 2)
    return *flat.min(axis=0), *flat.max(axis=0)


def middles(strokes):
    return strokes.mean(axis=1)


# --- tracing


def test_thinning_leaves_a_line_one_pixel_wide_in_the_middle():
    ink = np.zeros((20, 40), np.uint8)
    ink[8:13, 5:35] = 1
    thinned = stroke_effects.thin(ink)
    assert (thinned <= ink).all()
    assert (thinned.sum(axis=0)[9:31] == 1).all()
    assert (thinned[10, 9:31] == 1).all()


def test_thinning_leaves_a_ring_closed():
    rows, columns = np.mgrid[0:40, 0:40]
    radius = np.hypot(rows - 20, columns - 20)
    thinned = stroke_effects.thin(((radius > 9) & (radius < 15)).astype(np.uint8))
    angles = np.degrees(np.arctan2(*(np.argwhere(thinned) - 20).T))
    assert np.diff(np.sort(angles)).max() < 10


def test_a_traced_digit_stands_on_the_line_about_one_high(digits):
    labels = digits.labels[:60].tolist()
    traced = [
        strokes for strokes in stroke_effects.trace(digits.images[:60], labels) if len(strokes)
    ]
    assert len(traced) > 45
    boxes = np.array([box_of(strokes) for strokes in traced])
    assert np.abs(boxes[:, 0]).max() < 1e-6
    assert np.abs(boxes[:, 3]).max() < 1e-6
    assert 0.9 < -np.median(boxes[:, 1]) < 1.1


def test_traced_strokes_lie_on_the_digit_s_own_ink(digits):
    labels = digits.labels[:40].tolist()
    for image, strokes in zip(
        digits.images, stroke_effects.trace(digits.images[:40], labels), strict=False
    ):
        if not len(strokes):
            continue
        drawn_again = (
            stroke_effects.ink(
                [strokes * (stroke_effects.DIGIT / stroke_effects.FINE) + (8, 26)], (40, 60), 2.0
            )
            > 0.5
        )
        ink = np.pad(image, ((20, 28), (28, 40))) > 60
        rows, columns = np.nonzero(drawn_again)
        # Where the digit stood is not known any more: the best of all places must fit.
        best = max(
            ink[rows + dy, columns + dx].mean() for dy in range(12, 30) for dx in range(24, 44)
        )
        assert best > 0.75


def test_a_digit_whose_loop_has_run_full_has_no_strokes():
    rows, columns = np.mgrid[0:32, 0:32]
    radius = np.hypot(rows - 20, columns - 16)
    ring = np.where((radius > 3.5) & (radius < 6.5), 255, 0).astype(np.uint8)
    full = np.where(radius < 6.5, 255, 0).astype(np.uint8)
    for image in (ring, full):
        image[5:18, 10:12] = 255
    open_loop, run_full = stroke_effects.trace(np.stack([ring, full]), [6, 6])
    assert len(open_loop) > 0
    assert len(run_full) == 0


# --- effects on one digit


@pytest.mark.parametrize(
    ("effect", "digit"),
    [
        (stroke_effects.flag, 1),
        (stroke_effects.foot, 1),
        (stroke_effects.bar, 7),
        (stroke_effects.long_bar, 5),
        (stroke_effects.curl, 2),
        (stroke_effects.closed, 2),
        (stroke_effects.hook, 9),
    ],
)
def test_a_stroke_is_added_to_its_digit_alone_and_only_where_switched_on(effect, digit):
    strokes = seven()
    for seed in SEEDS:
        assert effect(strokes, digit, rng_of(seed), 0) is strokes
        assert len(effect(strokes, digit, rng_of(seed), 1)) > len(strokes)
        for other in set(range(10)) - {digit}:
            assert effect(strokes, other, rng_of(seed), 1) is strokes


def test_a_flag_goes_down_to_the_left_from_the_top_of_a_one():
    for seed in SEEDS:
        flagged = stroke_effects.flag(stem(), 1, rng_of(seed), 1)
        left, top, right, bottom = box_of(flagged)
        assert right - left > 0.06
        added = middles(flagged[len(stem()) :])
        assert (added[:, 0] < right).all()
        assert added[:, 1].min() < -0.8
        assert top == pytest.approx(-1, abs=0.1)
        assert bottom == pytest.approx(0, abs=1e-6)


def test_a_plain_stem_is_a_straight_upright_stroke_of_a_one_alone():
    for seed in SEEDS:
        assert stroke_effects.stem(seven(), 7, rng_of(seed), 1).shape == seven().shape
        flagged = stroke_effects.flag(stem(), 1, rng_of(seed), 1)
        assert stroke_effects.stem(flagged, 1, rng_of(seed), 0) is flagged
        plain = stroke_effects.stem(flagged, 1, rng_of(seed), 1)
        left, top, right, bottom = box_of(plain)
        assert len(plain) == 1
        assert right - left < 0.2
        assert (top, bottom) == (pytest.approx(-1), pytest.approx(0))


def test_a_foot_lies_on_the_line_on_both_sides_of_a_one():
    for seed in SEEDS:
        footed = stroke_effects.foot(stem(), 1, rng_of(seed), 1)
        left, _, right, _ = box_of(footed)
        x = footed[0, 0, 0]
        assert left < x - 0.1 < x + 0.1 < right
        assert np.abs(middles(footed[len(stem()) :])[:, 1]).max() < 0.2


def test_a_bar_crosses_the_stem_of_a_seven_near_its_middle():
    for seed in SEEDS:
        barred = stroke_effects.bar(seven(), 7, rng_of(seed), 1)
        added = barred[len(seven()) :].reshape(-1, 2)
        assert (added[:, 1] > -0.8).all()
        assert (added[:, 1] < -0.2).all()
        stems = barred[: len(seven())]
        near = middles(stems)[np.abs(middles(stems)[:, 1] + 0.5) < 0.2]
        x = near[:, 0].mean() if len(near) else 0.4
        assert added[:, 0].min() < x < added[:, 0].max()


def test_a_long_bar_leads_from_the_top_of_a_five_past_its_right_end():
    for seed in SEEDS:
        barred = stroke_effects.long_bar(seven(), 5, rng_of(seed), 1)
        added = barred[len(seven()) :].reshape(-1, 2)
        body = barred[: len(seven())].reshape(-1, 2)
        assert added[:, 0].max() > body[:, 0].max()
        assert np.abs(added[:, 1] - body[:, 1].min()).max() < 0.4


def test_a_curl_is_at_the_foot_of_a_two():
    for seed in SEEDS:
        curled = stroke_effects.curl(seven(), 2, rng_of(seed), 1)
        assert (middles(curled[len(seven()) :])[:, 1] > -0.6).all()


def test_a_closed_head_is_a_curl_at_the_top_of_a_two_to_the_right_of_its_beginning():
    for seed in SEEDS:
        two = stroke_effects.closed(seven(), 2, rng_of(seed), 1)
        added = middles(two[len(seven()) :])
        assert (added[:, 1] < -0.5).all()
        assert added[:, 0].min() >= seven()[..., 0].min() - 0.1


def test_a_hook_makes_the_head_of_a_nine_smaller_and_turns_its_tail_to_the_left():
    for seed in SEEDS:
        nine = stroke_effects.hook(seven(), 9, rng_of(seed), 1)
        added = nine[len(seven()) :].reshape(-1, 2)
        assert added[:, 1].min() > -0.4
        assert added[0, 0] == added[:, 0].max()  # from the foot to the left
        above, moved = seven()[..., 1], nine[: len(seven()), :, 1]
        assert (moved <= above + 1e-6).all()  # towards the top, but for the ends
        assert moved.mean() < above.mean()


def test_a_drawn_digit_takes_the_place_of_a_traced_one_by_its_share():
    traced = stem()
    assert stroke_effects.shape(traced, 4, rng_of(0), 0) is traced
    drawn = stroke_effects.shape(traced, 4, rng_of(0), 1)
    assert drawn.reshape(-1, 2)[:, 0].max() > traced.reshape(-1, 2)[:, 0].max()  # no mere stem


def test_a_digit_that_could_not_be_traced_is_always_drawn():
    assert len(stroke_effects.shape(np.zeros((0, 2, 2), np.float32), 6, rng_of(0), 0))


def test_shearing_leans_to_the_right_and_keeps_the_baseline():
    sheared = stroke_effects.shear(stem(), 0.5)
    top, base = sheared[0, 0], sheared[-1, 1]
    assert top[0] - base[0] == pytest.approx(0.5, abs=1e-5)
    assert top[1] == pytest.approx(-1)


@pytest.mark.parametrize("tangent", [-0.4, -0.1, 0.2, 0.5])
def test_straightening_undoes_a_slant(tangent):
    straight = stroke_effects.upright(stroke_effects.shear(stem(), tangent), 1)
    assert np.ptp(straight[..., 0]) < 0.01
    slanted = stroke_effects.shear(stem(), tangent)
    assert stroke_effects.upright(slanted, 0) is slanted


def test_wobbling_bends_strokes_by_no_more_than_its_strength():
    strokes = seven()
    assert stroke_effects.wobble(strokes, rng_of(0), 0) is strokes
    bent = stroke_effects.wobble(strokes, rng_of(0), 0.03)
    assert 0 < np.abs(bent - strokes).max() <= 0.03 + 1e-6


def test_a_connection_leads_from_one_digit_to_the_next():
    after = stem() + np.array([1, 0], np.float32)
    assert len(stroke_effects.connect(stem(), after, rng_of(0), 0)) == 0
    stroke = stroke_effects.connect(stem(), after, rng_of(0), 1)
    assert stroke[0, 0, 0] == pytest.approx(0)
    assert stroke[-1, 1, 0] == pytest.approx(1)


# --- ink


@pytest.mark.parametrize("pen", [1.0, 2.0, 3.5, 6.0])
def test_a_stroke_is_as_wide_as_the_pen(pen):
    line = np.array([[[5, 20], [55, 20]]], np.float32)
    cover = stroke_effects.ink([line], (40, 60), pen)
    assert cover[:, 20:40].sum(axis=0) == pytest.approx(pen, abs=0.3)
    assert (cover * np.arange(0.5, 40)[:, None]).sum() / cover.sum() == pytest.approx(20, abs=0.3)


def test_a_pen_may_be_wider_in_places():
    line = np.array([[[5, 20], [55, 20]]], np.float32)
    pen = np.where(np.arange(60) < 30, 2, 6).astype(np.float32) * np.ones((40, 1), np.float32)
    cover = stroke_effects.ink([line], (40, 60), pen).sum(axis=0)
    assert cover[40:50].mean() > 2 * cover[10:20].mean()


def test_no_strokes_are_no_ink():
    assert not stroke_effects.ink([], (10, 20), 3.0).any()

"""The channel of a color image in which ink differs most from paper.

Luminance shows nearly every ink, and stays what a page is read from wherever it does. It fails in
two ways: red ink on blue paper has the paper's luminance, and a form printed in a drop-out color
is as dark as what is written into it. So the colors that are not the paper's are parted into a
few groups by their direction from the paper's color; each is ink or, where most of it is long
lines or tinted areas, the form. Then the first of luminance, red, green and blue is taken in
which the ink is seen and the form is not; if there is none, the combination of them in which the
form is paper: the part of the ink's direction that is orthogonal to the form's.
"""

import math
from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from service.imaging.levels import quantile
from service.imaging.page import Channel

Color = npt.NDArray[np.float64]  # (3,) red, green, blue
Levels = npt.NDArray[np.int16]  # (height, width) differences of one channel
Mask = npt.NDArray[np.bool_]  # (height, width)

LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, as Pillow has it
WEIGHTS = {
    Channel.LUMINANCE: LUMINANCE,
    Channel.RED: np.array([1.0, 0, 0]),
    Channel.GREEN: np.array([0, 1.0, 0]),
    Channel.BLUE: np.array([0, 0, 1.0]),
}

SAMPLED = 2**18  # pixels that are looked at
GLANCED = 2**15  # of them, to see whether there is any color
LEAST_DIFFERENCE = 24  # levels of any channel, from which a pixel is not paper
LEAST_CHROMA = 32  # levels between the channels' differences from paper, for a colored pixel
LEAST_COLORED = 5e-4  # share of the pixels; fewer carry nothing
CLUSTERED = 2048  # pixels whose colors are parted
MAX_GROUPS = 3  # two colors, and what belongs to neither
LEAST_GROUP = 0.03  # share of what is not paper, for a color
FRINGE = 0.35  # share of the strongest color's difference that another ink has at least
APART = math.cos(math.radians(12))  # of two colors' directions from paper
SEEN = 0.5  # share of the ink's largest difference that a channel must keep
GONE = 0.12  # share of the ink's difference that a form may keep
FORM = 0.5  # share of a color that is long lines and tints, from which it is a form's
WRITING = 0.25  # the most that writing has of them
LEAST_WRITING = 40  # pixels of the sample
OUTWEIGHED = 1.5  # writing for each pixel of a form's color that is neither line nor tint
MAX_NOISE = 2.0  # of a combination, for each level of the channels'; luminance has 0.67


@dataclass(frozen=True)
class Mix:
    """A linear map from color to gray: `weights @ color + offset`, clipped to 0 to 255."""

    channel: Channel
    weights: Color
    offset: float = 0.0


PLAIN = Mix(Channel.LUMINANCE, LUMINANCE)


@dataclass(frozen=True)
class Group:
    """Pixels of one color, which is not the paper's."""

    area: int  # pixels of the sample
    formal: int  # of them, in long lines and tints
    difference: Color  # paper less color

    @property
    def strength(self) -> float:
        """The largest difference from paper, of any channel."""
        return float(np.abs(self.difference).max())

    @property
    def is_form(self) -> bool:
        """Whether most of it is long lines or tints."""
        return self.formal >= FORM * self.area


def mixed(image: Image.Image, mix: Mix) -> Image.Image:
    """Return an RGB image's gray levels."""
    if mix.channel is Channel.LUMINANCE:
        return image.convert("L")
    if mix.channel is Channel.DROP_OUT:
        return image.convert("L", (*map(float, mix.weights), mix.offset))
    return image.getchannel(int(mix.weights.argmax()))


def thinned(image: Image.Image) -> Image.Image:
    """Return single pixels, evenly spread: an average would mix ink with paper."""
    share = min(math.sqrt(SAMPLED / (image.width * image.height)), 1.0)
    size = (max(round(image.width * share), 1), max(round(image.height * share), 1))
    return image if size == image.size else image.resize(size, Image.Resampling.NEAREST)


def choose(pixels: npt.NDArray[np.uint8]) -> Mix:
    """Choose the mix for an image.

    Args:
        pixels: (height, width, 3), a sample of it.
    """
    step = max(round(math.sqrt(pixels[..., 0].size / GLANCED)), 1)
    few = pixels[::step, ::step]
    paper = np.array([quantile(few[..., channel], 0.5) for channel in range(3)])
    _, most, least = _differences(few, paper)
    if np.count_nonzero(most - least >= LEAST_CHROMA) < LEAST_COLORED * most.size:
        return PLAIN
    planes, most, least = _differences(pixels, paper)
    distance = np.maximum(most, -least)
    differs = distance >= max(LEAST_DIFFERENCE, 4 * quantile(distance, 0.25))
    differences = np.stack([plane[differs] for plane in planes], axis=1)
    # What most images are: no form, and ink that luminance shows. Parting colors takes longer.
    seen = np.abs(differences @ LUMINANCE.astype(np.float32)) >= SEEN * distance[differs]
    if np.count_nonzero(~seen) < LEAST_GROUP * len(seen):
        formal = np.count_nonzero(differs & _lines_and_tints(differs))
        if formal < LEAST_GROUP * len(seen):
            return PLAIN
    groups = _groups(differences, differs)
    if not groups:
        return PLAIN
    forms = [each for each in groups if each.is_form and _is_colored(each, paper)]
    writing = [each for each in groups if each.formal <= WRITING * each.area]
    if len(forms) == 1 and len(writing) == 1:
        form, ink = forms[0], writing[0]
        if ink.area >= max(LEAST_WRITING, OUTWEIGHED * (form.area - form.formal)):
            return _without(form, ink, paper)
    return _showing(writing or groups)


def _differences(
    pixels: npt.NDArray[np.uint8], paper: Color
) -> tuple[list[Levels], Levels, Levels]:
    """Return paper less pixels by channel, and the most and the least of the three."""
    planes = [
        level - plane
        for level, plane in zip(np.rint(paper).astype(np.int16), cv2.split(pixels), strict=True)
    ]
    most = np.maximum(np.maximum(planes[0], planes[1]), planes[2])
    least = np.minimum(np.minimum(planes[0], planes[1]), planes[2])
    return planes, most, least


def _groups(differences: npt.NDArray[np.int16], differs: Mask) -> list[Group]:
    """Part what is not paper by the direction of its color.

    Args:
        differences: (pixels, 3) paper less color.
        differs: (height, width) where those pixels are.
    """
    if len(differences) < LEAST_WRITING:
        return []
    directions = differences.astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    some = np.ascontiguousarray(directions[:: max(len(directions) // CLUSTERED, 1)])
    stop = (cv2.TERM_CRITERIA_MAX_ITER + cv2.TERM_CRITERIA_EPS, 10, 1e-3)
    cv2.setRNGSeed(1)  # the same image gives the same answer
    _, _, centers = cv2.kmeans(some, MAX_GROUPS, None, stop, 2, cv2.KMEANS_PP_CENTERS)  # type: ignore[call-overload]  # OpenCV's stubs want labels
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    labels = (directions @ centers.T).argmax(axis=1)
    for one, other in combinations(range(MAX_GROUPS), 2):
        if centers[one] @ centers[other] > APART:
            labels[labels == other] = one
    found = []
    for label in range(MAX_GROUPS):
        belongs = labels == label
        if np.count_nonzero(belongs) >= LEAST_GROUP * len(labels):
            mask = np.zeros_like(differs)
            mask[differs] = belongs
            found.append(_group(differences[belongs], mask))
    # JPEG stores colors coarsely: a stroke has a faint fringe of another one.
    strongest = max(each.strength for each in found)
    return [each for each in found if each.is_form or each.strength >= FRINGE * strongest]


def _group(differences: npt.NDArray[np.int16], mask: Mask) -> Group:
    strength = np.abs(differences).max(axis=1)
    strong = differences[strength >= np.median(strength)]  # without the strokes' blurred edges
    return Group(
        area=len(differences),
        formal=int(np.count_nonzero(mask & _lines_and_tints(mask))),
        difference=strong.mean(axis=0),
    )


def _lines_and_tints(mask: Mask) -> Mask:
    """Return what is longer or thicker than any stroke of writing."""
    height, width = mask.shape
    ink = mask.view(np.uint8)
    across = round(min(max(min(0.9 * height, 0.75 * width), 16), 128))
    down = round(max(0.6 * height, 16))
    thick = round(min(max(0.25 * height, 5), 24))
    found = np.zeros_like(mask)
    for size, slack in (((across, 1), (1, 3)), ((1, down), (3, 1)), ((thick, thick), (1, 1))):
        # A line may be tilted by some pixels on its way.
        wider = cv2.dilate(ink, np.ones(slack[::-1], np.uint8))
        found |= cv2.morphologyEx(wider, cv2.MORPH_OPEN, np.ones(size[::-1], np.uint8)) > 0
    return found


def _is_colored(group: Group, paper: Color) -> bool:
    """Whether a color differs from the paper's by more than the light on it."""
    product = float(group.difference @ paper)
    return abs(product) < APART * float(
        np.linalg.norm(group.difference) * max(float(np.linalg.norm(paper)), 1e-9)
    )


def _without(form: Group, ink: Group, paper: Color) -> Mix:
    """Return the simplest mix in which the ink is seen and the form is not."""
    for channel, weights in WEIGHTS.items():
        kept, left = abs(weights @ ink.difference), abs(weights @ form.difference)
        if kept >= SEEN * ink.strength and left <= GONE * kept:
            return Mix(channel, weights)
    weights = ink.difference - form.difference * (
        (ink.difference @ form.difference) / (form.difference @ form.difference)
    )
    contrast = float(weights @ ink.difference)
    if contrast <= 0:
        return PLAIN
    weights = weights * (float(LUMINANCE @ ink.difference) / contrast)
    if np.linalg.norm(weights) > MAX_NOISE:
        return PLAIN
    return Mix(Channel.DROP_OUT, weights, float(LUMINANCE @ paper - weights @ paper))


def _showing(inks: list[Group]) -> Mix:
    """Return luminance if it shows every ink; else the channel that shows the faintest best."""

    def shown(weights: Color) -> float:
        return min(abs(float(weights @ ink.difference)) / max(ink.strength, 1e-9) for ink in inks)

    if shown(LUMINANCE) >= SEEN:
        return PLAIN
    best = max(WEIGHTS, key=lambda channel: shown(WEIGHTS[channel]))
    return Mix(best, WEIGHTS[best]) if shown(WEIGHTS[best]) >= SEEN else PLAIN

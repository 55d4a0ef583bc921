"""The connected ink of a page, and how much of it is in reach of the digits read there."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from service.recognition.normalize import DIGIT_HEIGHT, Line, Strip
from service.recognition.normalize.ink_mask import Mask, components, connected
from service.recognition.normalize.pieces import PIECE
from service.recognition.views import Matrix, compose, inverse

Floats = npt.NDArray[np.float64]  # (components,)
Which = npt.NDArray[np.bool_]  # (components,)

REACH = 0.6  # to either side of a digit's center, what ink it explains
SLACK = 0.35  # above and below the band, the same
EXPLAINED = 0.5  # share of a component's ink in reach of digits, from which it is theirs
BESIDE = 0.25  # how far beside a component its digit's center may lie
LEAST_SIDE = 0.3  # longer side of a component that counts
LEAST_AREA = 0.02  # ink of a component that counts: half a dash
MOST_OWN = 4096  # components that are kept as they were cut out


@dataclass(frozen=True)
class Zone:
    """What is in reach of digits: a parallelogram each, as slanted as the strip."""

    outlines: npt.NDArray[np.int32]  # (digits, 4, 2) corners, x and y
    height: int  # of the page
    width: int
    # The columns that were drawn the latest: of most pages, they are all.
    latest: dict[tuple[int, int], npt.NDArray[np.uint8]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        shape: tuple[int, ...],
        to_page: Matrix,
        centers: Sequence[float],
        band: tuple[float, float],
    ) -> "Zone":
        """Find the zone of a page of some shape; the rest is as in `PageInk`."""
        reach, slack = REACH * DIGIT_HEIGHT, SLACK * (band[1] - band[0])
        corners = []
        for row in (band[0] - slack, band[1] + slack):
            y = (row - to_page[1, 2]) / to_page[1, 1]  # of the strip
            columns = np.add.outer(np.asarray(centers, np.float64), [-reach, reach])
            x = to_page[0, 0] * columns + to_page[0, 1] * y + to_page[0, 2]
            corners.append(np.stack([x, np.full_like(x, row)], axis=-1))
        upper, lower = corners
        outlines = np.concatenate([upper, lower[:, ::-1]], axis=1).round().astype(np.int32)
        return cls(outlines, shape[0], shape[1])

    def draw(self, left: int, right: int) -> npt.NDArray[np.uint8]:
        """Draw the zone between two columns: (height, columns) 1 in reach of digits, else 0."""
        if (left, right) in self.latest:
            return self.latest[left, right]
        least, most = self.outlines[:, :, 0].min(axis=1), self.outlines[:, :, 0].max(axis=1)
        near = (most >= left) & (least < right)
        # All of those that begin or end here: what goes on beyond a picture is drawn otherwise.
        first = max(int(least[near].min(initial=left)), 0)
        last = min(int(most[near].max(initial=right - 1)) + 1, self.width)
        drawn = np.zeros((self.height, last - first), np.uint8)
        for outline in self.outlines[near] - [first, 0]:
            cv2.fillConvexPoly(drawn, outline.astype(np.int32), 1)
        self.latest.clear()
        self.latest[left, right] = drawn[:, left - first : right - first]
        return self.latest[left, right]


@dataclass(frozen=True)
class PageInk:
    """Connected ink; arrays have an entry for each component, in pixels of the working page."""

    mask: Mask  # (height, width) ink, without printed lines that were removed
    erased: Mask  # (height, width) those
    band: tuple[float, float]  # rows between which the text stands
    centers: Sequence[float]  # of the digits, ascending, columns of the strip
    to_page: Matrix  # from points of the strip
    zone: Zone  # in reach of digits
    left: Floats
    top: Floats
    width: Floats
    height: Floats
    area: Floats
    in_reach: Floats  # of the area
    own: dict[int, Mask] = field(default_factory=dict)  # of components that were cut out of late

    @classmethod
    def of(cls, line: Line, strip: Strip, centers: Sequence[float]) -> "PageInk":
        """Find the connected ink of a page, and which of it is in a digit's reach.

        Args:
            line: normalized from the page.
            strip: the view in which the digits were found.
            centers: (digits,) columns of their centers in the strip.
        """
        page = line.page
        to_page = compose(inverse(page.to_source), strip.to_source)
        to_row, middle = inverse(page.to_source)[1], line.source_width / 2
        top, bottom = (float(to_row @ [middle, y, 1]) for y in (line.band.top, line.band.bottom))
        band = top, bottom
        zone = Zone.of(page.mask.shape, to_page, centers, band)
        pieces, within = [], []
        for first, labels, found in components(page.mask):
            covered = labels[zone.draw(first, first + labels.shape[1]) > 0]
            within.append(np.bincount(covered, minlength=len(found) + 1)[1:])
            pieces.append(found)
        left, highest, width, height, area = np.concatenate(pieces).astype(np.float64).T
        return cls(
            mask=page.mask,
            erased=page.erased,
            band=band,
            centers=centers,
            to_page=to_page,
            zone=zone,
            left=left,
            top=highest,
            width=width,
            height=height,
            area=area,
            in_reach=np.concatenate(within).astype(np.float64),
        )

    @property
    def unit(self) -> float:
        """Height of the text's band."""
        return max(self.band[1] - self.band[0], 1.0)

    @property
    def bottom(self) -> Floats:
        """Rows below the components."""
        return self.top + self.height

    @property
    def right(self) -> Floats:
        """Columns right of the components."""
        return self.left + self.width

    @property
    def longer(self) -> Floats:
        """Longer sides."""
        return np.maximum(self.width, self.height)

    @cached_property
    def counts(self) -> Which:
        """Whether they are large enough to matter."""
        large = self.longer >= LEAST_SIDE * self.unit
        return np.asarray(large & (self.area >= LEAST_AREA * self.unit**2), np.bool_)

    @cached_property
    def theirs(self) -> Which:
        """Whether digits explain them."""
        return np.asarray(self.in_reach >= EXPLAINED * self.area, np.bool_)

    def x_of(self, column: float, y: float) -> float:
        """Return where a column of the strip crosses a row of the page."""
        row = (y - self.to_page[1, 2]) / self.to_page[1, 1]
        return float(self.to_page[0, 0] * column + self.to_page[0, 1] * row + self.to_page[0, 2])

    def reached(self, first: int, last: int) -> npt.NDArray[np.intp]:
        """Return the columns in which some rows are in reach of digits."""
        width = self.mask.shape[1]
        found = [
            left + np.flatnonzero(self.zone.draw(left, min(left + PIECE, width))[first:last].any(0))
            for left in range(0, width, PIECE)
        ]
        return np.concatenate(found)

    def ink_of(self, which: int) -> Mask:
        """Return a component's own ink, in its box; it is cut out once, and not to be changed."""
        if which in self.own:
            return self.own[which]
        top, left = int(self.top[which]), int(self.left[which])
        bottom, right = int(self.bottom[which]), int(self.right[which])
        part = self.mask[top:bottom, left:right].view(np.uint8)
        labels, stats = connected(part)
        whole = [0, 0, right - left, bottom - top, int(self.area[which])]
        number = int((stats[1:] == whole).all(axis=1).argmax()) + 1
        own = np.asarray(labels == number, np.bool_)
        own.flags.writeable = False
        if len(self.own) >= MOST_OWN:
            self.own.clear()
        self.own[which] = own
        return own

    def digit_of(self, which: int) -> int | None:
        """Return the number of the digit that a component is; None of none, or of several."""
        left, right = self._columns(which)
        if bisect_right(self.centers, right) - bisect_left(self.centers, left) > 1:
            return None
        middle = (left + right) / 2
        near = bisect_left(self.centers, middle)
        numbers = range(max(near - 1, 0), min(near + 1, len(self.centers)))
        number = min(numbers, key=lambda each: abs(self.centers[each] - middle))
        reach = (right - left) / 2 + BESIDE * DIGIT_HEIGHT
        return number if abs(self.centers[number] - middle) <= reach else None

    def digits_of(self, which: int) -> range:
        """Return the numbers of the digits whose centers lie in a component, or near its own."""
        left, right = self._columns(which)
        first, last = bisect_left(self.centers, left), bisect_right(self.centers, right)
        if first == last and (number := self.digit_of(which)) is not None:
            return range(number, number + 1)
        return range(first, last)

    def is_unread(self, which: int) -> bool:
        """Whether no digit's center lies in a component, or near it."""
        left, right = self._columns(which)
        reach = BESIDE * DIGIT_HEIGHT
        return bisect_right(self.centers, right + reach) == bisect_left(self.centers, left - reach)

    def _columns(self, which: int) -> tuple[float, float]:
        """Return between which columns of the strip a component lies."""
        y = float(self.top[which] + self.bottom[which]) / 2
        ends = np.array([self.left[which], self.right[which]]) - self.x_of(0, y)
        left, right = (ends / self.to_page[0, 0]).tolist()
        return left, right

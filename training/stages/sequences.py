"""Stage two: whole strips with CTC, the loss over all alignments: positions need no labels.

Matan et al. 1991 trained such a network through its best alignment, LeCun et al. 1998 (section
VI) through a graph of them; connectionist temporal classification (Graves et al. 2006) sums over
all, with `none` as its blank.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from service.imaging.page import Gray
from service.recognition.normalize import normalize
from service.recognition.views import view, view_matrix
from training.config import Config, PageConfigs, SequenceConfig, StageRecord, StripConfig
from training.data.digits import DigitSet, digest
from training.data.scans import LabeledLine, LineSet
from training.networks import LABELS, NONE, RECEPTIVE_FIELD, STRIDE, LeNet5
from training.pages.augment import Image, distort, sharpen, stroke
from training.pages.cuttings import Cuttings
from training.pages.page import cut_page, random_page
from training.pages.strips import compose
from training.pages.writing import any_of
from training.stages.stage import Batch, Judgment, Optimization
from training.stages.windows import HeldOutWindows, make_windows, window_loss

COMPOSED = (2, 10)  # digits
TOUCHING = 2.0  # pixels between the ink of digits that touch, at most
ONES = 0.3  # share of these digits
PAGES = PageConfigs()
CUT_IN_CELLS = 0.4  # share of lines set from cuttings that are in cells


@dataclass(frozen=True)
class SequenceData:
    """What stage two learns from or is judged by."""

    digits: DigitSet
    scans: LineSet | None = None  # None where there are none
    cuttings: Cuttings | None = None  # digits cut from the scans
    mnist: DigitSet | None = None  # MNIST's alone, where `digits` has other hands'


class SequenceStage:
    """Learns to read lines, made and scanned; keeps what stage one learned of windows."""

    name = "sequences"
    # Of somebody's own scans too few are held out to tell epochs apart: five-fold on 528 cheques,
    # 87.1% of strings are exact with the last weights, 83.5% with those of the least loss.
    keeps_last = True

    def __init__(
        self,
        windows: Config,
        config: SequenceConfig,
        training: SequenceData,
        held_out: SequenceData,
        sources: Sequence[str],
        pages: PageConfigs = PAGES,
        network: str = LeNet5.name,
    ) -> None:
        self.sources = tuple(sources)
        self.network = network
        self.pages = pages
        self.windows = replace(windows, windows=config.windows)
        self.config = config
        self.training = training
        self.held_out = held_out
        self.seed = windows.seed
        self.epochs = config.epochs
        self.steps = config.steps
        self.optimization = Optimization.of(config)

    def describe(self) -> StageRecord:
        """Return the configs, the sources of digits and scans, and their digests."""
        scans, held_out = self.training.scans, self.held_out.scans
        cuttings = self.training.cuttings
        return {
            "network": self.network,
            "data": ", ".join(self.sources),
            "config": self.config.to_dict(),
            "windows": self.windows.to_dict(),
            "strips": self.pages.written.to_dict(),
            "cells": self.pages.cells.to_dict(),
            "digitized": self.pages.digitized.to_dict(),
            "cut_digits": len(cuttings) if cuttings else 0,
            "training_digits": len(self.training.digits),
            "held_out_digits": len(self.held_out.digits),
            "training_scans": len(scans) if scans else 0,
            "held_out_scans": len(held_out) if held_out else 0,
            "data_digest": digest(self.training.digits),
            "scans_digest": scans.digest() if scans else "",
        }

    def batches(self, steps: Sequence[int]) -> Dataset[Batch]:
        """Return the batches of `SequenceBatches`."""
        return SequenceBatches(self.training, self.windows, self.config, steps, self.pages)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return the windows' mean negative log-likelihood plus the lines' per digit."""
        windows, window_labels, *lines = batch
        of_windows = self.config.window_weight * window_loss(network, windows, window_labels)
        return of_windows + lines_loss(*line_scores(network, *lines[:2]), *lines[2:])

    @cached_property
    def judged(self) -> tuple[HeldOutWindows, Batch]:
        """The fixed data that an epoch is judged by."""
        rng = np.random.default_rng([self.seed, 0, 2])
        count = self.config.held_out_lines
        digits, scans = self.held_out.digits, self.held_out.scans
        lines = [
            made_line(digits, rng, pages)
            for pages in (self.pages.written, self.pages.cells, self.pages.digitized)
            for _ in range(count)
        ]
        lines += [composed_line(digits, rng, self.windows, 1.0) for _ in range(count)]
        if scans:
            lines += [scans.line(int(index)) for index in rng.permutation(len(scans))[:count]]
        strips = [(view(line.pixels, view_matrix(line.slant)), line.text) for line in lines]
        return HeldOutWindows(digits, self.windows), lay_end_to_end(strips)

    def judge(self, network: nn.Module, device: torch.device) -> Judgment:
        """Return the figures on held-out digits and lines."""
        windows, (row, widths, targets, lengths) = self.judged
        judged = windows(network, device)
        with torch.inference_mode():
            scores, positions = line_scores(network, row.to(device), widths)
            scores = scores.cpu()
            loss = lines_loss(scores, positions, targets, lengths).item()
        texts = [part.tolist() for part in targets.split(lengths.tolist())]
        read = [
            best_path(line[:count])
            for line, count in zip(scores.unbind(1), positions.tolist(), strict=True)
        ]
        wrong = [one != other for one, other in zip(texts, read, strict=True)]
        return replace(judged, loss=loss, string_error=float(np.mean(wrong)))


class SequenceBatches(Dataset[Batch]):
    """The stage's batches by step; each is made from the seed and its number alone."""

    def __init__(
        self,
        data: SequenceData,
        windows: Config,
        config: SequenceConfig,
        steps: Sequence[int],
        pages: PageConfigs = PAGES,
    ) -> None:
        self.data = data
        self.windows = windows
        self.config = config
        self.steps = steps
        self.pages = pages

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> Batch:
        """Return windows, their labels, and what `lay_end_to_end` returns of the lines."""
        rng = np.random.default_rng([self.windows.seed, 2, self.steps[index]])
        windows, window_labels = make_windows(self._digits(rng), rng, self.windows)
        strips = []
        for _ in range(self.config.lines):
            line = self.line(rng)
            strips.append((seen(line, rng, self.config), line.text))
        return (
            torch.from_numpy(windows[:, None]),
            torch.from_numpy(window_labels),
            *lay_end_to_end(strips),
        )

    def _digits(self, rng: np.random.Generator) -> DigitSet:
        """Return MNIST's digits alone, for their share, or those of all hands."""
        mnist = self.data.mnist
        return mnist if mnist is not None and rng.random() < self.config.mnist else self.data.digits

    def line(self, rng: np.random.Generator) -> LabeledLine:
        """Return a scanned line, or one made in one of five ways."""
        data, config = self.data, self.config
        if data.scans and rng.random() < config.scanned:
            return data.scans.line(int(rng.integers(len(data.scans))))
        if data.cuttings and rng.random() < config.cut:
            pages = self.pages.cells if rng.random() < CUT_IN_CELLS else self.pages.written
            page = cut_page(data.cuttings, rng, pages)
            return normalized_line(page.gray, page.text)
        if rng.random() < config.composed:
            digits = self._digits(rng)
            return composed_line(digits, rng, self.windows, config.untouched, config.touching)
        if rng.random() < config.cells:
            return made_line(data.digits, rng, self.pages.cells)
        digitized = rng.random() < config.digitized
        return made_line(
            data.digits, rng, self.pages.digitized if digitized else self.pages.written
        )


def made_line(
    digits: DigitSet, rng: np.random.Generator, pages: StripConfig = PAGES.written
) -> LabeledLine:
    """Return a made page's line."""
    page = random_page(digits, rng, pages)
    return normalized_line(page.gray, page.text)


def composed_line(
    digits: DigitSet,
    rng: np.random.Generator,
    config: Config,
    untouched: float,
    touching: float = 0.0,
) -> LabeledLine:
    """Return the line of digits set side by side, touching and overlapping or apart.

    Args:
        digits: to choose from.
        rng: decides everything.
        config: how digits are distorted, and the range of gaps.
        untouched: the share of lines whose digits are not distorted at all.
        touching: the share of lines with many ones and gaps of `TOUCHING` pixels at most. Two
            ones that touch are one or two positions apart, and CTC wants `none` between them: the
            network must learn to see the first one early and the second late.
    """
    chosen = rng.integers(len(digits), size=int(rng.integers(*COMPOSED, endpoint=True)))
    widest = config.gap_max
    if rng.random() < touching:
        widest = TOUCHING
        ones = np.flatnonzero(rng.random(len(chosen)) < ONES)
        chosen[ones] = [any_of(1, digits, rng) for _ in ones]
    images = list(digits.images[chosen])
    if rng.random() >= untouched:
        images = [distort(image, rng, config) for image in images]
    gaps = rng.uniform(config.gap_min, widest, len(chosen) - 1)
    strip = compose(images, digits.labels[chosen].tolist(), gaps.tolist())
    return normalized_line(255 - strip.pixels, strip.text)


def normalized_line(gray: Gray, text: str) -> LabeledLine:
    """Normalize a page as the service does."""
    line = normalize(gray)
    return LabeledLine(line.pixels, line.slant, text)


def seen(line: LabeledLine, rng: np.random.Generator, config: SequenceConfig) -> Image:
    """View a line as the service might, and as another hand might have written it."""
    size = rng.uniform(-config.scale, config.scale)
    width = size + rng.uniform(-config.stretch, config.stretch)
    slant = line.slant * rng.uniform(0, config.upright) + rng.uniform(-config.slant, config.slant)
    lift = rng.uniform(-config.lift, config.lift)
    strip = view(line.pixels, view_matrix(slant, float(np.exp(width)), float(np.exp(size)), lift))
    if rng.random() < config.stroke:
        strip = stroke(strip, rng)
    if rng.random() < config.sharpen:
        strip = sharpen(strip, rng, 1.0)
    return strip


def lay_end_to_end(lines: Sequence[tuple[Image, str]]) -> Batch:
    """Lay strips of any widths end to end, so that none need be padded to the widest.

    Windows that lie across two strips are scored for nothing; there are few.

    Returns:
        (1, 1, 32, columns) uint8 pixels; (lines,) the strips' widths, multiples of the stride;
        the digits of all texts in one; (lines,) the texts' lengths.
    """
    strips = []
    for strip, _ in lines:
        width = max(-(-strip.shape[1] // STRIDE) * STRIDE, RECEPTIVE_FIELD)
        strips.append(np.pad(strip, ((0, 0), (0, width - strip.shape[1]))))
    texts = [[LABELS.index(digit) for digit in text] for _, text in lines]
    return (
        torch.from_numpy(np.concatenate(strips, axis=1)[None, None]),
        torch.tensor([strip.shape[1] for strip in strips]),
        torch.tensor([digit for text in texts for digit in text], dtype=torch.int64),
        torch.tensor([len(text) for text in texts]),
    )


def line_scores(network: nn.Module, row: Tensor, widths: Tensor) -> tuple[Tensor, Tensor]:
    """Score strips that lie end to end.

    Returns:
        (positions, lines, labels) log-probabilities, and (lines,) how many positions count.
    """
    positions = (widths - RECEPTIVE_FIELD) // STRIDE + 1
    starts = (torch.cumsum(widths, 0) - widths) // STRIDE
    inside = torch.zeros((row.shape[-1] - RECEPTIVE_FIELD) // STRIDE + 1, device=row.device)
    for start, count in zip(starts.tolist(), positions.tolist(), strict=True):
        inside[start : start + count] = 1
    scores = network(row, inside)[0, 0].float()
    parts = [
        scores[start : start + count]
        for start, count in zip(starts.tolist(), positions.tolist(), strict=True)
    ]
    return pad_sequence(parts), positions


def lines_loss(scores: Tensor, positions: Tensor, targets: Tensor, lengths: Tensor) -> Tensor:
    """Return the mean of the lines' CTC losses, each divided by its digits (Graves et al. 2006).

    A text that has no room in its line, as after a bad cut, counts for nothing.

    Args:
        scores: (positions, lines, labels) log-probabilities, padded.
        positions: (lines,) how many of them count.
        targets: (digits,) int64, all lines' texts one after another.
        lengths: (lines,) digits of each.
    """
    return F.ctc_loss(scores, targets, positions, lengths, blank=NONE, zero_infinity=True)


def best_path(scores: Tensor) -> list[int]:
    """Return the digits of the likeliest label at every position; (positions, labels)."""
    labels: npt.NDArray[np.int64] = scores.argmax(1).numpy()
    kept = labels[np.append(True, labels[1:] != labels[:-1])]
    return [int(label) for label in kept if label != NONE]

"""What was read, against what was written: pure sums, from reads to figures."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import Levenshtein
from scipy.stats import beta

from service.recognition.calibration import Evidence
from service.recognition.readers import ReaderText
from training.networks import LABELS, NONE

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

RESAMPLES = 1000  # of the bootstrap
BINS = 15  # of calibration, as Guo et al. 2017 have them
SIMULATIONS = 200  # of strings that are right as often as their confidences say
PROMISED = 0.01  # the error rate that strings are accepted at
RATES = (0.01, 0.02, 0.05)  # of error among accepted strings, at which coverage is measured


@dataclass(frozen=True)
class Read:
    """One labeled strip and what was read."""

    source: str  # the strip's name
    truth: str  # digits only, as the text
    text: str
    confidence: float  # 0 to 1
    # What the confidence was computed from, and each reader's texts by itself.
    evidence: Evidence | None = field(default=None, compare=False, repr=False)
    readers: tuple[ReaderText, ...] = field(default=(), compare=False, repr=False)
    # Whether the service accepts it at PROMISED, by the model's thresholds and the account of ink.
    accepted: bool = field(default=False, compare=False)
    weight: float = 1.0  # of a review's: how much it counts, see `training.evaluation.weights`

    @property
    def right(self) -> bool:
        """Whether the whole string is."""
        return self.text == self.truth

    @property
    def edits(self) -> int:
        """Digits to change, insert or delete: Levenshtein's distance."""
        return Levenshtein.distance(self.text, self.truth)


@dataclass(frozen=True)
class Estimate:
    """A share and its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Length:
    """The strings of one length."""

    length: int  # digits of the truth
    strips: int
    exact: float
    character_error_rate: float


@dataclass(frozen=True)
class Repeated:
    """Strings with two equal neighbors, against the others of their lengths."""

    strips: int  # that have two equal neighbors, and others of their length beside them
    exact: float | None  # of these; None if there are none
    others: float | None  # of the other strings, weighted to the same lengths


@dataclass(frozen=True)
class Bin:
    """Strings of like confidence."""

    strips: int
    confidence: float  # their mean
    exact: float


@dataclass(frozen=True)
class Reliability:
    """Whether confidences mean what they say."""

    error: float  # expected calibration error: the mean distance of confidence and truth
    bins: tuple[Bin, ...]  # of equal mass, by rising confidence
    chance: float  # the error that exact confidences would show on as many strips, by simulation


@dataclass(frozen=True)
class Accepted:
    """What happens if strings are accepted from a confidence on."""

    confidence: float
    coverage: float  # share of strings accepted
    risk: float  # share of these that are wrong


@dataclass(frozen=True)
class Coverage:
    """How much can be accepted without a second look (El-Yaniv and Wiener 2010)."""

    curve: tuple[Accepted, ...]  # at every confidence, by rising coverage
    at: dict[str, float]  # error rate, as "1%": the greatest coverage with no more risk
    area: float  # under the curve (Geifman et al. 2019): the mean risk over coverages


@dataclass(frozen=True)
class StripFigures:
    """How well strings were read."""

    strips: int
    exact: Estimate  # share of strings without a mistake
    character_error_rate: Estimate  # edits per character of the truth
    confusions: list[list[int]]  # (11, 11): written by read; `none` written: invented; read: missed
    lengths: tuple[Length, ...]
    repeated: Repeated
    reliability: Reliability
    coverage: Coverage

    @classmethod
    def of(cls, reads: Sequence[Read], seed: int = 0) -> "StripFigures":
        """Take all figures of at least one read; the seed decides the bootstrap's resamples."""
        edits, characters, right = counts(reads)
        confidences = np.array([read.confidence for read in reads])
        rng = np.random.default_rng(seed)
        return cls(
            strips=len(reads),
            exact=estimate(right, np.ones_like(right), rng),
            character_error_rate=estimate(edits, characters, rng),
            confusions=confusions(reads).tolist(),
            lengths=by_length(reads),
            repeated=repeated(reads),
            reliability=reliability(confidences, right > 0),
            coverage=coverage(confidences, right > 0),
        )


def counts(reads: Sequence[Read]) -> tuple[Floats, Floats, Floats]:
    """Return each read's edits, its truth's characters, and 1 where it is right; (reads,) each."""
    rows = [(read.edits, len(read.truth), read.right) for read in reads]
    edits, characters, right = np.array(rows, np.float64).reshape(-1, 3).T
    return edits, characters, right


def share(part: Floats, whole: Floats) -> float:
    """Return the sum of a part divided by the sum of the whole: a pooled rate.

    Args:
        part: (strips,) such as edits.
        whole: (strips,) such as characters; a sum below 1 counts as 1.
    """
    return float(part.sum() / max(whole.sum(), 1))


def estimate(part: Floats, whole: Floats, rng: np.random.Generator) -> Estimate:
    """Return a ratio of sums over strips, with its bootstrap percentile interval (Efron 1979).

    Strips that are all alike tell a bootstrap nothing: of a share of strips, the interval is the
    exact one then.

    Args:
        part: (strips,) what is counted of each.
        whole: (strips,) what it is counted among.
        rng: draws the resamples.
    """
    if (whole == 1).all() and (part == part[0]).all() and part[0] in (0, 1):
        return Estimate(share(part, whole), *clopper_pearson(float(part.sum()), len(part)))
    drawn = (rng.integers(len(part), size=len(part)) for _ in range(RESAMPLES))
    low, high = np.quantile([share(part[some], whole[some]) for some in drawn], [0.025, 0.975])
    return Estimate(share(part, whole), float(low), float(high))


def clopper_pearson(wrong: float, many: float) -> tuple[float, float]:
    """Return the exact 95% interval of a share (Clopper and Pearson 1934).

    Args:
        wrong: strips that count, such as misread ones; of weighted ones no whole number (Korn and
            Graubard 1998).
        many: strips, those among them.
    """
    low = float(beta.ppf(0.025, wrong, many - wrong + 1)) if wrong else 0.0
    high = float(beta.ppf(0.975, wrong + 1, many - wrong)) if wrong < many else 1.0
    return low, high


def confusions(reads: Sequence[Read]) -> npt.NDArray[np.int64]:
    """Count which digit was read as which, by a shortest edit of each truth into its text.

    Returns:
        (11, 11) written by read, in the order of LABELS: a digit read as `none` was missed, a
        `none` read as a digit was invented. Where shortest edits differ, one of them counts.
    """
    table = np.zeros((len(LABELS), len(LABELS)), np.int64)
    for read in reads:
        for step in Levenshtein.opcodes(read.truth, read.text):
            written = [int(digit) for digit in read.truth[step.src_start : step.src_end]]
            found = [int(digit) for digit in read.text[step.dest_start : step.dest_end]]
            size = max(len(written), len(found))  # one of the two is empty where they differ
            for one, other in zip(written or [NONE] * size, found or [NONE] * size, strict=True):
                table[one, other] += 1
    return table


def by_length(reads: Sequence[Read]) -> tuple[Length, ...]:
    """Return the figures of each length of string, the shortest first."""
    groups = defaultdict(list)
    for read in reads:
        groups[len(read.truth)].append(read)
    rows = []
    for length, group in sorted(groups.items()):
        edits, characters, right = counts(group)
        rows.append(Length(length, len(group), float(right.mean()), share(edits, characters)))
    return tuple(rows)


def repeats(text: str) -> bool:
    """Whether a digit stands beside its like."""
    return any(one == other for one, other in pairwise(text))


def repeated(reads: Sequence[Read]) -> Repeated:
    """Compare strings that have two equal neighbors with the others of their lengths."""
    having = {each.length: each for each in by_length([r for r in reads if repeats(r.truth)])}
    lacking = {each.length: each for each in by_length([r for r in reads if not repeats(r.truth)])}
    lengths = having.keys() & lacking.keys()
    strips = sum(having[length].strips for length in lengths)
    if not strips:
        return Repeated(0, None, None)
    mean, others = (
        math.fsum(having[length].strips * group[length].exact for length in lengths) / strips
        for group in (having, lacking)
    )
    return Repeated(strips, mean, others)


def reliability(confidences: Floats, right: Flags, weights: Floats | None = None) -> Reliability:
    """Compare confidences with how often they are right, in bins of equal mass.

    Equal confidences share a bin, so that the order of strips decides nothing; there may be fewer
    bins than BINS then.

    Args:
        confidences: (strips,) 0 to 1.
        right: (strips,).
        weights: (strips,) how much each counts; None, all alike.
    """
    weights = np.ones(len(right)) if weights is None else weights
    edges = np.unique(np.quantile(confidences, np.arange(1, BINS) / BINS, method="higher"))
    places = np.digitize(confidences, edges)
    bins = tuple(
        Bin(
            strips=int((places == place).sum()),
            confidence=share((weights * confidences)[places == place], weights[places == place]),
            exact=share((weights * right)[places == place], weights[places == place]),
        )
        for place in np.unique(places)
    )
    masses = [weights[places == place].sum() for place in np.unique(places)]
    apart = math.fsum(
        mass * abs(each.confidence - each.exact) for mass, each in zip(masses, bins, strict=True)
    )
    return Reliability(apart / float(weights.sum()), bins, _chance(confidences, places, weights))


def _chance(confidences: Floats, places: npt.NDArray[np.int64], weights: Floats) -> float:
    """Return the mean calibration error of strings that are right as often as said.

    Args:
        confidences: (strips,) 0 to 1.
        places: (strips,) each one's bin.
        weights: (strips,) how much each counts.
    """
    drawn = np.random.default_rng(0).random((SIMULATIONS, len(confidences))) < confidences
    apart = np.zeros(SIMULATIONS)
    for place in np.unique(places):
        some = places == place
        apart += np.abs((drawn[:, some] - confidences[some]) @ weights[some])
    return float(apart.mean() / weights.sum())


def accepted(
    confidences: Floats, right: Flags, weights: Floats | None = None
) -> tuple[Floats, Floats, Floats]:
    """Return, for each least confidence to accept, how many strings are, and how many are wrong.

    Args:
        confidences: (strips,) 0 to 1.
        right: (strips,).
        weights: (strips,) how much each counts; None, all alike.

    Returns:
        The different confidences, falling; strings accepted; wrong ones among them; (different,).
    """
    order = np.argsort(-confidences, kind="stable")
    falling = confidences[order]
    last = np.append(falling[1:] != falling[:-1], True)  # equal ones are accepted together
    counted = np.ones(len(right)) if weights is None else weights[order]
    wrong: Floats = np.cumsum(counted * ~right[order])
    return falling[last], np.cumsum(counted)[last], wrong[last]


def coverage(confidences: Floats, right: Flags) -> Coverage:
    """Return what accepting by confidence covers, and at which risk; (strips,) each."""
    least, many, wrong = accepted(confidences, right)
    covered, risk = many / many[-1], wrong / many
    return Coverage(
        curve=tuple(Accepted(*map(float, row)) for row in zip(least, covered, risk, strict=True)),
        at={f"{rate:.0%}": float(covered[risk <= rate].max(initial=0)) for rate in RATES},
        area=float((risk * np.diff(covered, prepend=0)).sum()),
    )

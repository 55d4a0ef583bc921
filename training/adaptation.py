"""Adapting without labels: what two readers read alike is taken for what is written.

Two networks that see differently seldom make the same mistake, so what they agree on is mostly
right, and worth learning from (co-training: Blum and Mitchell 1998; pseudo-labels: Lee 2013). Each
round reads the scans, keeps what the readers agree on, and continues both networks with it, beside
made pages and MNIST's digits, so that neither forgets what it knew. The digits of what is kept are
cut out and set into other strings, too: the hands and the paper's ink without the texts.
"""

import csv
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from service.errors import InputError
from service.imaging.decode import decode
from service.imaging.files import Source, expand
from service.recognition.calibration import Calibration
from service.recognition.decoding.automaton import Constraint
from service.recognition.model import Scorer
from service.recognition.model_metadata import Pairing
from service.recognition.normalize import normalize
from service.recognition.recognizer import Recognition, Recognizer
from service.recognition.views import view, view_matrix
from training.config import Config, SequenceConfig
from training.data.labels import read_labels
from training.data.scans import LabeledLine, LineSet
from training.errors import DatasetError
from training.export import export, in_8_bits, load_model, stages, write_metadata
from training.pages.cuttings import Cuttings
from training.quantize import made_lines, quantize
from training.stages.sequences import SequenceData, SequenceStage
from training.stages.train import fit

SURE = 0.6  # the least probability, by the readers' vote, of a text that is kept
FEWEST = 20  # scans kept, below which there is too little to learn from
# Shares of scans that the readers agree on. Of readers that hardly know a hand, even what they
# agree on is often wrong, and learning from it makes them sure of their mistakes.
LEAST_AGREEMENT = 0.25
LOW_AGREEMENT = 0.5
GROWTH = 0.005  # of the scans: by how much what is kept must grow for another round
PAGES = 200  # made, beside the scans, to find the levels of 8 bits by
KNOWN = 4  # times that a scan with a known text counts
BEFORE = ", before adapting"  # of a calibration's source
FIRST, SECOND = "model.onnx", "second_reader.onnx"


@dataclass(frozen=True)
class Pair:
    """The ONNX files of both readers."""

    first: Path
    second: Path

    def recognizer(self) -> Recognizer:
        """Load both; the second one looks at every line, however sure the first one is.

        Raises:
            ModelError: as of `Scorer`.
        """
        recognizer = Recognizer(Scorer(self.first), Scorer(self.second))
        recognizer.readers.sure = math.inf
        return recognizer


@dataclass
class Kept:
    """What a pair reads of scans, and what of it is kept to learn from."""

    scans: int = 0  # that could be read
    unreadable: dict[str, str] = field(default_factory=dict)  # why, by name
    agreed: int = 0  # kept because both readers read the same
    confirmed: int = 0  # kept because the check digit is right
    known: int = 0  # with a known text
    known_kept: int = 0  # of these, those that would be kept without it
    known_right: int = 0  # of those, the ones whose reading is the known text
    lines: list[LabeledLine] = field(default_factory=list)
    rows: list[tuple[str, str, str]] = field(default_factory=list)  # file, text, why it is kept

    @property
    def found(self) -> int:
        """How many scans are kept for what the readers say."""
        return self.agreed + self.confirmed

    @property
    def share(self) -> float:
        """The share of the scans without a known text that are kept."""
        return self.found / max(self.scans - self.known, 1)

    def write(self, table: Path) -> None:
        """Write what was kept as `file,text,why`, for people to look at."""
        with table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("file", "text", "why"))
            writer.writerows(self.rows)


@dataclass(frozen=True)
class Scans:
    """A folder of scans, most of them without a label."""

    folder: Path
    sources: tuple[tuple[str, Source], ...]  # by name in the folder
    known: Mapping[str, str]  # texts by name

    @classmethod
    def of(cls, folder: Path, labels: Path | None = None) -> "Scans":
        """List a folder's images, with the texts of those that a table knows.

        Args:
            folder: of images, at any depth.
            labels: a table of `file,text`, files relative to the folder.

        Raises:
            DatasetError: there is no image, or the table is wrong or names a file that is not
                there.
        """
        if not folder.is_dir():
            raise DatasetError(f"{folder}: expected a folder of scans")
        sources = tuple(
            (str(Path(source.name).relative_to(folder)), source)
            for source in expand([str(folder)])
            if Path(source.name) != folder
        )
        if not sources:
            raise DatasetError(f"{folder}: expected images, found none")
        known = {each.file: each.text for each in read_labels(labels)} if labels else {}
        if missing := sorted(known.keys() - dict(sources).keys()):
            raise DatasetError(
                f"{labels}: {missing[0]} and {len(missing) - 1} others are no images in {folder}"
                if len(missing) > 1
                else f"{labels}: {missing[0]} is no image in {folder}"
            )
        return cls(folder, sources, known)


def keep(
    pair: Pair,
    scans: Scans,
    check: Constraint | None = None,
    progress: Callable[[Iterator[tuple[str, Source]]], Iterator[tuple[str, Source]]] = iter,
) -> Kept:
    """Read scans with both readers and keep what is worth learning from.

    A text is kept where it is known, where its check digit is right, or, of scans that have none,
    where both readers and their vote agree on it surely enough. What has the wrong check digit is
    never kept.

    Args:
        pair: the readers.
        scans: the images and the texts known.
        check: the check digit that every text must have.
        progress: wraps the iteration, as `rich.progress.track` does.

    Raises:
        DatasetError: no image can be read.
    """
    recognizer, kept = pair.recognizer(), Kept()
    for name, source in progress(iter(scans.sources)):
        try:
            page = decode(source.read())
        except InputError as error:
            kept.unreadable[name] = str(error)
            continue
        kept.scans += 1
        recognition = recognizer.recognize(page)
        read = recognition.reading.text
        why = reason_to_keep(recognition, check)
        if name in scans.known:
            kept.known += 1
            kept.known_kept += bool(why)
            kept.known_right += bool(why) and read == scans.known[name]
            why, read = "known", scans.known[name]
        elif why == "agreed":
            kept.agreed += 1
        elif why:
            kept.confirmed += 1
        if why:
            line = normalize(page.gray, page.aspect)
            copies = KNOWN if why == "known" else 1
            kept.lines += [LabeledLine(line.pixels, line.slant, read)] * copies
            kept.rows.append((name, read, why))
    if not kept.scans:
        name, cause = next(iter(kept.unreadable.items()))
        raise DatasetError(f"{scans.folder}: expected scans that can be read; {name}: {cause}")
    return kept


def reason_to_keep(recognition: Recognition, check: Constraint | None) -> str:
    """Return why a reading is taken for the truth: `agreed`, `confirmed`, or nothing."""
    text = recognition.reading.text
    if not text:
        return ""
    if check is not None:
        return "confirmed" if check.allows(text) else ""
    evidence = recognition.evidence
    both = evidence.second is not None and evidence.agreed
    return "agreed" if both and evidence.probability >= SURE else ""


def check_agreement(kept: Kept, folder: Path) -> None:
    """Refuse to begin where the readers agree on too little.

    Raises:
        DatasetError: says on how much, and what helps.
    """
    enough = kept.share >= LEAST_AGREEMENT and kept.found >= FEWEST
    # Known texts are a footing of their own.
    if not enough and kept.known < FEWEST:
        raise DatasetError(
            f"{folder}: the readers agree on {kept.found} of {kept.scans - kept.known} scans "
            f"({kept.share:.0%}); adapting needs {LEAST_AGREEMENT:.0%} and at least {FEWEST}, or "
            f"the texts of {FEWEST} scans by --labels: what else they agree on is often wrong"
        )


@dataclass(frozen=True)
class Round:
    """What one round kept and made."""

    number: int
    kept: Kept
    pair: Pair  # continued with what was kept


@dataclass(frozen=True)
class Learning:
    """What is learned beside the scans, and how."""

    windows: Config
    config: SequenceConfig
    training: SequenceData  # without scans
    held_out: SequenceData
    sources: Sequence[str]  # of digits, for the models' metadata
    device: str = "cpu"
    workers: int = 1


def adapt(
    run: Path,
    pair: Pair,
    scans: Scans,
    learning: Learning,
    check: Constraint | None = None,
    rounds: int = 1,
    report: Callable[[int, Kept], None] = lambda _number, _kept: None,
    progress: Callable[[Iterator[tuple[str, Source]]], Iterator[tuple[str, Source]]] = iter,
) -> list[Round]:
    """Read, keep, learn, and do so again while the readers agree on more.

    They agree on more of what they have just learned from in any case, and in a second round on no
    more of other scans: one is the default. What they agree on after the last one is read as well.

    The folder receives a `round-N` each, with what was kept (`kept.csv`) and the checkpoints of
    both networks, then `model.onnx` and `second_reader.onnx`, which have no thresholds. Called
    again, an interrupted run goes on after its last whole epoch.

    Args:
        run: the run's folder.
        pair: the readers to continue.
        scans: to learn from.
        learning: what else is learned, and how.
        check: the check digit that every text must have.
        rounds: the most.
        report: called with each reading's number, from 1, and what it kept.
        progress: of `keep`.

    Returns:
        The rounds that count; none where Ctrl-C ended the first one.

    Raises:
        DatasetError: nothing can be read, or the readers agree on too little to begin.
        ModelError: a model cannot be read.
    """
    done: list[Round] = []
    for number in range(1, rounds + 2):
        kept = keep(pair, scans, check, progress)
        report(number, kept)
        if not done:
            check_agreement(kept, scans.folder)
        elif kept.found < done[-1].kept.found:  # the round lost more than it won
            done.pop()
            break
        elif number > rounds or kept.found < done[-1].kept.found + GROWTH * kept.scans:
            break
        folder = run / f"round-{number}"
        folder.mkdir(parents=True, exist_ok=True)
        kept.write(folder / "kept.csv")
        learned = learn(folder, pair, kept, scans, learning)
        if learned is None:
            break
        pair = learned
        done.append(Round(number, kept, pair))
    if done:
        shutil.copyfile(done[-1].pair.first, run / FIRST)
        shutil.copyfile(done[-1].pair.second, run / SECOND)
    return done


def learn(folder: Path, pair: Pair, kept: Kept, scans: Scans, learning: Learning) -> Pair | None:
    """Continue both networks with what was kept; None if Ctrl-C came first.

    What was in 8 bits before is so again, by levels found on the scans, too.

    Raises:
        ModelError: a model in 8 bits would read otherwise than in floating point.
    """
    made = []
    name = f"{scans.folder.resolve().name}, adapted to ({len(kept.rows)} of {kept.scans} kept)"
    lines = LineSet.of(kept.lines)
    cuttings = Cuttings.of(lines, Scorer(pair.second))
    training = replace(
        learning.training, scans=lines, cuttings=cuttings if cuttings.complete() else None
    )
    shown = [view(line.pixels, view_matrix(line.slant)) for line in kept.lines]
    for model, out in ((pair.first, FIRST), (pair.second, SECOND)):
        network, learned = load_model(model)
        stage = SequenceStage(
            learning.windows,
            learning.config,
            training,
            learning.held_out,
            [*learning.sources, name],
            network=network.name,
        )
        own = folder / network.name
        done = fit(own, stage, stages(learned), network, learning.device, learning.workers)
        if not done.finished:
            return None
        export(own / "best.pt", folder / out)
        if in_8_bits(model):
            made_too = made_lines(training.digits, learning.windows.seed, PAGES)
            options = f"--pages {PAGES}, and the scans"
            quantize(folder / out, folder / out, [*shown, *made_too], options)
        made.append(folder / out)
    after = Pair(*made)
    carry_calibration(pair, after)
    return after


def carry_calibration(before: Pair, after: Pair) -> None:
    """Give a pair the confidences of the one that it went on from, but no threshold.

    They still rank readings, and are nearer to the truth than none. What may be accepted by them is
    not known without labels: a pair that has learned from its own readings is surer of its
    mistakes, too.
    """
    old, new = Scorer(before.first).metadata, Scorer(after.first).metadata
    pairing = old.pairing or Pairing(Scorer(before.second).digest)
    metadata = replace(
        new,
        calibration=without_thresholds(old.calibration),
        pairing=replace(
            pairing,
            second=Scorer(after.second).digest,
            calibration=without_thresholds(pairing.calibration),
        ),
    )
    write_metadata(after.first, metadata, after.first)


def without_thresholds(calibration: Calibration) -> Calibration:
    """Return a calibration as it is before scans of another kind are read."""
    if not calibration.source or calibration.source.endswith(BEFORE):
        return replace(calibration, thresholds=())
    return replace(calibration, thresholds=(), source=f"{calibration.source}{BEFORE}")

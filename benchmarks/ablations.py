"""What each part is worth: strings of labeled scans read without it.

`reading` takes parts of the reading away from one model. `training` trains short second stages,
all from the same weights and for the same number of steps, each without one part of the data.
Scans that are read here must not be among those learned from.
"""

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from decoding import best_path
from rapidfuzz.distance import Levenshtein

from service.imaging.decode import decode as decode_image
from service.imaging.page import Gray
from service.recognition.decoding.constraints import length
from service.recognition.decoding.decoder import decode
from service.recognition.model import Scorer, Scores
from service.recognition.model_metadata import ModelMetadata
from service.recognition.normalize import PLAIN, View, normalize
from service.recognition.recognizer import Options, Recognizer
from training.config import Config, SequenceConfig, StripConfig
from training.data.digits import load_mnist, split
from training.data.scans import LineSet, load_scans, read_scans
from training.export import load, load_model, to_onnx
from training.stages.sequences import SequenceData, SequenceStage
from training.stages.train import fit

SHAPES = ("drawn", "flag", "foot", "bar", "long_bar", "curl", "wobble")
PAPER = ("dark", "guilloche", "texture", "rules", "box", "print_marks", "light", "noise", "jpeg")
BESIDE = ("separator", "trailing", "leading", "currency", "underline", "stranger")
STILL = {"upright": 0.5, "slant": 0.0, "scale": 0.0, "stretch": 0.0, "lift": 0.0}

Strips = list[tuple[Gray, str]]


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("reading", "training"))
    parser.add_argument("model", type=Path, help="read with this, or begin training from it")
    parser.add_argument("strips", type=Path, help="the folder of labeled scans to read")
    parser.add_argument("--learned", type=Path, help="training: the folder of scans to learn from")
    parser.add_argument("--data-dir", type=Path, help="training: MNIST's four files")
    parser.add_argument("--runs", type=Path, default=Path("runs/ablations"))
    parser.add_argument("--epochs", type=int, default=4, help="training: of 250 steps each")
    args = parser.parse_args()
    strips = [(decode_image(scan.content), scan.text) for scan in read_scans(args.strips)]
    print("| without | exact strings | character error rate |\n|---|---|---|")
    if args.what == "reading":
        reading(args.model, strips)
    else:
        training(args, strips)


def reading(model: Path, strips: Strips) -> None:
    """Read with ever more parts."""
    scorer = Scorer(model)
    metadata = scorer.metadata

    def once(view: View, decoder: Callable[[Scores, ModelMetadata], str]) -> Callable[[Gray], str]:
        return lambda gray: decoder(scorer.score(normalize(gray).strip(view).pixels)[0], metadata)

    half, whole = View(upright=0.5), View(upright=1.0)
    show("best path, slant left as it is", once(PLAIN, best_path), strips)
    show("all alignments summed, slant left", once(PLAIN, summed), strips)
    show("all the slant taken away", once(whole, summed), strips)
    show("half the slant taken away", once(half, summed), strips)
    recognizer = Recognizer(scorer)
    show("the other views where unsure: as shipped", shipped(recognizer), strips)
    truths = dict(zip((id(gray) for gray, _ in strips), (text for _, text in strips), strict=True))
    show(
        "as shipped, given the true length",
        lambda gray: (
            recognizer.recognize(
                gray, Options(length(len(truths[id(gray)]), len(truths[id(gray)])))
            ).reading.text
        ),
        strips,
    )


def training(args: argparse.Namespace, strips: Strips) -> None:
    """Train without one part at a time."""
    network, _ = load_model(args.model)
    digits, held_out = split(load_mnist(args.data_dir)[0])
    scans = load_scans([args.learned])[0]
    # A short run is judged at its end, so its average reaches less far back.
    usual = dataclasses.replace(
        SequenceConfig(), epochs=args.epochs, held_out_lines=50, average=0.99
    )
    plain, alone, clean = (
        dataclasses.replace(StripConfig(), **dict.fromkeys(names, 0.0))
        for names in (SHAPES, BESIDE, PAPER)
    )
    parts: list[tuple[str, SequenceConfig, StripConfig, LineSet | None]] = [
        ("nothing", usual, StripConfig(), scans),
        ("scans", usual, StripConfig(), None),
        ("written pages", dataclasses.replace(usual, composed=1.0), StripConfig(), scans),
        ("composed strips", dataclasses.replace(usual, composed=0.0), StripConfig(), scans),
        ("shapes of digits that MNIST lacks", usual, plain, scans),
        ("what is written beside digits", usual, alone, scans),
        ("patterns, rules and noise of paper", usual, clean, scans),
        ("views: slants, scales, lifts", dataclasses.replace(usual, **STILL), StripConfig(), scans),
    ]
    for name, config, pages, learned in parts:
        folder = args.runs / name.replace(" ", "-").replace(":", "").replace(",", "")
        stage = SequenceStage(
            Config(),
            config,
            SequenceData(digits, learned),
            SequenceData(held_out),
            [name],
            pages,
        )
        fit(folder, stage, initial=network)
        to_onnx(*load(folder / "best.pt"), folder / "model.onnx")
        show(name, shipped(Recognizer(Scorer(folder / "model.onnx"))), strips)


def shipped(recognizer: Recognizer) -> Callable[[Gray], str]:
    """Return the service's way to read."""
    return lambda gray: recognizer.recognize(gray).reading.text


def summed(scores: Scores, metadata: ModelMetadata) -> str:
    """Return the text whose alignments have most probability together."""
    return decode(scores, metadata, strings=1).text


def show(name: str, read: Callable[[Gray], str], strips: Sequence[tuple[Gray, str]]) -> None:
    """Print a row."""
    texts = [(read(gray), truth) for gray, truth in strips]
    exact = np.mean([text == truth for text, truth in texts])
    edits = sum(Levenshtein.distance(text, truth) for text, truth in texts)
    rate = edits / sum(len(truth) for _, truth in texts)
    print(f"| {name} | {exact:.1%} | {rate:.1%} |", flush=True)


if __name__ == "__main__":
    main()

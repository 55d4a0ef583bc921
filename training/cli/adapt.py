"""`digitstrip-train adapt`: scans without labels to a pair of readers that know their hands."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from service.cli.recognition_options import CheckOption
from training.cli.data_options import DataDirOption, DataOption, Source, load_hands_beside
from training.cli.fit import Device
from training.config import Config, SequenceConfig


def adapt(
    run: Annotated[Path, typer.Argument(help="The run's folder; an interrupted run goes on.")],
    scans: Annotated[Path, typer.Option(help="A folder of images; no label is needed.")],
    labels: Annotated[
        Path | None,
        typer.Option(help="A table of file,text of those scans whose text is known."),
    ] = None,
    check: CheckOption = None,
    model: Annotated[
        Path | None, typer.Option(help="The first reader's ONNX file; by default the shipped one.")
    ] = None,
    second_reader: Annotated[
        Path | None,
        typer.Option(help="The second reader's; by default the shipped one beside the shipped."),
    ] = None,
    hands: Annotated[
        Path | None, typer.Option(help="A folder with digits of other hands, for made pages.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="The most; a second one rarely wins.")] = 1,
    epochs: Annotated[
        int, typer.Option(min=1, help="Of each network in each round, 200 steps each.")
    ] = SequenceConfig.adapting().epochs,
    data: DataOption = Source.MNIST,
    data_dir: DataDirOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides everything random.")] = Config.seed,
    device: Annotated[Device, typer.Option()] = Device.CPU,
    workers: Annotated[int, typer.Option(min=0, help="Processes that make batches.")] = 1,
) -> None:
    """Adapt both readers to scans without labels, by what the two read alike.

    Each round reads the scans, keeps what both readers and their vote agree on, or what has the
    right check digit, and learns from it beside made pages. A round after which the readers agree
    on less is dropped. The models are written to RUN; they accept nothing until they are
    calibrated.
    """
    from collections.abc import Iterator

    from rich.progress import track

    from service.imaging.files import Source as ImageSource
    from service.recognition.decoding.constraints import SCHEMES
    from service.recognition.model import SHIPPED_MODEL, second_reader_file
    from training import adaptation
    from training.stages.sequences import SequenceData

    second = second_reader or second_reader_file(model, None)
    if second is None:
        raise typer.BadParameter(
            "two readers are needed: name the second one that belongs to --model",
            param_hint="--second-reader",
        )
    pair = adaptation.Pair(model or SHIPPED_MODEL, second)
    listed = adaptation.Scans.of(scans, labels)

    learned, held_out, sources = load_hands_beside(data, data_dir, hands, seed)
    learning = adaptation.Learning(
        dataclasses.replace(Config(), seed=seed),
        dataclasses.replace(SequenceConfig.adapting(), epochs=epochs),
        learned,
        SequenceData(held_out),
        sources,
        device.value,
        workers,
    )

    def progress(items: Iterator[tuple[str, ImageSource]]) -> Iterator[tuple[str, ImageSource]]:
        count = len(listed.sources)
        yield from track(items, f"reading {scans}", total=count, transient=True)

    def report(number: int, kept: adaptation.Kept) -> None:
        how = "with the right check digit" if check else "that the readers agree on"
        typer.echo(
            f"reading {number}: {kept.found} of {kept.scans - kept.known} scans {how} "
            f"({kept.share:.0%})"
        )
        if kept.known:
            typer.echo(
                f"of {kept.known} scans with a known text {kept.known_kept} would be kept, "
                f"{kept.known_right} of them read right"
            )
        if kept.unreadable and number == 1:
            name, why = next(iter(kept.unreadable.items()))
            typer.echo(f"{len(kept.unreadable)} files cannot be read: {name}: {why}")
        if kept.share < adaptation.LOW_AGREEMENT and number == 1:
            typer.echo(
                "warning: that is little; more of what is kept may be wrong than is good "
                "for learning. Look at kept.csv, or give some texts by --labels"
            )

    scheme = SCHEMES[check.value]() if check else None
    done = adaptation.adapt(run, pair, listed, learning, scheme, rounds, report, progress)
    if not done:
        typer.echo("nothing was learned; the models remain as they are")
        return
    first, other = run / adaptation.FIRST, run / adaptation.SECOND
    typer.echo(
        f"after {len(done)} round{'s' * (len(done) > 1)}: {first} and {other} written. Their "
        "confidences are calibrated as before, and they accept nothing; on scans whose texts are "
        "known (50 or more):\n"
        f"digitstrip-train calibrate {first} {first} --second-reader {other} --strips DIR"
    )

"""`digitstrip-train lecture`: its options, and what it prints."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

QUICK_OUT, OUT = Path("out/lecture"), Path("docs")


def lecture(
    chapter: Annotated[
        list[int] | None, typer.Argument(help="Chapters, 1 to 9; all without any.")
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Little data and few seeds, to show that everything runs."),
    ] = False,
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="Redraw pictures and page from kept figures; measure nothing."
        ),
    ] = False,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="A folder with MNIST's four IDX files; without it they are downloaded."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help=f"Receives lecture.md and lecture/; {OUT}, or {QUICK_OUT} if --quick."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides everything random.")] = 1,
) -> None:
    """Reproduce the lecture's systems, print ours beside the papers', write docs/lecture.md."""
    import torch

    from training.lecture import course
    from training.lecture.chapter import Setting
    from training.lecture.page import minutes, terminal

    console = Console()
    torch.set_num_threads(1)
    out = out or (QUICK_OUT if quick else OUT)
    setting = Setting(out / "lecture", quick, seed, data_dir)
    for each in course.chapters(chapter or []):
        started = time.monotonic()
        with console.status(f"{each.number}. {each.title}"):
            kept = course.load(each, setting.folder) if again else course.run(each, setting)
            as_measured = replace(setting, quick=kept["quick"], seed=kept["seed"])
            course.draw(each, kept["figures"], as_measured)
        console.print(terminal(each, each.tell(kept["figures"])))
        console.print(minutes(time.monotonic() - started), style="dim", justify="right")
    typer.echo(f"{course.write_page(out)} written")

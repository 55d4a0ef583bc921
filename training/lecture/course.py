"""`digitstrip-train lecture`: run chapters, keep their figures, put the page together."""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import matplotlib
import torch
import typer
from rich.console import Console

from service.errors import DigitstripError
from training.lecture.chapter import Chapter, Figures, Setting
from training.lecture.page import COMMAND, minutes, page, terminal
from training.lecture.style import STYLE

ROOMS = (
    "five_nets",
    "zip_code",
    "separate_pooling",
    "layer_kinds",
    "equivariance",
    "any_length",
    "sliding_window",
    "feature_binding",
    "good_for",
)


class LectureError(DigitstripError):
    """A chapter that there is none of, or figures that cannot be told."""

    reason = "BAD_LECTURE"


def chapters(numbers: Sequence[int] = ()) -> list[Chapter]:
    """Return chapters by number, all without any, in the lecture's order.

    Raises:
        LectureError: there is no such chapter.
    """
    every: list[Chapter] = [import_module(f"training.lecture.{room}").CHAPTER for room in ROOMS]
    unknown = sorted(set(numbers) - {chapter.number for chapter in every})
    if unknown:
        raise LectureError(f"chapter {', '.join(map(str, unknown))}: expected 1 to {len(every)}")
    return [chapter for chapter in every if not numbers or chapter.number in numbers]


def figures_file(folder: Path, chapter: Chapter) -> Path:
    """Return where a chapter's figures are kept."""
    return folder / f"{chapter.number}-figures.json"


def run(chapter: Chapter, setting: Setting) -> dict[str, Any]:
    """Measure a chapter, keep its figures, and draw them.

    Returns:
        What is kept: the figures, and how they were made.
    """
    started = time.monotonic()
    figures = chapter.measure(setting)
    kept = {
        "seconds": time.monotonic() - started,
        "seed": setting.seed,
        "quick": setting.quick,
        "data": setting.data,
        "figures": figures,
    }
    setting.folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_rounded(kept), indent=1, allow_nan=True) + "\n"
    figures_file(setting.folder, chapter).write_text(text, encoding="utf-8")
    return kept


def load(chapter: Chapter, folder: Path) -> dict[str, Any]:
    """Return what the last run of a chapter kept.

    Raises:
        LectureError: there is none, or it cannot be read.
    """
    path = figures_file(folder, chapter)
    try:
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LectureError(
            f"{path}: expected a chapter's figures, found {error.strerror}"
        ) from error
    except ValueError as error:
        raise LectureError(f"{path}: expected a chapter's figures as JSON, {error}") from error
    missing = {"seconds", "seed", "quick", "data", "figures"} - set(kept)
    if missing:
        raise LectureError(f"{path}: expected a chapter's figures, found no {', '.join(missing)}")
    return kept


def made(chapter: Chapter, kept: dict[str, Any]) -> str:
    """Return, in Markdown, the command, seed and data behind a chapter's figures."""
    flags = " --quick" if kept["quick"] else ""
    return (
        f"`{COMMAND} {chapter.number}{flags} --seed {kept['seed']}`; digits: {kept['data']}; "
        f"measuring took {minutes(kept['seconds'])}"
    )


def draw(chapter: Chapter, figures: Figures, setting: Setting) -> None:
    """Draw a chapter's pictures in the lecture's style."""
    with matplotlib.rc_context(STYLE):
        chapter.draw(figures, setting)


def write_page(out: Path) -> Path:
    """Write `lecture.md` from all figures that a folder's `lecture/` keeps.

    Raises:
        LectureError: there are none.
    """
    there = [each for each in chapters() if figures_file(out / "lecture", each).is_file()]
    if not there:
        raise LectureError(
            f"{out / 'lecture'}: expected figures of at least one chapter, found none"
        )
    kept = {chapter: load(chapter, out / "lecture") for chapter in there}
    text = page(
        {chapter: chapter.tell(each["figures"]) for chapter, each in kept.items()},
        {chapter.number: made(chapter, each) for chapter, each in kept.items()},
        sum(each["seconds"] for each in kept.values()),
    )
    path = out / "lecture.md"
    path.write_text(text, encoding="utf-8")
    return path


def lecture(
    chapter: Annotated[
        list[int] | None, typer.Argument(help="Chapters, 1 to 9; all without any.")
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Little data, few seeds: that it runs, not what is true."),
    ] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="Draw and tell what the last run measured; measure nothing."),
    ] = False,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="A folder with MNIST's four IDX files; without it they are downloaded."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Receives lecture.md, and lecture/ with figures and pictures; docs, or out/lecture "
            "for --quick."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides everything random.")] = 1,
) -> None:
    """Reproduce the lecture's systems, print ours beside the papers', and write docs/lecture.md."""
    console = Console()
    torch.set_num_threads(1)
    out = out or Path("out/lecture" if quick else "docs")
    setting = Setting(out / "lecture", quick, seed, data_dir)
    for each in chapters(chapter or []):
        started = time.monotonic()
        with console.status(f"{each.number}. {each.title}"):
            kept = load(each, setting.folder) if again else run(each, setting)
            as_measured = replace(setting, quick=kept["quick"], seed=kept["seed"])
            draw(each, kept["figures"], as_measured)
        console.print(terminal(each, each.tell(kept["figures"])))
        console.print(f"{time.monotonic() - started:.0f} s\n", style="dim", justify="right")
    console.print(f"{write_page(out)} written")


def _rounded(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return figures with six digits, which is more than any of them means."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else value
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else value

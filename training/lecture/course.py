"""The chapters in order: run them, keep their figures, put the page together."""

import json
import math
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import matplotlib

from service.errors import DigitstripError
from training.lecture.chapter import Chapter, Figures, Setting
from training.lecture.page import COMMAND, minutes, page
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
    """A chapter that does not exist, or figures that cannot be loaded."""

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


def run(chapter: Chapter, setting: Setting) -> Figures:
    """Measure a chapter, keep its figures, and draw them.

    Returns:
        What is kept: the figures, and how they were made.
    """
    started = time.process_time()  # a busy machine does not count
    figures = chapter.measure(setting)
    kept = {
        "seconds": time.process_time() - started,
        "seed": setting.seed,
        "quick": setting.quick,
        "data": setting.data,
        "figures": figures,
    }
    setting.folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_rounded(kept), indent=1, allow_nan=True) + "\n"
    figures_file(setting.folder, chapter).write_text(text, encoding="utf-8")
    return kept


def load(chapter: Chapter, folder: Path) -> Figures:
    """Return what the last run of a chapter kept.

    Raises:
        LectureError: there is none, or it cannot be read.
    """
    path = figures_file(folder, chapter)
    try:
        kept: Figures = json.loads(path.read_text(encoding="utf-8"))
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


def made(chapter: Chapter, kept: Figures) -> str:
    """Return, in Markdown, the command, seed and data behind a chapter's figures."""
    flags = " --quick" if kept["quick"] else ""
    return (
        f"`{COMMAND} {chapter.number}{flags} --seed {kept['seed']}`; data: {kept['figures'].get('data', kept['data'])}; "
        f"measuring took at most {minutes(kept['seconds'])} of one core"
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


def _rounded(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return figures with six digits, which is more than any of them means."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else value
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else value

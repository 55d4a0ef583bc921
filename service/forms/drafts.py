"""Templates that are made of blank forms, for editing: fields that were found, and the page."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from service.errors import BadForm, SettingsError
from service.forms.places import Box
from service.forms.template import load
from service.imaging.limits import Limits
from service.imaging.page import Gray

LONGEST_NAME = 80
CLOSE_CELLS = 0.4  # of a comb's pitch, that print may be off where a millimeter is too much
SEARCH_MM = 1.0  # a template's default


@dataclass(frozen=True)
class DraftField:
    """A field that was found on a blank form."""

    name: str
    box: Box  # mm
    comb: int | None = None  # printed cells
    longest: int | None = None  # digits, if that is known


def write_draft(
    path: Path,
    gray: Gray,
    size: tuple[float, float],
    fields: Sequence[DraftField],
    limits: Limits,
    scan: Path | None = None,
) -> Path:
    """Write a template and its reference, a PNG beside it; nothing is overwritten.

    Args:
        path: of the template, a .toml.
        gray: (height, width) the blank page.
        size: of the page, mm.
        fields: on it.
        limits: of the reference.
        scan: where the blank page was read from; beside the template, it is the reference itself.

    Returns:
        The reference's path.

    Raises:
        SettingsError: a file is there already, or cannot be written.
        BadForm: the template needs editing, and says where; both files are written.
    """
    is_beside = scan is not None and scan.resolve().parent == path.resolve().parent
    reference = scan if scan is not None and is_beside else path.with_suffix(".png")
    if path.suffix != ".toml":
        raise SettingsError(f"--output is {path}; expected a name that ends in .toml")
    text = "\n".join(_lines(path.stem, reference.name, size, fields))
    written = [path] if is_beside else [path, reference]
    for each in written:
        if each.exists():
            raise SettingsError(f"{each} exists; choose another name by --output")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
        if not is_beside:
            Image.fromarray(gray).save(reference)
    except OSError as error:
        raise SettingsError(f"cannot write {error.filename or path}: {error.strerror}") from error
    try:
        load(path, limits)
    except BadForm as error:
        raise BadForm(f"{path} is written, and needs editing: {error}", error.field) from error
    return reference


def distinct(names: Iterable[str]) -> Iterator[str]:
    """Yield names as templates may have them, each once: others' characters are `_`."""
    taken: set[str] = set()
    for each in names:
        name = re.sub(r"[^\w.\- ]", "_", each).strip()[: LONGEST_NAME - 5] or "field"
        candidate, number = name, 1
        while candidate in taken:
            number += 1
            candidate = f"{name} {number}"
        taken.add(candidate)
        yield candidate


def _lines(
    name: str, reference: str, size: tuple[float, float], fields: Sequence[DraftField]
) -> Iterator[str]:
    yield "# A draft: delete fields that have no digits, and say what is known of the others."
    yield f"name = {json.dumps(name[:LONGEST_NAME], ensure_ascii=False)}"
    yield f"reference = {json.dumps(reference, ensure_ascii=False)}"
    yield f"\n[page]\nwidth = {size[0]:.2f}\nheight = {size[1]:.2f}"
    yield '\n[registration]\nby = "features"'
    for each in fields:
        box = each.box
        places = ", ".join(f"{side:.2f}" for side in (box.left, box.top, box.width, box.height))
        yield f"\n[[field]]\nname = {json.dumps(each.name, ensure_ascii=False)}\nbox = [{places}]"
        if each.comb is not None:
            yield f"comb = {each.comb}"
            pitch = box.width / each.comb
            if pitch / 2 <= SEARCH_MM:
                yield f"search = {CLOSE_CELLS * pitch:.2f}"
        elif each.longest is not None:
            yield f'length = "0-{each.longest}"'
    yield ""

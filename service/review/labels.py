"""A folder of labeled scans, as `digitstrip-train` evaluates, fits and calibrates on them."""

import csv
import io
from collections.abc import Container, Iterable
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from PIL import Image

from service.durable_files import writing
from service.errors import InputError, SettingsError
from service.imaging.decode import decode
from service.imaging.page import Page
from service.inputs.documents import Document
from service.review.sources import Sources

LABELS = "labels.csv"
SCAN = "scan"  # the name of one whose source ends in none
COLUMNS = ("file", "text", "why", "weight")


@dataclass(frozen=True)
class Labeled:
    """What a page says."""

    source: str
    page: int  # from 0
    text: str  # digits only; empty if there are none
    sha256: str | None = None  # of the source's bytes, if known
    why: str = ""  # somebody looked at it: `review` or `audit`
    weight: float | None = None  # rows of the batch that it stands for, itself among them


@dataclass(frozen=True)
class Folder:
    """What became of labels."""

    written: int
    missing: list[str]  # sentences about pages that could not be read


def write_folder(labels: Iterable[Labeled], sources: Sources, folder: Path) -> Folder:
    """Write a folder of scans with its `labels.csv`, which must not be there yet.

    An image is copied as it is, once it is known to be one; a page of a document or of a TIFF
    becomes a PNG. The same labels give the same bytes.

    Raises:
        SettingsError: the folder has a labels.csv.
        UnwritableOutput: it cannot be written.
        MissingExtra: a PDF cannot be drawn.
    """
    table = folder / LABELS
    if table.exists():
        raise SettingsError(f"{table} is there already; name another folder")
    rows: list[tuple[str, ...]] = []
    missing: list[str] = []
    taken = {LABELS}
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for label in labels:
            try:
                name, content = page_of_scan(label, sources)
            except InputError as error:
                missing.append(f"{label.source}, page {label.page + 1}: {error}")
                continue
            name = _free(name, taken)
            taken.add(name)
            with (folder / name).open("xb") as file:
                file.write(content)
            weight = "" if label.weight is None else f"{label.weight:.6g}"
            rows.append((name, label.text, label.why, weight))
        # What no review says of its labels has no columns.
        columns = COLUMNS if any(row[2] for row in rows) else COLUMNS[:2]
        with table.open("x", newline="", encoding="utf-8") as written:
            csv.writer(written).writerows([columns, *(row[: len(columns)] for row in rows)])
    return Folder(len(rows), missing)


def _free(name: str, taken: Container[str]) -> str:
    """Return a name that no other scan has taken; those of other folders may be the same."""
    path = Path(name)
    names = (str(path.with_stem(f"{path.stem}-{number}")) for number in count(2))
    return next(each for each in chain([name], names) if each not in taken)


def page_of_scan(label: Labeled, sources: Sources) -> tuple[str, bytes]:
    """Return a name for a label's page, and its file, or a PNG of it if the file has others, too.

    Raises:
        InputError: it cannot be read.
        MissingExtra: it is of a PDF, which cannot be drawn.
    """
    name = Path(label.source.rpartition("/")[2] or SCAN)
    name = name if name.name not in ("", "..") else Path(SCAN)
    encoded = sources.read(label.source, label.sha256)
    document = Document(encoded, sources.limits, sources.dpi)
    content, page = document.page(label.page)
    # A table may name any file: what is no image is not copied to where labels are passed on.
    drawn = decode(content, page, sources.limits) if isinstance(content, bytes) else Page(content)
    if isinstance(content, bytes) and document.pages == 1 and page == 0:
        return name.name, content
    png = io.BytesIO()
    dots = (sources.dpi, sources.dpi * drawn.aspect)  # from which the pixels' shape is known again
    Image.fromarray(drawn.gray).save(png, "PNG", dpi=dots)
    return f"{name.stem}-page-{label.page + 1}.png", png.getvalue()

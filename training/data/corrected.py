"""Corrected readings of a batch to a folder of labeled scans."""

import csv
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from service.errors import InputError, UnreadableSource
from service.imaging.decode import decode
from service.imaging.limits import Limits
from service.imaging.page import Page
from service.inputs.documents import Document
from training.data.digits import DatasetError
from training.data.labels import Label


@dataclass(frozen=True)
class Folder:
    """What became of labels."""

    written: int
    missing: list[str]  # sentences about pages that could not be read


def write_folder(labels: list[Label], beside: Path, folder: Path, dpi: int) -> Folder:
    """Write a folder of scans with its `labels.csv`, which must not be there yet.

    An image is copied as it is; a page of a document or of a TIFF becomes a PNG.

    Args:
        labels: whose files are relative to the working directory, or to `beside`.
        beside: the table's folder.
        folder: to write, made if it is not there.
        dpi: dots an inch that a PDF's pages are drawn at.

    Raises:
        DatasetError: the folder has a labels.csv, or cannot be written.
        MissingExtra: a PDF cannot be drawn.
    """
    table = folder / "labels.csv"
    if table.exists():
        raise DatasetError(f"{table} is there already; name another folder")
    rows: list[tuple[str, str]] = []
    missing: list[str] = []
    taken: Counter[str] = Counter()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for label in labels:
            try:
                name, content = page_of_scan(label, beside, dpi)
            except InputError as error:
                missing.append(f"{label.file}, page {label.page + 1}: {error}")
                continue
            path = folder / name
            taken[name] += 1
            if taken[name] > 1:  # of another folder
                path = path.with_stem(f"{path.stem}-{taken[name]}")
            with path.open("xb") as file:
                file.write(content)
            rows.append((path.name, label.text))
        with table.open("x", newline="", encoding="utf-8") as written:
            csv.writer(written).writerows([("file", "text"), *rows])
    except OSError as error:
        raise DatasetError(f"{folder} cannot be written: {error}") from error
    return Folder(len(rows), missing)


def page_of_scan(label: Label, beside: Path, dpi: int) -> tuple[str, bytes]:
    """Return a name for a label's page, and its file, or a PNG of it if the file has others, too.

    Raises:
        InputError: it cannot be read.
        MissingExtra: it is of a PDF, which cannot be drawn.
    """
    path = Path(label.file)
    if not path.is_file():
        path = beside / label.file
    try:
        encoded = path.read_bytes()
    except OSError as error:
        raise UnreadableSource(error.strerror or str(error), "source") from error
    document = Document(encoded, Limits(), dpi)
    content, page = document.page(label.page)
    if isinstance(content, bytes) and document.pages == 1 and page == 0:
        return path.name, content
    drawn = decode(content, page) if isinstance(content, bytes) else Page(content)
    png = io.BytesIO()
    dots = (dpi, dpi * drawn.aspect)  # from which the pixels' shape is known again
    Image.fromarray(drawn.gray).save(png, "PNG", dpi=dots)
    return f"{path.stem}-page-{label.page + 1}.png", png.getvalue()

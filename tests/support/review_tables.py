"""Tables as `digitstrip batch` writes them, with scans, whose truth is known."""

import json
import random
from pathlib import Path

import cv2
import numpy as np

from service.batch.job import CsvFormat
from service.batch.outputs.layouts import SHORT, STRIPS
from service.batch.outputs.rows import COLUMNS
from service.batch.outputs.writers import write_csv, write_jsonl, write_parquet
from service.batch.pages import PageResult, PageStatus

HIGH, WIDE = 48, 30  # pixels of a scan, of a digit's column


def scan_of(text):
    """A scan that says so, in a plain font."""
    page = np.full((HIGH, WIDE * (len(text) + 2)), 245, np.uint8)
    for place, digit in enumerate(text, 1):
        at = (WIDE * place + 4, HIGH - 12)
        cv2.putText(page, digit, at, cv2.FONT_HERSHEY_SIMPLEX, 1.1, 40, 2)
    return page


def row_of(source, text, confidence=0.9, **columns):
    """A row of a reading; its least sure digit is the one in the middle."""
    digits = [
        {
            "label": digit,
            "confidence": 0.6 if place == len(text) // 2 else 0.99,
            "extent": [WIDE * (place + 1), 10.0, WIDE * (place + 2), HIGH - 10.0],
            "runners_up": {str((int(digit) + 1) % 10): 0.3 if place == len(text) // 2 else 0.004},
        }
        for place, digit in enumerate(text)
    ]
    row = dict.fromkeys(COLUMNS) | {
        "source": str(source),
        "page": 1,
        "text": text,
        "confidence": confidence,
        "decision": "ACCEPT" if confidence >= 0.95 else "REVIEW",
        "reasons": [] if confidence >= 0.95 else ["LOW_CONFIDENCE"],
        "exact": True,
        "readers": [],
        "alternatives": [],
        "digits": digits,
        "model_digest": "c0ffee" * 10,
        "second_reader_digest": "",
        "version": "0.1.0",
    }
    return row | columns


def failed_row(source):
    """A row of a file that could not be read."""
    error = {"code": "INVALID_ARGUMENT", "reason": "DAMAGED_IMAGE", "message": "it is damaged"}
    empty = {name: [] for name in ("reasons", "readers", "alternatives", "digits")}
    return dict.fromkeys(COLUMNS) | empty | {"source": str(source), "page": 1, "error": error}


def write_table(path, rows, short=False, spreadsheet=False):
    """Write a table with the batch's own writers."""
    pages = [
        PageResult(
            0,
            PageStatus[row["decision"] or "READ"],
            row["confidence"] or 0.0,
            json.dumps(row).encode(),
            b"",
        )
        for row in rows
    ]
    if path.suffix == ".csv":
        write_csv(pages, path, CsvFormat(SHORT if short else STRIPS.csv_columns, spreadsheet))
    elif path.suffix == ".jsonl":
        write_jsonl(pages, path)
    else:
        write_parquet(pages, path, scores=False)
    return path


def made_batch(folder, count, seed=1, suffix=".jsonl", wrong=0.3, accepted=0.4):
    """Make scans and a table of their readings, some of them wrong.

    Returns:
        The table, and what each row's scan says.
    """
    rng = random.Random(seed)
    scans = Path(folder) / "scans"
    scans.mkdir(parents=True)
    rows, truths = [], []
    for number in range(count):
        truth = "".join(rng.choice("0123456789") for _ in range(rng.randint(3, 6)))
        source = scans / f"{number:04}.png"
        cv2.imwrite(str(source), scan_of(truth))
        is_accepted = rng.random() < accepted
        text = truth
        if rng.random() < (0.05 if is_accepted else wrong):
            place = len(text) // 2
            text = text[:place] + str((int(text[place]) - 1) % 10) + text[place + 1 :]
        confidence = round(rng.uniform(0.96, 0.999) if is_accepted else rng.uniform(0.2, 0.94), 6)
        rows.append(row_of(source, text, confidence))
        truths.append(truth)
    return write_table(Path(folder) / f"readings{suffix}", rows), truths

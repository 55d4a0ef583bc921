"""A run's report: one HTML file for people who would rather look than read tables."""

import base64
import html
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import cv2

from service.batch.inputs.documents import Document, most_bytes
from service.batch.inputs.items import Item
from service.batch.job import Order
from service.batch.outputs.summary import BARS, SHOWN, Summary
from service.batch.state.journal import written
from service.errors import DigitstripError
from service.imaging.decode import decode
from service.imaging.limits import Limits
from service.imaging.page import Gray

WIDE, HIGH = 520, 130  # pixels that a picture has at most
SURE, UNSURE = (34, 128, 72), (196, 60, 40)  # colors of a digit's line

STYLE = """
:root { --ink: #1c2430; --pale: #66707f; --line: #dde2e9; --fill: #f6f8fa; --mark: #2f6f9f;
  --bad: #c43c28; --good: #228048; --paper: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --pale: #98a2b0; --line: #333b46;
  --fill: #1b212a; --mark: #6bb0e0; --bad: #ef7a66; --good: #5cc48a; --paper: #12161c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 32px 24px 64px; color: var(--ink);
  background: var(--paper); font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 26px; margin: 0 0 2px; } h2 { font-size: 18px; margin: 40px 0 12px; }
p { margin: 0 0 12px; color: var(--pale); max-width: 76ch; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px;
  margin-top: 20px; }
.tile { border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px;
  background: var(--fill); }
.tile b { display: block; font-size: 26px; font-weight: 650; line-height: 1.25; }
.tile span { color: var(--pale); font-size: 13px; }
.good b { color: var(--good); } .bad b { color: var(--bad); }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(270px, 1fr)); gap: 14px; }
.card { border: 1px solid var(--line); border-radius: 10px; overflow: hidden;
  background: var(--fill); }
.card .shown { background: #fff; height: 112px; display: flex; align-items: center;
  justify-content: center; padding: 8px; }
.card svg { max-width: 100%; max-height: 96px; }
.card div + div { padding: 8px 12px 10px; }
.card code { font-size: 20px; letter-spacing: .06em; overflow-wrap: anywhere; }
.card em { float: right; font-style: normal;
  color: var(--bad); font-weight: 600; }
.card small { display: block; color: var(--pale); overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; color: var(--pale); font-weight: 500; }
td, th { padding: 6px 10px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere; }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.tag { font: 12px ui-monospace, monospace; color: var(--bad); white-space: nowrap; }
svg text { fill: var(--pale); font: 12px system-ui, sans-serif; } svg .bar { fill: var(--mark); }
svg .axis { stroke: var(--line); }
footer { margin-top: 48px; color: var(--pale); font-size: 13px; overflow-wrap: anywhere; }
"""


def write_report(path: Path, order: Order, inputs: Iterable[Item], summary: Summary) -> None:
    """Write the report of a finished run.

    Args:
        path: of the HTML file.
        order: what the run was to do.
        inputs: what it read, to take the pictures from.
        summary: what became of it.

    Raises:
        UnwritableOutput: the file cannot be written.
    """
    page = "".join(_page(order, inputs, summary))
    partial = path.with_name(path.name + ".partial")
    with written(path):
        partial.write_text(page, "utf-8")
        partial.replace(path)


def _page(order: Order, inputs: Iterable[Item], summary: Summary) -> Iterator[str]:
    title = html.escape(order.output.name)
    yield (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><h1>{title}</h1>"
        f"<p>{html.escape(' · '.join(_asked(order)))}</p>"
    )
    yield from _tiles(summary)
    yield "<h2>How sure the readings are</h2>"
    yield _histogram(summary.confidences)
    if summary.least:
        yield (
            "<h2>The least certain readings</h2><p>The line under a digit is green where the digit "
            "is sure, red where it is not. Where these are wrong, the confidence did its work; "
            "where many surer ones are, it does not hold on such scans.</p>"
            '<div class="cards">'
        )
        yield from _cards(order, inputs, summary)
        yield "</div>"
    yield from _aside(summary)
    yield f"<footer>{html.escape(_made_by(summary))}</footer></body></html>\n"


def _asked(order: Order) -> Iterator[str]:
    if order.asked.HasField("accepted_error_rate"):
        yield f"of what is accepted, at most {order.asked.accepted_error_rate:.4g} may be wrong"
    constraint = order.asked.constraint
    for field, value in constraint.ListFields():
        told = f"{len(value)} strings" if field.name == "allowed" else str(value).strip()
        yield f"{field.name.replace('_', ' ')}: {' '.join(told.split())}"


def _tiles(summary: Summary) -> Iterator[str]:
    decided = summary.accepted + summary.review
    tiles = [("", f"{summary.rows:,}", "rows"), ("", f"{summary.read:,}", "read")]
    if decided:
        tiles.append(("good", f"{summary.accepted / decided:.1%}", "of them accepted"))
        tiles.append(("", f"{summary.review:,}", "to review"))
    tiles.append(("bad" if summary.failed else "good", f"{summary.failed:,}", "set aside"))
    yield '<div class="tiles">'
    for kind, figure, what in tiles:
        yield f'<div class="tile {kind}"><b>{figure}</b><span>{what}</span></div>'
    yield "</div>"


def _histogram(counts: list[int]) -> str:
    """Return a picture of how many readings have which confidence."""
    wide, high, foot = 40, 180, 34
    most = max([*counts, 1])
    parts = []
    for bar, count in enumerate(counts):
        tall = high * count / most
        told = f"{bar / BARS:.0%} to {(bar + 1) / BARS:.0%}: {count:,}"
        parts.append(
            f'<rect class="bar" x="{bar * wide + 3}" y="{high - tall + 18:.1f}" rx="2" '
            f'width="{wide - 6}" height="{max(tall, 1 if count else 0):.1f}"><title>{told}</title>'
            f"</rect>"
        )
        if count:
            parts.append(
                f'<text x="{bar * wide + wide / 2}" y="{high - tall + 13:.1f}" '
                f'text-anchor="middle">{count:,}</text>'
            )
    edges = "".join(
        f'<text x="{edge * wide}" y="{high + foot}" text-anchor="middle">{edge / BARS:.0%}</text>'
        for edge in range(0, BARS + 1, 2)
    )
    return (
        f'<svg viewBox="-20 0 {BARS * wide + 40} {high + foot + 24}" width="100%" role="img" '
        'aria-label="Histogram of confidences">'
        f'<line class="axis" x1="0" x2="{BARS * wide}" y1="{high + 18}" y2="{high + 18}"/>'
        f'{"".join(parts)}{edges}<text x="{BARS * wide / 2}" y="{high + foot + 20}" '
        'text-anchor="middle">confidence</text></svg>'
    )


def _cards(order: Order, inputs: Iterable[Item], summary: Summary) -> Iterator[str]:
    """Yield the least certain readings, each with its picture."""
    wanted = summary.least_certain()
    items = _items(inputs, {least.number for least in wanted})
    for least in wanted:
        row = json.loads(least.row)
        picture = "<small>its picture is gone</small>"
        if (item := items.get(least.number)) is not None:
            with suppress(DigitstripError, OSError):
                picture = _picture(_gray(order, item, least.page), row)
        where = row["source"] + (f", page {row['page'] + 1}" if row["page"] else "")
        yield (
            f'<div class="card"><div class="shown">{picture}</div><div>'
            f"<em>{row['confidence']:.1%}</em><code>{html.escape(row['text']) or '∅'}</code>"
            f"<small>{html.escape(where)}</small></div></div>"
        )


def _items(inputs: Iterable[Item], numbers: set[int]) -> dict[int, Item]:
    """Return the items of some numbers."""
    last = max(numbers, default=-1)
    return {n: item for n, item in enumerate(islice(inputs, last + 1)) if n in numbers}


def _gray(order: Order, item: Item, page: int) -> Gray:
    limits = Limits()
    document = Document(item.read(most_bytes(item.source, limits)), limits, order.dpi)
    content, number = document.page(page)
    return decode(content, number, limits).gray if isinstance(content, bytes) else content


def _picture(gray: Gray, row: dict[str, Any]) -> str:
    """Return a page as an SVG image with a line under each digit."""
    top, bottom = row["normalization"]["text_band"]
    margin = max((bottom - top) / 2, 4)
    first, last = max(int(top - margin), 0), min(int(bottom + margin) + 1, gray.shape[0])
    shown = gray[first:last]
    height, width = shown.shape
    size = min(WIDE / width, HIGH / height, 1.0)
    small = cv2.resize(
        shown,
        (max(round(width * size), 1), max(round(height * size), 1)),
        interpolation=cv2.INTER_AREA,
    )
    _, png = cv2.imencode(".png", small)
    lines = []
    for digit in row["digits"]:
        left, _, right, _ = digit["extent"]
        gap = (right - left) * 0.06
        sure = min(max((digit["confidence"] - 0.5) * 2, 0.0), 1.0)
        red, green, blue = (round(u + (s - u) * sure) for s, u in zip(SURE, UNSURE, strict=True))
        y = height * 1.04
        told = f"{digit['label']} {digit['confidence']:.1%}"
        lines.append(
            f'<line x1="{left + gap:.1f}" x2="{right - gap:.1f}" y1="{y:.1f}" y2="{y:.1f}" '
            f'stroke="rgb({red},{green},{blue})" stroke-width="{height * 0.045:.2f}">'
            f"<title>{html.escape(told)}</title></line>"
        )
    data = base64.b64encode(png.tobytes()).decode("ascii")
    shown_width = max(width * min(96 / height, 254 / width), 1)
    return (
        f'<svg viewBox="0 0 {width} {height * 1.08:.1f}" width="{shown_width:.0f}">'
        f'<image href="data:image/png;base64,{data}" width="{width}" height="{height}"/>'
        f"{''.join(lines)}</svg>"
    )


def _aside(summary: Summary) -> Iterator[str]:
    """Yield what could not be read: counts by reason, and the rows."""
    if not summary.failed:
        return
    yield "<h2>Set aside</h2><table><tr><th>reason</th><th>rows</th></tr>"
    for reason, count in summary.reasons.most_common():
        yield f'<tr><td><span class="tag">{reason}</span></td><td class="n">{count:,}</td></tr>'
    yield "</table><h2>What was set aside</h2>"
    if summary.failed > SHOWN:
        yield f"<p>The first {SHOWN} of {summary.failed:,}; the table has them all.</p>"
    yield "<table><tr><th>source</th><th>page</th><th>reason</th><th>why</th></tr>"
    for row in summary.aside:
        error = row["error"]
        yield (
            f"<tr><td>{html.escape(row['source'])}</td><td>{row['page'] + 1}</td>"
            f'<td><span class="tag">{error["reason"]}</span></td>'
            f"<td>{html.escape(error['message'])}</td></tr>"
        )
    yield "</table>"


def _made_by(summary: Summary) -> str:
    rows = [*(json.loads(least.row) for least in summary.least_certain()[:1]), *summary.aside[:1]]
    return "".join(f"Digitstrip {row['version']}, model {row['model_digest']}" for row in rows[:1])

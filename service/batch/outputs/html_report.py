"""A run's report: HTML for people who would rather look than read tables, without scripts."""

import html
import json
import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import quote

from service.batch.job import Job
from service.batch.outputs import svg
from service.batch.outputs.pictures import Picture
from service.batch.outputs.rows import Row
from service.batch.outputs.summary import SHOWN, Summary
from service.batch.pages import PageStatus, Record
from service.batch.plan import Place
from service.durable_files import new_partial, writing
from service.errors import SettingsError
from service.inputs.items import Item
from service.inputs.names import names_of
from service.json_object import JsonObject
from service.recognition.calibration import not_calibrated

CARDS = 60  # of a page
MADE_BY = '<meta name="generator" content="digitstrip batch">'

# Draws pages, and yields a picture for each, None where that fails.
Draw = Callable[[Iterable[Place]], Iterator[Picture | None]]

REASONS = {
    "ACCEPT": "sure enough for the error rate that was requested",
    "NOTHING_SEEN": "there are traces of ink, too faint to be read",
    "SECOND_LINE": "there are several lines of ink; this is one",
    "UNEXPLAINED_INK": "there is ink that no digit explains",
    "STRUCK_OUT": "a line goes through the digits",
    "CUT_OFF": "digits go on beyond an edge of the image",
    "CONSTRAINT": "it does not satisfy the constraint",
    "LOW_CONFIDENCE": "not sure enough for the error rate that was requested",
}

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --pale: #5d6775; --line: #dde2e9;
  --fill: #f6f8fa; --paper: #fff; --accept: #1f7a45; --review: #a85d00; --failed: #b3261e;
  --accept-bar: #3f9d68; --review-bar: #e0962f; --link: #1d5f93; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --pale: #a0aab8; --line: #333b46;
  --fill: #1b212a; --paper: #12161c; --accept: #62cb91; --review: #f0ab4f; --failed: #f2877b;
  --accept-bar: #3f9d68; --review-bar: #d78c27; --link: #7bbcec; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 32px 24px 64px; color: var(--ink);
  background: var(--paper); font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 26px; margin: 0 0 2px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 40px 0 12px; }
p { margin: 0 0 12px; color: var(--pale); max-width: 76ch; }
a { color: var(--link); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 12px;
  margin-top: 20px; }
.tile { border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px;
  background: var(--fill); }
.tile b { display: block; font-size: 26px; font-weight: 650; line-height: 1.25; }
.tile span { color: var(--pale); font-size: 13px; }
.accept { color: var(--accept); } .review { color: var(--review); }
.failed { color: var(--failed); }
.cards { display: grid; gap: 14px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 330px), 1fr)); }
.card { border: 1px solid var(--line); border-radius: 10px; overflow: hidden;
  background: var(--fill); display: flex; flex-direction: column; }
.shown { display: flex; align-items: center; justify-content: center; flex: 1; padding: 10px;
  min-height: 96px; border-bottom: 1px solid var(--line); }
.shown svg { display: block; max-width: 100%; max-height: 260px; height: auto; }
.card .body { padding: 8px 12px 10px; }
.card code { font-size: 20px; letter-spacing: .06em; overflow-wrap: anywhere; }
.card .head { display: flex; justify-content: space-between; gap: 10px; font-size: 13px;
  font-weight: 600; }
.card .head span { font-weight: 400; color: var(--pale); }
.card small { display: block; color: var(--pale); overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; color: var(--pale); font-weight: 500; }
td, th { padding: 6px 14px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { overflow-wrap: anywhere; min-width: 9ch; } td.n { font-variant-numeric: tabular-nums;
  min-width: 0; }
.tag { font: 12px ui-monospace, monospace; color: var(--failed); white-space: nowrap; }
nav { display: flex; flex-wrap: wrap; gap: 6px 14px; margin: 20px 0; }
svg text { fill: var(--pale); font: 12px system-ui, sans-serif; }
svg .axis { stroke: var(--line); } svg .a { fill: var(--accept-bar); }
svg .r { fill: var(--review-bar); }
@media (max-width: 600px) {
  .histogram text { font-size: 24px; } .histogram .what { display: none; }
  .histogram .edge { transform: translateY(8px); }
}
.key { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin-right: 4px; }
footer { margin-top: 48px; color: var(--pale); font-size: 13px; overflow-wrap: anywhere; }
"""


@dataclass(frozen=True)
class Report:
    """What a report is made from.

    Args:
        path: of the first HTML file; further ones are `name-2.html` and so on.
        job: what the run was to do.
        summary: of its rows.
        inputs: that were read.
        records: makes an iterator over the rows, as often as it is wanted.
        draw: has workers draw pages.
    """

    path: Path
    job: Job
    summary: Summary
    inputs: Iterable[Item]
    records: Callable[[], Iterable[Record]]
    draw: Draw

    def write(self) -> None:
        """Write the report.

        Raises:
            UnwritableOutput: a file cannot be written.
        """
        cards = self._cards_to_review()
        for number in range(1, self.pages + 1):
            page = "".join(self._page(number, list(islice(cards, CARDS))))
            path = self.path_of(number)
            with writing(path):
                partial = new_partial(path)
                partial.write_text(page, "utf-8")
                partial.replace(path)

    @property
    def pages(self) -> int:
        """Number of HTML files."""
        return max(math.ceil(self.summary.review / CARDS), 1)

    def path_of(self, number: int) -> Path:
        """Return the path of a page, from 1."""
        return self.path if number == 1 else self.path.with_stem(f"{self.path.stem}-{number}")

    def _page(self, number: int, cards: list[str]) -> Iterator[str]:
        title = html.escape(self.job.output.name)
        yield (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8">{MADE_BY}'
            f"<title>{title}</title>"
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<style>{STYLE}</style></head><body><h1>{title}</h1>"
        )
        if number == 1:
            yield from self._overview()
        else:
            yield self._navigation(number)
        if cards:
            yield (
                f"<h2>To review: {self.summary.review:,}</h2><p>In the order of the table. The "
                "line under a digit is green if that digit is sure, and orange if it is not.</p>"
                f'<div class="cards">{"".join(cards)}</div>{self._navigation(number)}'
            )
        if number == 1:
            yield from self._failures()
            yield from self._least_certain()
        yield f"<footer>{html.escape(self._made_by())}</footer></body></html>\n"

    def _navigation(self, number: int) -> str:
        """Return links to the other pages: the nearest ones, the first and the last."""
        shown = [n for n in range(1, self.pages + 1) if abs(n - number) < 4 or n in (1, self.pages)]
        links = [
            f"<b>{each}</b>"
            if each == number
            else f'<a href="{quote(self.path_of(each).name)}">{each}</a>'
            for each in shown
        ]
        return f"<nav>Page {' '.join(links)}</nav>" if self.pages > 1 else ""

    def _overview(self) -> Iterator[str]:
        summary = self.summary
        for sentence in _requested(self.job):
            yield f"<p>{html.escape(sentence)}</p>"
        if summary.uncalibrated:
            yield f"<p>{html.escape(_sentence(not_calibrated(summary.uncalibrated)))}</p>"
        decided = summary.accepted + summary.review
        tiles = [("", f"{summary.rows:,}", "rows"), ("", f"{summary.read:,}", "read")]
        if decided:
            tiles.append(("accept", f"{summary.accepted:,}", f"accepted, {_of(summary, decided)}"))
            tiles.append(("review", f"{summary.review:,}", "to review"))
        tiles.append(("failed" if summary.failed else "", f"{summary.failed:,}", "failed"))
        yield '<div class="tiles">'
        for kind, figure, what in tiles:
            yield f'<div class="tile"><b class="{kind}">{figure}</b><span>{what}</span></div>'
        yield "</div>"
        if summary.read:
            yield "<h2>How sure the readings are</h2>"
            if decided:
                yield (
                    '<p><span class="key" style="background:var(--accept-bar)"></span>accepted '
                    '&nbsp; <span class="key" style="background:var(--review-bar)"></span>to '
                    "review</p>"
                )
            yield svg.histogram(summary.confidences, summary.unsure)

    def _least_certain(self) -> Iterator[str]:
        """Yield the least certain of the readings that are not to be reviewed."""
        least = self.summary.least_certain()
        if not least:
            return
        what = "accepted readings" if self.summary.accepted else "readings"
        yield (
            f"<h2>The least certain {what}</h2><p>These {len(least)} are the likeliest to be "
            "wrong among those that are not to be reviewed. If more of them are wrong than you "
            "allow, the model is not calibrated for such scans.</p>"
            '<div class="cards">'
        )
        items = self._items({each.number for each in least})
        there = [each for each in least if each.number in items]
        places = (Place(each.number, each.page, items[each.number]) for each in there)
        for each, picture in zip(there, self.draw(places), strict=True):
            yield self._card(json.loads(each.row), picture)
        yield "</div>"

    def _items(self, numbers: set[int]) -> dict[int, Item]:
        last = max(numbers, default=-1)
        return {n: item for n, item in enumerate(islice(self.inputs, last + 1)) if n in numbers}

    def _cards_to_review(self) -> Iterator[str]:
        """Yield the card of every reading that is to be reviewed, in the order of the table."""
        rows: deque[Row] = deque()  # of the pages that are being drawn

        def places() -> Iterator[Place]:
            numbered = enumerate(self.inputs)
            number, item = -1, Item("")
            for record in self.records():
                if record.page.status is PageStatus.REVIEW:
                    while number < record.number:
                        number, item = next(numbered)
                    rows.append(json.loads(record.page.row))
                    yield Place(number, record.page.page, item)

        for picture in self.draw(places()):
            yield self._card(rows.popleft(), picture)

    def _card(self, row: Row, picture: Picture | None) -> str:
        shown = (
            "<small>its picture is gone</small>"
            if picture is None
            else svg.underlined(picture, row)
        )
        decision = row["decision"] or ""
        reasons = ["ACCEPT"] if decision == "ACCEPT" else row["reasons"]
        why = "; ".join(REASONS.get(reason, reason) for reason in reasons)
        why = f"<small>{html.escape(why)}</small>" if why else ""
        text = html.escape(row["text"])
        reading = f"<code>{text}</code>" if text else "<small>no digits</small>"
        return (
            f'<div class="card"><div class="shown">{shown}</div><div class="body">'
            f'<div class="head"><b class="{decision.lower()}">{decision or "READ"}</b>'
            f"<span>confidence {row['confidence']:.1%}</span></div>{reading}{why}"
            f"<small>{self._link(row)}</small></div></div>"
        )

    def _link(self, row: Row) -> str:
        """Return a row's source and page, as a link if it is a file beside which the report is."""
        source, page = row["source"], f", page {row['page']}" if row["page"] > 1 else ""
        name = html.escape(source + page)
        try:
            names = () if "://" in source else names_of(source)
            there = [each for each in names if Path(each).is_file()]
        except (OSError, ValueError):
            return name
        if not there:
            return name
        path = os.fsencode(os.path.relpath(there[0], self.path.parent))
        return f'<a href="{html.escape(quote(path))}">{name}</a>'

    def _failures(self) -> Iterator[str]:
        """Yield what could not be read: the files, each with its reason."""
        summary = self.summary
        if not summary.failed:
            return
        counts = ", ".join(f"{count:,} {reason}" for reason, count in summary.reasons.most_common())
        yield f"<h2>Failed: {summary.failed:,}</h2><p>{html.escape(counts)}."
        if again := sum(summary.retries.values()):
            yield f" The same command tries {again:,} of them again."
        if summary.failed > SHOWN:
            yield f" The first {SHOWN} are listed here; the table has all."
        yield '</p><div class="wide"><table><tr><th>file</th><th>page</th><th>why</th></tr>'
        for row in summary.failures:
            error = row["error"]
            yield (
                f'<tr><td>{self._link(row | {"page": 1})}</td><td class="n">{row["page"]}</td>'
                f'<td><span class="tag">{html.escape(error["reason"])}</span> '
                f"{html.escape(error['message'])}</td></tr>"
            )
        yield "</table></div>"

    def _made_by(self) -> str:
        row: JsonObject | None = next(
            (json.loads(record.page.row) for record in self.records()), None
        )
        if row is None:
            return "Digitstrip"
        return f"Digitstrip {row['version']}, model {row['model_digest']}"


def check_report(path: Path) -> None:
    """Check that a report may be written there.

    Raises:
        SettingsError: a file of that name is not a report.
    """
    try:
        if not path.exists():
            return
        with path.open("rb") as file:
            if path.is_file() and MADE_BY.encode() in file.read(1024):
                return
    except OSError:
        return  # writing it will say why
    raise SettingsError(
        f"{path} exists but was not written by `digitstrip batch`; it is left as it is"
    )


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _of(summary: Summary, decided: int) -> str:
    return f"{summary.accepted / decided:.1%}"


def _requested(job: Job) -> Iterator[str]:
    if job.request.HasField("accepted_error_rate"):
        rate = f"{job.request.accepted_error_rate:.4%}".rstrip("0%").rstrip(".")
        yield f"Of the accepted readings, at most {rate}% should be wrong."
    fields = []
    for field, value in job.request.constraint.ListFields():
        words = f"{len(value)} strings" if field.name == "allowed" else str(value)
        fields.append(f"{field.name.replace('_', ' ')} {' '.join(words.split())}")
    if fields:
        yield f"Constraint: {', '.join(fields)}."

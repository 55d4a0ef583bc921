"""The summary of a review: its pace, what was corrected, and whether ACCEPT kept its promise."""

import html
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import NamedTuple

from service.durable_files import new_partial, put_in_place, writing
from service.errors import SettingsError
from service.json_object import JsonObject
from service.review.corrections import Edit, edits, in_words
from service.review.decisions import OPINIONS, Action, Decisions, value_of
from service.review.journal import Event
from service.review.queue import Entry, Why

TITLE = "Review of "
# By which a page is known as a review's own, which may be overwritten.
START = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{TITLE}'
PAUSE = 120.0  # seconds; who looks longer at a row has been away
NORMAL = 1.959964  # of a 95% interval
SHOWN = 12  # kinds of corrections


class Share(NamedTuple):
    """A share and its 95% interval (Wilson 1927)."""

    part: int
    whole: int

    @property
    def value(self) -> float:
        """The share."""
        return self.part / self.whole if self.whole else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Between which shares the true one lies."""
        if not self.whole:
            return 0.0, 1.0
        n, p, z = self.whole, self.value, NORMAL
        center = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(center - half, 0.0), min(center + half, 1.0)


@dataclass(frozen=True)
class Pace:
    """How fast somebody worked."""

    who: str
    rows: int
    seconds: float  # median of a row
    strokes: float  # mean of a row
    hourly: float  # rows an hour of work
    known: Share  # of the planted rows that were given a value: those keyed as they are

    @classmethod
    def of(cls, who: str, keys: list[Event], planted: Mapping[str, str]) -> "Pace":
        """Return the pace of keys, at least one, and how many of the planted rows are right."""
        known = [
            key.text == planted[str(key.row)]
            for key in keys
            if str(key.row) in planted and key.what == Action.TEXT
        ]
        seconds = [min(key.ms / 1000, PAUSE) for key in keys]
        return cls(
            who,
            len(keys),
            median(seconds),
            fmean(key.strokes for key in keys),
            3600 * len(keys) / max(sum(seconds), 1e-3),
            Share(sum(known), len(known)),
        )


@dataclass(frozen=True)
class Summary:
    """Figures of a review."""

    name: str  # of the table
    rows: int  # in the queue, to review
    decided: int  # of these
    third: int  # rows that wait for another person to decide
    outcomes: dict[str, int]  # of decided rows, by action
    corrected: Share  # of the rows to review whose digits were decided
    agreed: Share  # of the rows that two people keyed
    audit: Share  # of the accepted rows that were decided: those that were wrong
    audited: int  # accepted rows that were drawn
    accepted: int  # rows that they were drawn from
    kinds: list[tuple[Edit, int]]  # corrections by kind, the most frequent first
    paces: list[Pace]  # of everybody together, then of each, if there are several

    def to_json(self) -> JsonObject:
        """Return the figures by name."""
        return {
            "name": self.name,
            "rows": self.rows,
            "decided": self.decided,
            "waiting_for_another": self.third,
            "outcomes": self.outcomes,
            "corrected": _share(self.corrected),
            "agreed": _share(self.agreed),
            "audit": {**_share(self.audit), "drawn": self.audited, "accepted": self.accepted},
            "corrections": [{"kind": in_words(edit), "count": count} for edit, count in self.kinds],
            "paces": [vars(pace) | {"known": _share(pace.known)} for pace in self.paces],
        }

    def sentences(self) -> Iterator[str]:
        """Yield the lines that end a review."""
        yield f"{self.decided:,} of {self.rows:,} rows to review are decided{self._others()}"
        if self.third:
            yield f"{self.third:,} of them are keyed differently and wait for another person"
        for pace in self.paces:
            known = f"; of planted rows right: {_of(pace.known)}" if pace.known.whole else ""
            yield (
                f"{pace.who}: {pace.rows:,} rows, {pace.hourly:,.0f} an hour, "
                f"{pace.seconds:.1f} s and {pace.strokes:.1f} keystrokes each{known}"
            )
        if self.corrected.whole:
            yield f"corrected: {_of(self.corrected)}"
        if self.kinds:
            shown = ", ".join(f"{in_words(edit)} ×{count}" for edit, count in self.kinds[:SHOWN])
            yield f"corrections: {shown}"
        if self.agreed.whole:
            yield f"two people agree on {_of(self.agreed)}"
        if self.audit.whole:
            low, high = self.audit.interval
            yield (
                f"audit: {_of(self.audit)} of what was accepted is wrong; with 95% confidence "
                f"{low:.1%} to {high:.1%} of all {self.accepted:,} accepted rows"
            )

    def _others(self) -> str:
        words = {Action.ILLEGIBLE: "illegible", Action.WRONG_CROP: "wrong crops"}
        found = [
            f"{self.outcomes[key]:,} {word}"
            for key, word in words.items()
            if self.outcomes.get(key)
        ]
        return f", {', '.join(found)} among them" if found else ""


def summary_of(name: str, entries: list[Entry], accepted: int, decisions: Decisions) -> Summary:
    """Sum up a review.

    Args:
        name: of the table.
        entries: of the queue, with what a carpet added.
        accepted: rows of the table that were not to review.
        decisions: so far.
    """
    review = [entry for entry in entries if entry.why is Why.REVIEW]
    audit = [entry for entry in entries if entry.why is Why.AUDIT]
    verdicts = {each.row.number: decisions.verdict(each.row.number) for each in entries}
    decided = [key for each in review if (key := verdicts[each.row.number])]
    texts = [key for key in decided if key.what == Action.TEXT]
    audited = [
        key for each in audit if (key := verdicts[each.row.number]) and key.what == Action.TEXT
    ]
    kinds = Counter(edit for key in [*texts, *audited] for edit in edits(key.was, key.text))
    pairs = [
        said[:2]
        for state in decisions.states.values()
        if len(said := state.opinions) > 1 and said[1].blind
    ]
    keys = [event for event in decisions.events if event.what in (*OPINIONS, Action.UNSURE)]
    people = list(dict.fromkeys(key.who for key in keys))
    planted = decisions.settings.planted
    paces = [Pace.of("all" if len(people) > 1 else people[0], keys, planted)] if keys else []
    if len(people) > 1:
        paces += [Pace.of(who, [key for key in keys if key.who == who], planted) for who in people]
    return Summary(
        name=name,
        rows=len(review),
        decided=len(decided),
        third=sum(
            verdicts[each.row.number] is None
            and len(decisions.state(each.row.number).opinions) >= decisions.settings.keys
            for each in entries
        ),
        outcomes=dict(sorted(Counter(key.what for key in decided).items())),
        corrected=Share(sum(key.text != key.was for key in texts), len(texts)),
        agreed=Share(sum(value_of(a) == value_of(b) for a, b in pairs), len(pairs)),
        audit=Share(sum(key.text != key.was for key in audited), len(audited)),
        audited=len(audit),
        accepted=accepted,
        kinds=sorted(kinds.items(), key=lambda each: (-each[1], each[0])),
        paces=paces,
    )


def _share(share: Share) -> JsonObject:
    low, high = share.interval
    return {**share._asdict(), "value": share.value, "low": low, "high": high}


def _of(share: Share) -> str:
    return f"{share.part:,} of {share.whole:,} ({share.value:.1%})"


STYLE = """
:root { color-scheme: light dark; }
body { margin: 0 auto; max-width: 46rem; padding: 2rem 1.5rem 4rem;
  font: 16px/1.55 system-ui, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; } th { text-align: left; font-weight: 500; }
td, th { padding: .25rem 1.5rem .25rem 0; font-variant-numeric: tabular-nums; }
"""


def write_html(summary: Summary, path: Path) -> None:
    """Write a summary as a page without scripts.

    Raises:
        SettingsError: there is a file that is no such page: the table or its journal, say.
        UnwritableOutput: it cannot be written.
    """
    with writing(path):
        if path.is_file() and not _is_ours(path):
            raise SettingsError(
                f"{path} exists but was not written by `digitstrip review`; it is left as it is"
            )
        new_partial(path).write_text("".join(_page(summary)), "utf-8")
        put_in_place(path)


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(START)) == START.encode()


def _page(summary: Summary) -> Iterator[str]:
    title = html.escape(f"{TITLE}{summary.name}")
    yield (
        f"{START}{html.escape(summary.name)}</title>"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><main><h1>{title}</h1>"
    )
    for sentence in summary.sentences():
        yield f"<p>{html.escape(sentence[0].upper() + sentence[1:])}.</p>"
    if summary.kinds:
        yield "<h2>What was corrected</h2><table><tr><th>read → is</th><th>times</th></tr>"
        for edit, count in summary.kinds:
            yield f"<tr><td>{html.escape(in_words(edit))}</td><td>{count:,}</td></tr>"
        yield "</table>"
    yield "</main></body></html>\n"

"""A review in progress: what each person is shown next, and what is written down of it."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from threading import Lock
from typing import Any

from service.errors import BadOption, is_unicode, quoted
from service.json_object import JsonObject
from service.review.constraints import Constraints
from service.review.crops import Crops
from service.review.decisions import Action, Decisions, RowState, Task
from service.review.journal import Event, Journal
from service.review.queue import DigitAt, Entry, Queue, Why
from service.review.settings import Settings
from service.review.summary import Summary, summary_of
from service.review.table import DIGITS, Row
from service.review.views import Viewer

LEASE_SECONDS = 180.0  # that a row, once shown to somebody, is kept from others
MOST_DIGITS = 255  # of a value, as of a constraint
MOST_MS = 86_400_000
MOST_EVENTS = 1000  # of one request


@dataclass
class _Lease:
    who: str
    until: float


class Session:
    """The rows of a queue, handed out to people, and their decisions.

    Calls may come from several threads; each takes the lock.

    Args:
        name: of the table.
        queue: of its rows.
        constraints: of its rows.
        crops: of its scans.
        journal: that events are written to; those in it are taken in first.
    """

    def __init__(
        self, name: str, queue: Queue, constraints: Constraints, crops: Crops, journal: Journal
    ) -> None:
        self.name = name
        self.queue = queue
        self.constraints = constraints
        self.crops = crops
        self.journal = journal
        self.settings = journal.settings
        self._lock = Lock()
        self.decisions = decisions_of(queue, self.settings, journal.events)
        self._leases: dict[int, _Lease] = {}

    @property
    def entries(self) -> list[Entry]:
        """The queue, with what was marked on a carpet, in order."""
        return self.queue.with_odd(number for number, _ in self.decisions.odd)

    def outside(self) -> str:
        """Return which scans are not shown, as they lie outside of the roots; empty if none do."""
        sources = self.crops.sources
        names = (row.source for row in self.queue.by_number.values())
        folders = Counter(name[: name.rfind("/") + 1] for name in names)
        hidden = {name: rows for name, rows in folders.items() if not sources.allow(f"{name}-")}
        if not hidden:
            return ""
        return (
            f"the scans of {sum(hidden.values()):,} of {folders.total():,} rows are not shown, as "
            f"those in {quoted(next(iter(hidden)))}: they lie outside of "
            f"{', '.join(sources.roots or ())}; --root names further folders or URLs"
        )

    def tasks(self, who: str, count: int, shown: Iterable[int] = ()) -> Iterator[JsonObject]:
        """Yield what a person is to do next, as the page needs it.

        Args:
            who: the person.
            count: of tasks, at most.
            shown: rows that the page has already.
        """
        viewer = Viewer(self.settings, self.constraints, self.crops)
        with self._lock:
            odd = dict(sorted(self.decisions.odd, reverse=True))
            chosen = [
                (entry.row, task, RowState([*self.decisions.state(entry.row.number).keys]))
                for entry, task in self._choose(who, count, set(shown))
            ]
        for row, task, state in chosen:
            yield viewer.view(row, task, state, odd.get(row.number))

    def _choose(self, who: str, count: int, shown: set[int]) -> list[tuple[Entry, Task]]:
        """Choose rows that nobody else has in hand; those to decide come last."""
        now = time.monotonic()
        first: list[tuple[Entry, Task]] = []
        last: list[tuple[Entry, Task]] = []
        for entry in self.entries:
            number = entry.row.number
            lease = self._leases.get(number)
            if number in shown or (lease and lease.who != who and lease.until > now):
                continue
            if (task := self.decisions.task(number, who)) is not None:
                (last if task is Task.DECIDE else first).append((entry, task))
                if len(first) == count:
                    break
        chosen = (first + last)[:count]
        for entry, _ in chosen:
            self._leases[entry.row.number] = _Lease(who, now + LEASE_SECONDS)
        return chosen

    def row(self, number: int) -> Row:
        """Return a row by its number.

        Raises:
            BadOption: it is not in the queue.
        """
        if number not in self.queue.by_number:
            raise BadOption(f"row {number} is not one to review", "row")
        return self.queue.by_number[number]

    def record(self, who: str, sent: list[JsonObject]) -> list[str]:
        """Write down what a person did, and return the ids: all of it is on the disk now.

        Raises:
            BadOption: an event is malformed.
            UnwritableOutput: the disk is full, say.
        """
        if len(sent) > MOST_EVENTS:
            raise BadOption(
                f"there are {len(sent):,} events; at most {MOST_EVENTS:,} are allowed", "events"
            )
        with self._lock:
            events = [self._event(who, each) for each in sent]
            self.decisions.add(self.journal.append(events))
            for event in events:
                if event.row is not None:
                    self._leases.pop(event.row, None)
        return [event.id for event in events]

    def _event(self, who: str, sent: JsonObject) -> Event:
        try:
            return self._to_event(who, sent)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BadOption(f"an event is malformed: {error!r}", "events") from error

    def _to_event(self, who: str, sent: JsonObject) -> Event:
        action = Action(sent["what"])
        event = Event(
            id=_word(sent["id"], "id"),
            who=who,
            what=action.value,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            ms=min(max(int(sent.get("ms", 0)), 0), MOST_MS),
            strokes=min(max(int(sent.get("strokes", 0)), 0), MOST_DIGITS),
        )
        if action is Action.UNDO:
            return replace(event, undoes=_word(sent["undoes"], "undoes"))
        if action is Action.CARPET:
            digits, odd = (self._digits(sent[name]) for name in ("digits", "odd"))
            return replace(event, digits=digits, odd=odd)
        row = self.row(int(sent["row"]))
        event = replace(
            event,
            row=row.number,
            was=row.value,
            blind=sent.get("task") == Task.BLIND,
            why=self.queue.why.get(row.number, Why.REVIEW),
            model=row.model or "",
        )
        if action is not Action.TEXT:
            return event
        text = sent["text"]
        if not isinstance(text, str) or len(text) > MOST_DIGITS or set(text) - set(DIGITS):
            raise BadOption(
                f"the text is {quoted(str(text))}; expected at most {MOST_DIGITS} digits", "text"
            )
        checked = self.constraints.check(row, text)
        return replace(event, text=text, written=checked.written, override=not checked.allowed)

    def _digits(self, sent: Any) -> tuple[tuple[int, int], ...]:  # noqa: ANN401 - from JSON
        pairs = tuple((int(number), int(place)) for number, place in sent)
        for number, place in pairs:
            if not 0 <= place < len(self.row(number).digits):
                raise BadOption(f"row {number} has no digit {place}", "digits")
        return pairs

    def check(self, number: int, text: str) -> JsonObject:
        """Say whether digits satisfy a row's constraint, and how they are written."""
        if len(text) > MOST_DIGITS or set(text) - set(DIGITS):
            raise BadOption(f"the text is {quoted(text)}; expected digits", "text")
        return vars(self.constraints.check(self.row(number), text))

    def progress(self, who: str) -> dict[str, int]:
        """Return how many rows a person has done, and how many are left for them."""
        done = left = 0
        with self._lock:
            for number in (entry.row.number for entry in self.entries):
                if self.decisions.task(number, who) is not None:
                    left += 1
                elif any(key.who == who for key in self.decisions.state(number).keys):
                    done += 1
        return {"done": done, "left": left}

    def carpet(self, label: str, count: int) -> list[DigitAt]:
        """Return digits that were read as a label, smallest margin first, that nobody looked at.

        Where rows are keyed blind, those of the queue are left out: a carpet says what was read.
        """
        blind = self.settings.blind or self.settings.keys > 1
        with self._lock:
            looked_at, decided = self.decisions.looked_at, self.decisions.verdict
            found = (
                digit
                for digit in self.queue.carpets.get(label, ())
                if (digit.number, digit.position) not in looked_at
                and decided(digit.number) is None
                and not (blind and digit.number in self.queue.why)
            )
            return list(islice(found, count))

    def labels(self) -> dict[str, int]:
        """Return how many digits of each label wait on a carpet."""
        return {label: len(self.carpet(label, MOST_EVENTS)) for label in self.queue.carpets}

    def summary(self) -> Summary:
        """Return the figures so far."""
        with self._lock:
            return summary_of(self.name, self.entries, self.queue.accepted, self.decisions)


def decisions_of(queue: Queue, settings: Settings, events: Iterable[Event]) -> Decisions:
    """Return what was decided of a queue's rows."""
    machine = {number: row.value for number, row in queue.by_number.items()}
    decisions = Decisions(settings, machine)
    decisions.add(events)
    return decisions


def _word(text: Any, field: str) -> str:  # noqa: ANN401 - from JSON
    if not isinstance(text, str) or not 0 < len(text) <= 64 or not is_unicode(text):
        raise BadOption(f"the {field} is {quoted(str(text))}; expected 1 to 64 characters", field)
    return text

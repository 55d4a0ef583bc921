"""What people decided: the state of every row, from the events of the journal alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from service.review.journal import Event
from service.review.settings import Settings


class Action(StrEnum):
    """What an event says."""

    TEXT = "text"  # the page says these digits, or none
    UNSURE = "unsure"  # this person cannot tell
    ILLEGIBLE = "illegible"  # nobody can
    WRONG_CROP = "wrong_crop"  # the picture does not show what should be read
    CARPET = "carpet"  # of many digits at once: these look right, those odd
    UNDO = "undo"


OPINIONS = (Action.TEXT, Action.ILLEGIBLE, Action.WRONG_CROP)


class Task(StrEnum):
    """What a person is asked to do with a row."""

    KEY = "key"  # with the machine's reading to confirm or correct
    BLIND = "blind"  # from the picture alone
    DECIDE = "decide"  # between two values, without names


@dataclass
class RowState:
    """The keys that a row has, of which none was undone, in their order."""

    keys: list[Event] = field(default_factory=list)

    @property
    def opinions(self) -> list[Event]:
        """Keys that say something, the latest of each person."""
        latest = {key.who: key for key in self.keys if key.what in OPINIONS}
        return list(latest.values())

    def verdict(self, settings: Settings, machine: str) -> Event | None:
        """Return the key that decides the row, or None if more are needed.

        Args:
            settings: of the review.
            machine: the digits that the machine read.
        """
        said = self.opinions
        if settings.blind and said and value_of(said[0]) == (Action.TEXT, machine):
            return said[0]
        if settings.keys == 1:
            # What was keyed blind, and is not what the machine read, takes a second look.
            looked = said if not settings.blind else [key for key in said if not key.blind]
            return next(iter(looked), None)
        if len(said) < settings.keys:
            return None
        first, second, *more = said
        return first if value_of(first) == value_of(second) else next(iter(more), None)

    def task(self, settings: Settings, machine: str, who: str) -> Task | None:
        """Return what a person can do for the row, or None."""
        own = [key for key in self.keys if key.who == who]
        passed = bool(own) and (own[-1].what == Action.UNSURE or settings.keys > 1)
        if passed or self.verdict(settings, machine) is not None:
            return None
        said = len(self.opinions)
        if said >= settings.keys:
            return Task.DECIDE
        return Task.BLIND if said or settings.blind else Task.KEY

    def values(self, settings: Settings, machine: str) -> list[str]:
        """Return the digits between which a third look decides."""
        texts = [key.text for key in self.opinions if key.what == Action.TEXT]
        if settings.keys == 1:
            texts.append(machine)
        return list(dict.fromkeys(texts))


def value_of(key: Event) -> tuple[str, str]:
    """Return what is compared between people."""
    return key.what, key.text


@dataclass
class Decisions:
    """The states of all rows that somebody acted on.

    Args:
        settings: of the review.
        machine: the digits that the machine read, by row.
    """

    settings: Settings
    machine: Mapping[int, str]
    states: dict[int, RowState] = field(default_factory=dict)
    verdicts: dict[int, Event] = field(default_factory=dict)  # of the rows that are decided
    looked_at: set[tuple[int, int]] = field(default_factory=set)  # digits, on a carpet
    odd: set[tuple[int, int]] = field(default_factory=set)
    _events: dict[str, Event] = field(default_factory=dict)  # those not undone, by id

    def add(self, events: Iterable[Event]) -> None:
        """Take in further events of the journal."""
        for event in events:
            match event.what:
                case Action.UNDO:
                    self._undo(event)
                case Action.CARPET:
                    self.looked_at |= set(event.digits)
                    self.odd |= set(event.odd)
                    self._events[event.id] = event
                case _ if event.row is not None:
                    self.states.setdefault(event.row, RowState()).keys.append(event)
                    self._events[event.id] = event
                    self._judge(event.row)

    def _undo(self, undo: Event) -> None:
        """Take back an event of the same person; what there is not is not undone."""
        event = self._events.get(undo.undoes)
        if event is None or event.who != undo.who:
            return
        del self._events[event.id]
        if event.row is not None:
            self.states[event.row].keys.remove(event)
            self._judge(event.row)
        others = [each for each in self._events.values() if each.what == Action.CARPET]
        self.looked_at = {digit for each in others for digit in each.digits}
        self.odd = {digit for each in others for digit in each.odd}

    def _judge(self, row: int) -> None:
        self.verdicts.pop(row, None)
        if key := self.states[row].verdict(self.settings, self.machine.get(row, "")):
            self.verdicts[row] = key

    @property
    def events(self) -> list[Event]:
        """The events that were not undone, in their order."""
        return list(self._events.values())

    def state(self, row: int) -> RowState:
        """Return a row's state."""
        return self.states.get(row) or RowState()

    def verdict(self, row: int) -> Event | None:
        """Return the key that decides a row, or None."""
        return self.verdicts.get(row)

    def task(self, row: int, who: str) -> Task | None:
        """Return what a person can do for a row, or None."""
        return self.state(row).task(self.settings, self.machine.get(row, ""), who)

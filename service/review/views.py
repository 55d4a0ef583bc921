"""What a person is shown of a row: nothing says why it is in the queue, or what others keyed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from service.errors import DigitstripError
from service.json_object import JsonObject
from service.review.constraints import Constraints
from service.review.crops import Crops, extents_in
from service.review.decisions import Action, RowState, Task
from service.review.settings import Settings
from service.review.table import DIGITS, Row, digits_of

CHOICES = 4  # other values that are offered
NEAR = 0.02  # a runner-up's confidence, from which it makes another value


@dataclass(frozen=True)
class Viewer:
    """Makes what the page needs of rows.

    Args:
        settings: of the review.
        constraints: of the rows.
        crops: of their scans.
    """

    settings: Settings
    constraints: Constraints
    crops: Crops

    def view(self, row: Row, task: Task, state: RowState, odd: int | None) -> JsonObject:
        """Return a row as a person may see it.

        Args:
            row: of the queue.
            task: what the person is to do with it.
            state: what was keyed so far.
            odd: a digit that was marked on a carpet, by its place.
        """
        view: JsonObject = {
            "row": row.number,
            "task": task,
            "name": row.id or row.source,
            "source": row.source,
            "page": row.page + 1,
            "constrained": self.constraints.of(row) is not None,
            "crop": None,
            "trouble": "",
            "digits": [],
            "cursor": 0,
            "choices": [],
            "text": "",
        }
        try:
            crop = self.crops.of(row)
        except DigitstripError as error:
            view["trouble"] = str(error)
        else:
            view["crop"] = {"width": crop.width, "height": crop.height, "whole": crop.is_whole}
        if task is Task.DECIDE:
            view["choices"] = self._checked(row, state.values(self.settings, row.value))
            view["others"] = sorted({key.what for key in state.opinions} - {Action.TEXT})
        if task is not Task.KEY:
            return view
        view["text"] = row.value
        view["allowed"] = self.constraints.check(row, row.value).allowed
        if view["crop"] and are_known(row):
            view["digits"] = [[round(edge, 5) for edge in box] for box in extents_in(crop, row)]
        view["cursor"] = least_sure(row) if odd is None else odd
        view["choices"] = self._others(row)
        # Accepted rows have none, and would be recognized by that.
        if not (self.settings.sample or self.settings.planted):
            view["reasons"] = row.reasons
        return view

    def _others(self, row: Row) -> list[JsonObject]:
        """Return other values than the machine's, those that the constraint allows first."""
        different = [each for each in dict.fromkeys(other_values(row)) if each != row.value]
        checked = self._checked(row, different)
        allowed = [each for each in checked if each["allowed"]]
        return (allowed or checked)[:CHOICES]

    def _checked(self, row: Row, values: Iterable[str]) -> list[JsonObject]:
        return [
            {"text": value, "allowed": self.constraints.check(row, value).allowed}
            for value in values
        ]


def are_known(row: Row) -> bool:
    """Whether a row's digits are those of its text, and their places known."""
    return "".join(digit.label for digit in row.digits) == row.value


def least_sure(row: Row) -> int:
    """Return the place of the digit with the smallest margin."""
    places = range(len(row.digits)) if are_known(row) else ()
    return min(places, key=lambda place: row.digits[place].margin, default=0)


def other_values(row: Row) -> Iterator[str]:
    """Yield what the machine named besides its text, then likely digits in place of its own."""
    yield from map(digits_of, (*row.alternatives, *row.readers))
    if not are_known(row):
        return
    likely = [
        (-confidence, place, label)
        for place, digit in enumerate(row.digits)
        for label, confidence in digit.runners_up
        if confidence >= NEAR and label != digit.label
    ]
    for _, place, label in sorted(likely):
        digit = label if label in DIGITS else ""  # none is there
        yield row.value[:place] + digit + row.value[place + 1 :]

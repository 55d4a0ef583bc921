"""What the digits of a row must satisfy, checked by the automata that the decoder searches."""

from dataclasses import dataclass
from pathlib import Path

from google.protobuf import text_format

from service.api.requests import to_constraint
from service.durable_files import FINISHED, beside
from service.inputs.documents import DPI
from service.json_object import parse_json
from service.pb import recognizer_pb2 as pb
from service.recognition.decoding.automaton import Constraint
from service.review.table import Row


@dataclass(frozen=True)
class Checked:
    """Digits, whether they satisfy the constraint, and as they are written then."""

    allowed: bool
    written: str


@dataclass(frozen=True)
class Constraints:
    """The constraints of a table's rows.

    Args:
        given: on the command line, for every row.
        of_run: of the batch that wrote the table. Rows of a manifest may have had others, which no
            table names: where a row's outcome contradicts this one, its constraint is unknown.
    """

    given: pb.Constraint
    of_run: pb.Constraint

    def of(self, row: Row) -> Constraint | None:
        """Return what a row's digits must satisfy, or None if nothing is known.

        Raises:
            BadConstraint: it is malformed.
        """
        if row.constraint:
            message = pb.Constraint()
            message.CopyFrom(self.given)
            own = pb.Constraint.FromString(row.constraint)
            for each, _ in own.ListFields():
                message.ClearField(each.name)
            message.MergeFrom(own)
            return to_constraint(message)
        if self.given.ByteSize():
            return to_constraint(self.given)
        constraint = to_constraint(self.of_run)
        if constraint is None or row.satisfied != constraint.allows(row.value):
            return None
        return constraint

    def check(self, row: Row, digits: str) -> Checked:
        """Check digits that a person would confirm for a row."""
        constraint = self.of(row)
        if constraint is None:
            return Checked(True, row.text if digits == row.value else digits)
        if not constraint.allows(digits):
            return Checked(False, digits)
        return Checked(True, constraint.write(digits))


@dataclass(frozen=True)
class BatchRun:
    """What is known of the run that wrote a table."""

    constraint: pb.Constraint
    dpi: int


def run_of(table: Path) -> BatchRun:
    """Return how a table was written, as far as the file beside it says so."""
    try:
        settings = parse_json(beside(table, FINISHED).read_text("ascii"))["settings"]
        request = text_format.Parse(settings["request"], pb.RecognizeRequest())
        return BatchRun(request.constraint, int(settings["dpi"]))
    except (OSError, ValueError, KeyError, TypeError, text_format.ParseError):
        return BatchRun(pb.Constraint(), DPI)

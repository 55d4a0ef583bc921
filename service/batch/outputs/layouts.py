"""Layouts of tables: what a run's page becomes: a row, a row a field, or columns for each field."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from service.batch.job import FormJob
from service.batch.outputs.form_rows import FIELD_COLUMNS, fields_of, wide_columns, wide_of
from service.batch.outputs.rows import COLUMNS
from service.batch.pages import PageResult

Rows = Callable[[PageResult], Iterable[PageResult]]

SHORT = ("source", "page", "id", "text", "confidence", "decision", "reason")


@dataclass(frozen=True)
class Layout:
    """What a run's page becomes in a table."""

    columns: tuple[str, ...]  # of a row, in order
    short: tuple[str, ...]  # of a CSV, by default
    rows: Rows  # of a page
    counted: Rows  # what the summary counts of a page
    unit: str = "rows"  # what those are called
    texts: tuple[str, ...] = ("text", "id")  # columns that are texts in a spreadsheet
    fields: tuple[str, ...] = ()  # names of a form's fields that are columns

    def of(self, pages: Iterable[PageResult]) -> Iterator[PageResult]:
        """Yield the rows of pages."""
        return chain.from_iterable(map(self.rows, pages))

    @property
    def csv_columns(self) -> tuple[str, ...]:
        """All columns of a CSV: those of the error have their own, and its reason is one of all."""
        return tuple(
            each
            for column in self.columns
            if column != "reasons"
            for each in (("code", "reason", "message") if column == "error" else (column,))
        )


def itself(page: PageResult) -> Iterable[PageResult]:
    """Return a page as the only row of it."""
    return (page,)


STRIPS = Layout(COLUMNS, SHORT, itself, itself)


def layout_of(job: FormJob | None) -> Layout:
    """Return the layout of a table of strips, or of a form.

    Raises:
        SettingsError: a field's name is that of another column.
    """
    if job is None:
        return STRIPS
    if not job.wide:
        chosen = ("form",) if job.others else ()
        short = (*SHORT[:3], *chosen, "field", *SHORT[3:])
        return Layout(FIELD_COLUMNS, short, fields_of, fields_of)
    columns = wide_columns(job.names)
    of_fields = (each for each in columns if each not in wide_columns(()))
    return Layout(
        columns,
        (*SHORT[:3], *of_fields, "reason"),
        lambda page: (wide_of(page, columns),),
        fields_of,
        "fields",
        ("id", *job.names),
        job.names,
    )

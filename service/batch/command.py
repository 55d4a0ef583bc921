"""`digitstrip batch`: an order to a run, and how it ended to people."""

from rich.console import Console

from service.batch.inputs.expand import inputs_of
from service.batch.job import Order
from service.batch.options import ProgressMode
from service.batch.progress import Progress
from service.batch.run import JOURNAL, beside, run


def carry_out(order: Order, names: list[str], mode: ProgressMode, console: Console) -> int:
    """Do a whole run, say how it ended, and return how many rows have no reading."""
    journal = beside(order.output, JOURNAL)
    begun = journal.exists()
    finished = order.output.exists() and not begun and not order.refresh
    if begun and not order.refresh and mode is not ProgressMode.NONE:
        console.print(f"going on with {journal}")
    with inputs_of(names) as inputs:
        try:
            summary = run(order, inputs, Progress(console, mode, inputs))
        except KeyboardInterrupt:
            console.print("interrupted; the same command goes on where this one was")
            raise
        if finished and mode is not ProgressMode.NONE:
            console.print(f"{order.output} was finished before, and is as it was")
        if mode is not ProgressMode.NONE:
            for sentence in summary.sentences():
                console.print(sentence)
        if order.report is not None and not order.report.exists():
            console.print(f"{order.output} was finished before; --refresh makes its report")
    return summary.failed

"""`digitstrip batch`: an order to a run, and how it ended to people."""

from rich.console import Console

from service.batch.flags import ProgressMode
from service.batch.inputs import inputs_of
from service.batch.order import Order
from service.batch.progress import Progress
from service.batch.run import run


def carry_out(order: Order, names: list[str], mode: ProgressMode, console: Console) -> int:
    """Do a whole run, say how it ended, and return how many rows have no reading."""
    with inputs_of(names) as inputs:
        summary = run(order, inputs, Progress(console, mode, inputs))
        if mode is not ProgressMode.NONE:
            for sentence in summary.sentences():
                console.print(sentence)
        if order.report is not None and not order.report.exists():
            console.print(f"{order.output} was finished before; --refresh makes its report")
    return summary.failed

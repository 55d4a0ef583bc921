"""`digitstrip batch`: a run, and what people are shown of it."""

from itertools import islice
from pathlib import Path

from rich.console import Console

from service.batch.job import Job
from service.batch.options import ProgressMode
from service.batch.progress import Progress
from service.batch.run import JOURNAL, has_begun, run
from service.durable_files import beside
from service.errors import UnreadableSource
from service.inputs.expand import Inputs, inputs_of
from service.inputs.items import Item
from service.inputs.open_files import REMOTE


def carry_out(job: Job, names: list[str], mode: ProgressMode, console: Console) -> int:
    """Do a whole run, and print how it began and ended.

    Args:
        job: what to write, and how.
        names: of files, folders, globs, archives, manifests and URLs.
        mode: how progress is shown; NONE prints nothing.
        console: to print on.

    Returns:
        How many rows have no reading: what the exit status depends on.

    Raises:
        UnreadableSource: none of the names leads to anything; nothing is written then.
        SettingsError: the run cannot resume with these settings or inputs.
        UnwritableOutput: the output, or its journal, cannot be written.
        KeyboardInterrupt: as it came; what was read by then is in the journal.
    """
    quiet = mode is ProgressMode.NONE
    there, begun = job.output.exists(), has_begun(job.output)
    untouched = there and not begun and not job.refresh
    if begun and not job.refresh and not quiet:
        console.print(
            f"{job.output} was finished before, but for rows that failed for a reason that may "
            "pass; these are read again"
            if there
            else f"resuming from {beside(job.output, JOURNAL)}"
        )
    before = job.output.stat().st_mtime_ns if untouched else None
    with inputs_of(names) as inputs:
        if not (there or begun):
            check_found(inputs, names)
        try:
            summary = run(job, inputs, Progress(console, mode, inputs))
        except KeyboardInterrupt:
            console.print("interrupted; the same command resumes where this one stopped")
            raise
    if quiet:
        return summary.failed
    untouched = before is not None and job.output.stat().st_mtime_ns == before
    if untouched:
        console.print(f"{job.output} was finished before, and is unchanged")
    for sentence in summary.sentences():
        console.print(sentence)
    if untouched and summary.failed:
        console.print("once the files that failed are mended, --refresh reads everything again")
    if job.report is not None and not job.report.exists():
        console.print(f"{job.output} was finished before; --refresh makes its report")
    return summary.failed


def check_found(inputs: Inputs, names: list[str]) -> None:
    """Check that something can be found under local names.

    Raises:
        UnreadableSource: there is no file or image under any of them.
    """
    if any(REMOTE in name for name in names):
        return  # to list a store costs as much as to begin
    # A name that leads to nothing is an item of that name.
    first = list(islice(inputs, len(names) + 1))
    why = [_trouble(item) for item in first]
    alone = len(first) <= len(names) and all(item.source in names for item in first)
    if first and alone and all(why):
        raise UnreadableSource("; ".join(why), "source")


def _trouble(item: Item) -> str:
    """Return why an item leads to nothing; empty if it leads to something."""
    if item.trouble:
        return f"{item.source}: {item.trouble}"
    try:
        Path(item.path).stat()
    except FileNotFoundError as error:
        return f"{item.source}: {error.strerror}"
    except (OSError, ValueError):
        pass  # reading it will say why
    return ""

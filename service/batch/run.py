"""A whole run: inputs to an engine, its answers to the journal, the journal to the output."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from service.batch.engines.local import LocalEngine, tasks_of
from service.batch.engines.worker import Page, Plan
from service.batch.inputs.expand import Inputs
from service.batch.job import Order, check, plan_of, settings_of
from service.batch.outputs.html_report import write_report
from service.batch.outputs.quarantine import quarantine
from service.batch.outputs.summary import Counted, Summary
from service.batch.outputs.writers import writer_of
from service.batch.progress import Progress
from service.batch.state.journal import (
    MARK,
    REFRESH,
    Journal,
    Record,
    Setting,
    differences,
    mark,
    sync_folder,
    written,
)
from service.errors import SettingsError
from service.extras import needs

# A run's own files, beside its output: what was read so far, what will take the output's place,
# and what a finished one was made from.
JOURNAL, PARTS = ".journal", ".parts"
PARTIAL, FINISHED = ".partial", ".run.json"


Write = Callable[[Iterable[Page], Path], None]


def run(order: Order, inputs: Inputs, progress: Progress) -> Summary:
    """Read everything and write the output, going on where an earlier run was ended.

    Raises:
        SettingsError: the order cannot be carried out, or contradicts what an earlier run began.
        ModelError, ServerError: nothing can be read.
        UnwritableOutput: what was read is kept, as far as it was written.
    """
    check(order)
    write = writer_of(order.output, order.scores)
    plan = plan_of(order)
    settings = settings_of(order, plan)
    if not order.refresh and (told := finished_before(order.output, inputs, settings)):
        return told
    if order.ray:
        return _run_on_ray(order, plan, inputs, progress, write, settings)
    with Journal(beside(order.output, JOURNAL), settings, order.refresh) as journal:
        _read(order, plan, inputs, journal, progress)
        journal.sync()
        summary = finish(order, inputs, journal.records, write, settings)
        journal.remove()
    return summary


def _read(
    order: Order,
    plan: Plan,
    inputs: Inputs,
    journal: Journal,
    progress: Progress,
) -> None:
    """Read what is still to be read into the journal."""
    with LocalEngine(plan, order.processes) as engine, progress:
        places = journal.remaining(iter(inputs))
        for number, answer in enumerate(engine.read(tasks_of(places, plan))):
            if number == 0:
                progress.resumed(answer.place.number)
            for page in answer.pages:
                last = not answer.following and page is answer.pages[-1]
                journal.append(answer.place, page, last)
                progress.told(page, last)


def _run_on_ray(
    order: Order,
    plan: Plan,
    inputs: Inputs,
    progress: Progress,
    write: Write,
    settings: dict[str, Setting],
) -> Summary:
    """Read blocks into parts, and merge them."""
    with needs("ray", "--engine ray needs pyarrow"):
        from service.batch.engines.ray import read_blocks
        from service.batch.state.shards import BLOCK, Parts

    location = order.parts or str(beside(order.output, PARTS).resolve())
    parts = Parts(location, order.scores)
    parts.begin(settings, order.refresh)
    blocks, waiting = parts.plan(inputs, order.refresh)
    with progress:
        progress.resumed((blocks - len(waiting)) * BLOCK)
        if waiting:
            for counts in read_blocks(order, plan, parts, waiting):
                progress.told_of_many(*counts[1:])
    summary = finish(order, inputs, lambda: parts.records(blocks), write, settings)
    parts.remove()
    return summary


def finish(
    order: Order,
    inputs: Inputs,
    records: Callable[[], Iterable[Record]],
    write: Write,
    settings: dict[str, Setting],
) -> Summary:
    """Write the output beside its place, put it there whole, and say what it was made from."""
    output, counted = order.output, Counted(records())
    if order.quarantine is not None:
        quarantine(order.quarantine, inputs, records())
    partial, state = beside(output, PARTIAL), beside(output, FINISHED + PARTIAL)
    with written(output):
        write(counted, partial)
        if order.report is not None:
            write_report(order.report, order, inputs, counted.summary)
        told = {"settings": settings, "inputs": counted.inputs} | counted.summary.to_json()
        state.write_text(json.dumps(told, indent=1) + "\n", "ascii")
        for path in (partial, state):
            with path.open("rb") as file:
                os.fsync(file.fileno())
        partial.replace(output)
        state.replace(beside(output, FINISHED))
        sync_folder(output)
    return counted.summary


def finished_before(output: Path, inputs: Inputs, settings: dict[str, Setting]) -> Summary | None:
    """Return the summary of an output that an earlier run finished, or None if none did.

    Raises:
        SettingsError: what lies there is something else, or its folder is none.
    """
    if not output.parent.is_dir():
        raise SettingsError(f"there is no folder {output.parent} for {output}")
    if beside(output, JOURNAL).exists() or not output.exists():
        return None
    try:
        told = json.loads(beside(output, FINISHED).read_text("ascii"))
        made = told["settings"]
        summary = Summary.from_json(told)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{output} is there, and not of a run of ours; --refresh replaces it"
        ) from error
    if made != settings:
        raise SettingsError(f"{output} was made otherwise: {differences(made, settings)}")
    fingerprint = hashlib.blake2b(digest_size=MARK)
    for item in inputs:
        fingerprint.update(mark(item))
    if told["inputs"] != fingerprint.hexdigest():
        raise SettingsError(f"{output} was made from other inputs than these; {REFRESH}")
    return summary


def beside(path: Path, suffix: str) -> Path:
    """Return the path of a run's own file beside another."""
    return path.with_name(path.name + suffix)

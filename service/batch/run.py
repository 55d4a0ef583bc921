"""A whole run: inputs to an engine, its results to the state, the state to the output."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from service.batch.engines.local import LocalEngine
from service.batch.engines.worker import Worker
from service.batch.job import Job, Setting, check, plan_of, settings_of
from service.batch.outputs.html_report import Report, check_report
from service.batch.outputs.layouts import layout_of
from service.batch.outputs.pictures import Picture
from service.batch.outputs.quarantine import quarantine
from service.batch.outputs.summary import CountedPages, Summary
from service.batch.outputs.writers import Write, writer_of
from service.batch.pages import Record
from service.batch.plan import Place
from service.batch.progress import Progress
from service.batch.state.journal import EARLIER, Journal
from service.batch.state.marks import MARK, REFRESH, differences, mark
from service.durable_files import (
    FINISHED,
    PARTIAL,
    beside,
    new_partial,
    put_in_place,
    writing,
)
from service.errors import SettingsError
from service.extras import needs
from service.inputs.expand import Inputs
from service.inputs.items import Item
from service.json_object import parse_json

JOURNAL, SHARDS = ".journal", ".shards"  # suffixes of what was read so far, beside the output
DRAWN, COPIED = 4, 4  # items of a task
HASHED = 2**20  # bytes at a time


class State(Protocol):
    """Rows of a run on disk, from which an interrupted one resumes."""

    def records(self) -> Iterator[Record]:
        """Yield every page of the run, in order."""

    def remove(self) -> None:
        """Delete the state: the output has all of it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...


def run(job: Job, inputs: Inputs, progress: Progress) -> Summary:
    """Read everything and write the output, resuming where an earlier run was ended.

    Raises:
        SettingsError: the job cannot be done, or contradicts what an earlier run began.
        ModelError, ServerError: nothing can be read.
        UnwritableOutput: what was read is kept, as far as it was written.
    """
    check(job)
    if job.report is not None:
        check_report(job.report)
    layout = layout_of(job.form)
    write = writer_of(job.output, job.scores, job.csv, layout)
    plan = plan_of(job)
    settings = settings_of(job, plan)
    check_output(job)
    if not job.refresh and (earlier := finished_before(job, inputs, settings)):
        return earlier
    with (
        LocalEngine(plan, job.processes) as engine,
        _read(job, engine, inputs, progress, settings) as state,
    ):
        counted = CountedPages(state.records(), Summary(layout.unit), layout.counted)
        summary = finish(job, inputs, state, counted, write, settings, engine)
        if not summary.retries.total():
            state.remove()
    return summary


def _read(
    job: Job,
    engine: LocalEngine,
    inputs: Inputs,
    progress: Progress,
    settings: dict[str, Setting],
) -> State:
    """Read what is still to be read; return the state with all rows."""
    if job.ray:
        return _read_on_ray(job, engine, inputs, progress, settings)
    journal = Journal(beside(job.output, JOURNAL), settings, job.refresh)
    try:
        with progress:
            before = -1
            for result in engine.read(journal.remaining(iter(inputs))):
                progress.skip(result.place.number - before - 1)
                before = result.place.number
                for page in result.pages:
                    last = not result.following and page is result.pages[-1]
                    journal.append(result.place, page, last)
                    progress.add_page(page, last)
        journal.complete()
    except BaseException:
        journal.abandon()
        raise
    return journal


def _read_on_ray(
    job: Job,
    engine: LocalEngine,
    inputs: Inputs,
    progress: Progress,
    settings: dict[str, Setting],
) -> State:
    with needs("ray", "--engine ray needs pyarrow"):
        from service.batch.engines.ray import read_blocks
        from service.batch.state.shards import BLOCK, Shards

    location = job.shards or str(beside(job.output, SHARDS).resolve())
    shards = Shards(location, job.scores)
    shards.begin(settings, job.refresh)
    waiting = shards.plan(inputs, job.refresh)
    with progress:
        progress.skip((shards.blocks - len(waiting)) * BLOCK)
        if waiting:
            for counts in read_blocks(job, engine.plan, shards, waiting):
                progress.add(counts.items, counts.failed, counts.review, counts.accepted)
    return shards


def finish(
    job: Job,
    inputs: Inputs,
    state: State,
    counted: CountedPages,
    write: Write,
    settings: dict[str, Setting],
    engine: LocalEngine,
) -> Summary:
    """Write the output beside its place, put it there whole, and note what it was made from."""
    output = job.output
    counted.summary.uncalibrated = "" if engine.plan.calibrated else engine.plan.digest

    def copy(copies: Iterable[tuple[Item, Path]]) -> Iterator[bool]:
        return engine.map(Worker.copy, copies, lambda _copy, _error: False, COPIED)

    def draw(places: Iterable[Place]) -> Iterator[Picture | None]:
        return engine.map(Worker.crop, places, lambda _place, _error: None, DRAWN)

    if job.quarantine is not None:
        quarantine(job.quarantine, inputs, state.records(), copy)
    finished = beside(output, FINISHED)
    with writing(output):
        write(counted, new_partial(output))
        if job.report is not None:
            Report(job.report, job, counted.summary, inputs, state.records, draw).write()
        made_from = {
            "made_by": "digitstrip batch",
            "settings": settings,
            "format": format_of(job),
            "inputs": counted.fingerprint,
            "sha256": digest_of_file(beside(output, PARTIAL)),
            # Of the output until then: a run may be killed between the two.
            "replaced": digest_of_file(output) if output.is_file() else None,
        } | counted.summary.to_json()
        new_partial(finished).write_text(json.dumps(made_from, indent=1) + "\n", "ascii")
        put_in_place(finished)
        put_in_place(output)
    return counted.summary


def format_of(job: Job) -> dict[str, Setting]:
    """Return what the output depends on besides the rows."""
    style: dict[str, Setting] = {}
    if job.csv is not None:
        style = {"columns": ",".join(job.csv.columns), "spreadsheet": job.csv.spreadsheet}
    return style | ({"wide": True} if job.form is not None and job.form.wide else {})


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 digest of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(HASHED):
            digest.update(piece)
    return digest.hexdigest()


def has_begun(output: Path) -> bool:
    """Whether the journal of an earlier run is there."""
    journal = beside(output, JOURNAL)
    return journal.exists() or beside(journal, EARLIER).exists()


def check_output(job: Job) -> None:
    """Check that the output can be written, and that no file of anybody else's is overwritten.

    Raises:
        SettingsError: its folder does not exist, or it was not written by an earlier run.
    """
    output = job.output
    if not output.parent.is_dir():
        raise SettingsError(f"there is no folder {output.parent} for {output}")
    if job.refresh or not output.exists():
        return
    try:
        made_from = parse_json(beside(output, FINISHED).read_text("ascii"))
        ours = (made_from["sha256"], made_from["replaced"])
        retries = Summary.from_json(made_from).retries.total()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(
            f"{output} exists but was not written by `digitstrip batch`; pass --refresh to "
            "overwrite it"
        ) from error
    if (has_begun(output) or retries) and digest_of_file(output) not in ours:
        raise SettingsError(
            f"{output} was changed after it was written, by hand, say; move it away to keep it, "
            "or pass --refresh to overwrite it"
        )


def finished_before(job: Job, inputs: Inputs, settings: dict[str, Setting]) -> Summary | None:
    """Return the summary of an output that an earlier run finished, or None if there is work.

    Raises:
        SettingsError: it was made with other settings or from other inputs.
    """
    output = job.output
    if has_begun(output) or not output.exists():
        return None
    made_from = parse_json(beside(output, FINISHED).read_text("ascii"))
    summary = Summary.from_json(made_from)
    if summary.retries.total() and job.ray:
        return None
    begun = made_from["settings"] | made_from["format"]
    if begun != settings | format_of(job):
        changed = differences(begun, settings | format_of(job))
        raise SettingsError(f"{output} was made with other settings: {changed}")
    fingerprint = hashlib.blake2b(digest_size=MARK)
    for item in inputs:
        fingerprint.update(mark(item))
    if made_from["inputs"] != fingerprint.hexdigest():
        raise SettingsError(f"{output} was made from other inputs than these; {REFRESH}")
    return summary

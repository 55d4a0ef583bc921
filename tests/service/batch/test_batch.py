"""`digitstrip batch` as a user runs it."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from service.batch.outputs.rows import COLUMNS
from tests.conftest import ROOT, STRIPS, until
from tests.support.damage import SOUND, make_damage

NAME = "postcode-ruled.png"


def rows_of(path):
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


@pytest.fixture
def batch(run, tmp_path):
    """Run `batch` quietly; returns (rows, what ended)."""

    def batch(*arguments, output="out.jsonl", **more):
        path = tmp_path / output
        ended = run("batch", *arguments, "--output", path, "--progress", "none", **more)
        return rows_of(path) if path.suffix == ".jsonl" and path.exists() else path, ended

    return batch


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """The example strips read once, undisturbed."""
    path = tmp_path_factory.mktemp("whole") / "out.jsonl"
    command = [sys.executable, "-m", "service.cli", "batch", str(STRIPS), "--output", str(path)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=120, capture_output=True)
    return path


def test_every_format_has_the_readings_of_read(batch, run, whole):
    read = run("read", STRIPS, "--json", "--accept-errors", "1%").stdout.splitlines()
    rows = rows_of(whole)
    assert len(rows) == len(read)
    for row, line in zip(rows, read, strict=True):
        record = json.loads(line)
        assert {key: row[key] for key in record} == record
        assert tuple(row) == COLUMNS
    table, _ = batch(STRIPS, "--columns", "all", output="out.csv")
    with table.open(newline="") as file:
        for cells, row in zip(csv.DictReader(file), rows, strict=True):
            assert cells["text"] == row["text"]
            assert float(cells["confidence"]) == row["confidence"]
            assert json.loads(cells["digits"]) == row["digits"]
    table, _ = batch(STRIPS, output="out.parquet")
    assert pq.read_table(table).to_pylist(maps_as_pydicts="strict") == rows


def test_scores_are_kept_as_tensors(batch):
    table, _ = batch(STRIPS / NAME, "--scores", output="out.parquet")
    (scores,) = pq.read_table(table).column("scores").to_pylist()
    rows, positions, labels = scores["shape"]
    assert (rows, labels) == (1, 11)
    assert len(scores["data"]) == positions * labels


def test_nothing_damaged_is_lost_and_each_has_its_reason(batch, tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    reasons = make_damage(folder)
    rows, ended = batch(folder, "--quarantine", tmp_path / "aside")
    assert ended.returncode == 1
    by_name = {row["source"].rpartition("/")[2]: row for row in rows}
    assert len(rows) == len(by_name) == len(reasons) + len(SOUND)
    seen = {name: row["error"] and row["error"]["reason"] for name, row in by_name.items()}
    assert seen == reasons | dict.fromkeys(SOUND)
    listed = rows_of(tmp_path / "aside" / "reasons.jsonl")
    assert {each["source"].rpartition("/")[2] for each in listed} == set(reasons)
    for each in listed:
        if each["copy"]:
            source = folder / each["source"].rpartition("/")[2]
            assert (tmp_path / "aside" / each["copy"]).read_bytes() == source.read_bytes()
    assert sum(each["copy"] is None for each in listed) == 1  # the link that leads nowhere


def test_a_summary_by_reason_ends_the_run(run, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    shutil.copy(STRIPS / NAME, tmp_path / "b.png")
    ended = run("batch", tmp_path, "--output", tmp_path / "o.csv", "--progress", "lines")
    assert ended.returncode == 1
    assert b"2 rows of 2 items: 1 read" in ended.stderr
    assert b"1  UNKNOWN_FORMAT" in ended.stderr
    assert ended.stdout == b""


def test_every_page_of_tiff_and_pdf_is_a_row(batch, truths, tmp_path):
    names = [NAME, "two-digits.png"]
    pages = [Image.open(STRIPS / name).convert("L") for name in names]
    pages[0].save(tmp_path / "p.tif", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "p.pdf", save_all=True, append_images=pages[1:], resolution=100.0)
    rows, ended = batch(tmp_path / "p.tif", tmp_path / "p.pdf", "--dpi", "100")
    assert ended.returncode == 0
    assert [row["page"] for row in rows] == [1, 2, 1, 2]
    assert [row["text"] for row in rows] == [truths[name] for name in names] * 2


def test_pages_of_a_long_document_stay_in_order(batch, truths, tmp_path):
    names = [NAME, "two-digits.png"] * 20
    pages = [Image.open(STRIPS / name).convert("L") for name in names]
    pages[0].save(tmp_path / "p.tif", save_all=True, append_images=pages[1:])
    rows, _ = batch(tmp_path / "p.tif", STRIPS / NAME)
    assert [row["page"] for row in rows] == [*range(1, 41), 1]
    assert [row["text"] for row in rows] == [truths[name] for name in [*names, NAME]]


def test_archives_are_read_without_unpacking(batch, readings, tmp_path):
    for kind in ("zip", "tar", "gztar"):
        shutil.make_archive(str(tmp_path / "strips"), kind, STRIPS)
    archives = [tmp_path / f"strips.{suffix}" for suffix in ("zip", "tar", "tar.gz")]
    rows, ended = batch(*archives)
    assert ended.returncode == 0
    assert len(rows) == 3 * len(readings)
    for row in rows:
        assert row["text"] == readings[row["source"].rpartition("/")[2]]
    assert rows[0]["source"].startswith(f"{tmp_path}/strips.zip/")


def test_a_damaged_archive_is_a_row(batch, tmp_path):
    shutil.make_archive(str(tmp_path / "strips"), "gztar", STRIPS)
    packed = (tmp_path / "strips.tar.gz").read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "no.zip").write_bytes(b"no archive")
    rows, ended = batch(tmp_path / "cut.tar.gz", tmp_path / "no.zip", STRIPS / NAME)
    assert ended.returncode == 1
    failed = [row for row in rows if row["error"]]
    assert {row["error"]["reason"] for row in failed} == {"UNREADABLE_SOURCE"}
    # The member in which the first one is cut, what comes after it, and the second one.
    assert [row["source"].endswith((".png", ".jpg", ".tif", ".webp")) for row in failed] == [
        True,
        False,
        False,
    ]
    assert rows[-1]["text"]


def test_a_manifest_gives_ids_pages_and_constraints(batch, tmp_path):
    shutil.copytree(STRIPS, tmp_path / "strips")
    lines = [
        "id,path,length,allowed,check,page",
        f"a,strips/{NAME},5,,,",
        f"b,strips/{NAME},5,68761|99999,,",
        f"c,strips/{NAME},many,,,",
        f"d,strips/{NAME},,,,2",
        "e,strips/nowhere.png,,,,",
        f"f,strips/{NAME},,,abacus,",
        f"g,strips/{NAME},,,,1",
        f"h,strips/{NAME},,,,0",
    ]
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    rows, ended = batch(tmp_path / "list.csv", "--length", "4")
    assert ended.returncode == 1
    assert [row["id"] for row in rows] == list("abcdefgh")
    assert rows[0]["text"] == "68767"
    assert rows[1]["text"] == "68761"
    reasons = [row["error"] and row["error"]["reason"] for row in rows[2:]]
    bad = "BAD_CONSTRAINT"
    assert reasons == [bad, "NO_SUCH_PAGE", "UNREADABLE_SOURCE", bad, None, "BAD_OPTION"]
    assert rows[3]["error"]["message"] == "page 2 was requested; there is one page"
    assert rows[6]["page"] == 1


def test_a_list_on_standard_input_is_read(batch, truths):
    names = [NAME, "two-digits.png"]
    listed = "".join(f"{STRIPS / name}\n" for name in names).encode()
    rows, _ = batch("-", stdin=listed)
    assert [row["text"] for row in rows] == [truths[name] for name in names]


def test_urls_of_fsspec_are_read(batch, readings, tmp_path):
    shutil.make_archive(str(tmp_path / "strips"), "zip", STRIPS)
    urls = [f"file://{STRIPS}", f"file://{STRIPS}/*.jpg", f"file://{tmp_path}/strips.zip"]
    rows, ended = batch(*urls, f"file://{STRIPS}/nowhere.png")
    assert ended.returncode == 1
    assert len(rows) == 2 * len(readings) + 2 + 1
    assert rows[-1]["error"]["reason"] == "UNREADABLE_SOURCE"
    for row in rows[:-1]:
        assert row["text"] == readings[row["source"].rpartition("/")[2]]


def test_a_service_gives_the_same_bytes(batch, whole, service, tmp_path):
    _, ended = batch(STRIPS, "--address", service.address)
    assert ended.returncode == 0
    assert (tmp_path / "out.jsonl").read_bytes() == whole.read_bytes()


def test_a_service_gives_the_same_reasons(batch, service, tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    make_damage(folder)
    here, _ = batch(folder, output="here.jsonl")
    there, _ = batch(folder, "--address", service.address, output="there.jsonl")
    assert here == there


def test_a_service_that_is_not_there_ends_the_run_with_a_sentence(batch):
    _, ended = batch(STRIPS, "--address", "127.0.0.1:1", "--timeout", "3")
    assert ended.returncode == 1
    assert b"SERVER_UNAVAILABLE" in ended.stderr


def test_a_killed_run_resumes_and_ends_with_the_same_bytes(run, tmp_path):
    """The short form of benchmarks/batch_kills.py."""
    arguments = ["batch", *[STRIPS / NAME] * 200, "--progress", "none", "--output"]
    assert run("batch", STRIPS / NAME, "--output", tmp_path / "one.csv").returncode == 0
    header, row = (tmp_path / "one.csv").read_bytes().splitlines(keepends=True)
    command = [sys.executable, "-m", "service.cli", *map(str, arguments)]
    output = tmp_path / "out.csv"
    running = subprocess.Popen([*command, str(output)], cwd=ROOT)
    journal = tmp_path / "out.csv.journal"
    while running.poll() is None and (not journal.exists() or journal.stat().st_size < 1000):
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not output.exists()
    assert journal.exists()
    assert run(*arguments, output).returncode == 0
    assert output.read_bytes() == header + row * 200
    assert not journal.exists()


def test_a_full_disk_is_reported_and_what_was_read_is_kept(run, whole, tmp_path):
    output = tmp_path / "out.jsonl"
    command = f"ulimit -f 12; exec {sys.executable} -m service.cli batch {STRIPS} -o {output}"
    full = subprocess.run(
        ["bash", "-c", command], capture_output=True, cwd=ROOT, timeout=120, check=False
    )
    assert full.returncode == 1
    assert b"UNWRITABLE_OUTPUT: cannot write" in full.stderr
    assert not output.exists()
    assert run("batch", STRIPS, "-o", output).returncode == 0
    assert output.read_bytes() == whole.read_bytes()


def test_what_was_finished_is_not_read_again(batch, run, tmp_path):
    before, _ = batch(STRIPS / NAME)
    stamp = (tmp_path / "out.jsonl").stat().st_mtime_ns
    again, ended = batch(STRIPS / NAME)
    assert (again, ended.returncode) == (before, 0)
    assert (tmp_path / "out.jsonl").stat().st_mtime_ns == stamp


def test_a_change_is_refused_with_a_sentence_or_read_again(batch, calibrated_model, tmp_path):
    shutil.copy(STRIPS / NAME, tmp_path / "a.png")
    batch(tmp_path / "a.png")
    shutil.copy(STRIPS / "two-digits.png", tmp_path / "a.png")
    _, ended = batch(tmp_path / "a.png")
    assert ended.returncode == 2
    assert b"made from other inputs" in ended.stderr
    rows, ended = batch(tmp_path / "a.png", "--refresh")
    assert (ended.returncode, len(rows[0]["text"])) == (0, 2)
    for option in (["--length", "2"], ["--model", calibrated_model]):
        _, ended = batch(tmp_path / "a.png", *option)
        assert ended.returncode == 2
        assert b"was made with other settings: " in ended.stderr
        assert batch(tmp_path / "a.png", *option, "--refresh")[1].returncode == 0


def test_a_file_of_others_is_not_overwritten(batch, tmp_path):
    (tmp_path / "out.jsonl").write_text("{}\n")
    _, ended = batch(STRIPS / NAME)
    assert ended.returncode == 2
    assert b"was not written by `digitstrip batch`; pass --refresh to overwrite it" in ended.stderr
    assert (tmp_path / "out.jsonl").read_text() == "{}\n"


def test_a_link_where_the_output_is_written_leads_nowhere(batch, tmp_path):
    (tmp_path / "precious").write_text("precious")
    for name in ("out.jsonl", "out.jsonl.run.json", "report.html"):
        (tmp_path / f"{name}.partial").symlink_to(tmp_path / "precious")
    _, ended = batch(STRIPS / NAME, "--report", tmp_path / "report.html")
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "precious").read_text() == "precious"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--output", "out.xls"], b"expected one of .jsonl, .csv, .parquet"),
        (["--output", "out.csv", "--scores"], b"--scores needs a .parquet"),
        (["--output", "out.jsonl", "--columns", "all"], b"--columns and --spreadsheet are for a"),
        (["--output", "out.csv", "--columns", "txt"], b"there is no column 'txt'; expected"),
        (["--output", "/nowhere/out.csv"], b"there is no folder /nowhere"),
        (["--output", "o.csv", "--length", "many"], b"'many' is no number of digits"),
        (["--output", "o.csv", "--engine", "ray", "--address", "a:1"], b"--engine ray"),
    ],
)
def test_wrong_use_is_reported_before_anything_is_read(run, arguments, complaint):
    ended = run("batch", STRIPS, *arguments, COLUMNS="200")
    assert ended.returncode == 2
    assert complaint in ended.stderr


def test_a_model_that_is_not_calibrated_says_so_in_every_run_and_in_the_report(
    run, second_reader, tmp_path
):
    report, out = tmp_path / "report.html", tmp_path / "out.csv"
    for _ in range(2):
        ended = run("batch", STRIPS / NAME, "-o", out, "--model", second_reader, "--report", report)
        assert ended.returncode == 0
        assert b"is not calibrated: its confidences are no probabilities" in ended.stderr
    assert "is not calibrated" in report.read_text()


def test_a_model_that_cannot_read_ends_the_run(batch, tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"no model")
    _, ended = batch(STRIPS, "--model", tmp_path / "m.onnx")
    assert ended.returncode == 1
    assert b"BAD_MODEL" in ended.stderr


def test_the_report_is_one_page_with_pictures_and_reasons(batch, tmp_path):
    shutil.copy(STRIPS / NAME, tmp_path / "a.png")
    (tmp_path / "<b>.png").write_bytes(b"no image")
    batch(tmp_path, "--report", tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text("utf-8")
    assert page.count("data:image/png;base64,") == 1
    assert "UNKNOWN_FORMAT" in page
    assert "&lt;b&gt;.png" in page
    assert "<b>.png" not in page
    assert not [word for word in ("<script", "http://", "https://", "url(") if word in page]


def test_lines_for_logs_show_the_progress_of_a_run(monkeypatch):
    from io import StringIO

    from rich.console import Console

    from service.batch import progress
    from service.batch.options import ProgressMode

    monkeypatch.setattr(progress, "LINE_SECONDS", -1.0)
    console = Console(file=StringIO(), width=200)
    with progress.Progress(console, ProgressMode.AUTO, range(10)) as shown:
        shown._counting.join()
        shown.add(4, 1, 1, 2)
    line = console.file.getvalue()
    assert "4 of 10 items" in line
    assert "items/s" in line
    assert "left, 1 errors, 33.3% to review" in line


def test_batch_of_jsonl_needs_no_extra():
    program = (
        "import sys\n"
        "for name in ('pyarrow', 'fsspec', 'pypdfium2', 'ray', 'pandas'):\n"
        "    sys.modules[name] = None\n"
        "from service.cli.main import main\n"
        "main()"
    )

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-c", program, "batch", *map(str, arguments)],
            capture_output=True,
            cwd=ROOT,
            env=os.environ | {"COLUMNS": "200"},
            timeout=120,
            check=False,
        )

    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out"
        assert run(STRIPS / NAME, "-o", output.with_suffix(".jsonl")).returncode == 0
        for arguments, extra in (
            (["-o", output.with_suffix(".parquet")], b"(the extra `batch`): pip install '"),
            (
                ["-o", output.with_suffix(".csv"), "--engine", "ray"],
                b"(the extra `ray`): pip install '",
            ),
        ):
            ended = run(STRIPS / NAME, *arguments)
            assert ended.returncode == 2
            assert extra in ended.stderr


def test_a_row_that_failed_for_a_reason_that_may_pass_is_read_by_the_same_command(
    run, truths, tmp_path
):
    for name in ("a.png", "b.png", "c.png"):
        shutil.copy(STRIPS / NAME, tmp_path / name)
    (tmp_path / "c.png").rename(tmp_path / "later.png")
    (tmp_path / "list.csv").write_text("path\na.png\nc.png\nb.png\n")
    command = ["batch", tmp_path / "list.csv", "-o", tmp_path / "out.csv", "--progress", "lines"]
    first = run(*command)
    assert first.returncode == 1
    assert b"3 rows of 3 items: 2 read" in first.stderr
    assert b"1  UNREADABLE_SOURCE; the same command tries again" in first.stderr
    before = (tmp_path / "out.csv").read_text()
    again = run(*command)
    assert b"was finished before, but for rows that failed" in again.stderr
    assert (tmp_path / "out.csv").read_text() == before
    (tmp_path / "later.png").rename(tmp_path / "c.png")
    last = run(*command)
    assert last.returncode == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        assert [row["text"] for row in csv.DictReader(file)] == [truths[NAME]] * 3
    assert not (tmp_path / "out.csv.journal").exists()


def test_a_pdf_is_read_once_its_library_is_there(run, tmp_path):
    page = Image.open(STRIPS / NAME).convert("L")
    page.save(tmp_path / "a.pdf", resolution=100.0)
    command = [tmp_path / "a.pdf", "-o", tmp_path / "out.jsonl", "--dpi", "100"]
    # Workers are new processes: they have the library, and this test takes it from them.
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "pypdfium2.py").write_text("raise ModuleNotFoundError('x')\n")
    path = f"{tmp_path / 'none'}{os.pathsep}{ROOT}"
    first = run("batch", *command, PYTHONPATH=path)
    assert first.returncode == 1
    assert b"MISSING_EXTRA; the same command tries again" in first.stderr
    assert run("batch", *command).returncode == 0
    (row,) = rows_of(tmp_path / "out.jsonl")
    assert row["text"]


def test_an_output_that_was_changed_by_hand_is_left_alone(run, tmp_path):
    command = ["batch", tmp_path / "nowhere.png", STRIPS / NAME, "-o", tmp_path / "out.csv"]
    assert run(*command).returncode == 1
    corrected = (tmp_path / "out.csv").read_text().replace("68767", "68768")
    (tmp_path / "out.csv").write_text(corrected)
    ended = run(*command)
    assert ended.returncode == 2
    assert b"was changed after it was written" in ended.stderr
    assert (tmp_path / "out.csv").read_text() == corrected


def test_what_failed_before_is_said_again_with_how_to_go_on(run, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    command = ["batch", tmp_path / "a.png", "-o", tmp_path / "out.csv", "--progress", "lines"]
    run(*command)
    ended = run(*command)
    assert ended.returncode == 1
    for sentence in (
        b"out.csv was finished before, and is unchanged",
        b"1 row of 1 item: 0 read, 1 failed",
        b"1  UNKNOWN_FORMAT",
        b"--refresh reads everything again",
    ):
        assert sentence in ended.stderr


def test_a_fifo_in_a_quarantined_folder_is_a_row_and_nothing_waits(batch, tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    os.mkfifo(scans / "a.png")
    shutil.copy(STRIPS / NAME, scans / "b.png")
    rows, ended = batch(scans, "--quarantine", tmp_path / "aside", "--report", tmp_path / "r.html")
    assert ended.returncode == 1
    assert rows[0]["error"]["message"] == "it is a FIFO, socket or device, not a regular file"
    assert rows[1]["text"]
    (listed,) = rows_of(tmp_path / "aside" / "reasons.jsonl")
    assert listed["copy"] is None


def test_the_report_has_every_reading_to_review_in_pages(batch, tmp_path):
    strip = STRIPS / "pencil-faint.png"
    rows, _ = batch(*[strip] * 61, STRIPS / NAME, "--report", tmp_path / "r.html")
    review = sum(row["decision"] == "REVIEW" for row in rows)
    assert review >= 61
    pages = [(tmp_path / name).read_text("utf-8") for name in ("r.html", "r-2.html")]
    reviewed = [page.count('<b class="review">REVIEW</b>') for page in pages]
    assert reviewed == [60, review - 60]
    assert 'href="r-2.html"' in pages[0]
    assert pages[0].count('<b class="accept">ACCEPT</b>') == 62 - review
    assert "not sure enough for the error rate that was requested" in pages[0]
    for page in pages:
        assert not [word for word in ("<script", "http://", "https://", "url(") if word in page]


def test_a_report_does_not_take_the_place_of_another_file(batch, tmp_path):
    (tmp_path / "r.html").write_text("<p>mine</p>")
    _, ended = batch(STRIPS / NAME, "--report", tmp_path / "r.html")
    assert ended.returncode == 2
    assert b"it is left as it is" in ended.stderr
    assert (tmp_path / "r.html").read_text() == "<p>mine</p>"


def children(pid):
    """A process's children, on Linux."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(each) for each in task.read_text().split()]
    return found


def test_workers_end_when_the_run_is_killed(tmp_path):
    command = [sys.executable, "-m", "service.cli", "batch", *[str(STRIPS / NAME)] * 2000]
    running = subprocess.Popen([*command, "-o", str(tmp_path / "out.jsonl")], cwd=ROOT)
    journal = tmp_path / "out.jsonl.journal"
    while running.poll() is None and (not journal.exists() or journal.stat().st_size < 1000):
        time.sleep(0.01)
    workers = children(running.pid)
    assert workers
    running.send_signal(signal.SIGKILL)
    running.wait()
    until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))


def test_the_report_s_chart_is_whole_on_a_phone(batch, browser, tmp_path):
    batch(STRIPS, "--report", tmp_path / "r.html")
    page = browser.new_page(viewport={"width": 340, "height": 900})
    page.goto((tmp_path / "r.html").as_uri())
    box = page.locator(".histogram").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 340
    for text in page.locator(".histogram text:not(.what)").all():
        each = text.bounding_box()
        assert each["x"] >= box["x"] - 1
        assert each["x"] + each["width"] <= box["x"] + box["width"] + 1
        assert each["y"] >= box["y"] - 1
    page.close()

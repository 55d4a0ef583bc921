import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from service.cli.main import main
from service.cli.recognition_options import to_rate
from tests.conftest import ROOT, STRIPS, until

NAME = "postcode-ruled.png"
RECORD = {
    "source",
    "page",
    "text",
    "confidence",
    "decision",
    "reasons",
    "exact",
    "readers",
    "alternatives",
    "constraint",
    "digits",
    "normalization",
}
BOTH = pytest.mark.parametrize("command", ["read", "send"])


@pytest.fixture
def call(run, service):
    """Run `read`, or `send` through the test server."""

    def call(command, *arguments, **more):
        address = ["--address", service.address] if command == "send" else []
        return run(command, *address, *arguments, **more)

    return call


@BOTH
def test_one_image_prints_its_text_alone(call, truths, command):
    ended = call(command, STRIPS / NAME)
    assert ended.returncode == 0
    assert ended.stdout.decode() == truths[NAME] + "\n"
    assert ended.stderr == b""


@BOTH
def test_several_images_print_their_names_too(call, command):
    ended = call(command, STRIPS / NAME, STRIPS / "two-digits.png")
    lines = [line.split("\t") for line in ended.stdout.decode().splitlines()]
    assert [name for name, _ in lines] == [str(STRIPS / NAME), str(STRIPS / "two-digits.png")]


def test_read_and_send_print_the_same_json(call, truths):
    read, send = call("read", STRIPS, "--json"), call("send", STRIPS, "--json")
    assert read.stdout == send.stdout
    records = [json.loads(line) for line in read.stdout.splitlines()]
    assert len(records) == len(truths)
    for record in records:
        assert record.keys() == RECORD
        assert record["constraint"] is record["decision"] is None
        assert record["alternatives"] == []
        assert "".join(digit["label"] for digit in record["digits"]) == record["text"]


def test_stdin_is_read_under_a_dash(call, truths):
    ended = call("read", "-", stdin=(STRIPS / NAME).read_bytes())
    assert ended.stdout.decode().strip() == truths[NAME]


def test_a_glob_stands_for_what_it_matches(call):
    ended = call("read", STRIPS / "*.jpg")
    assert len(ended.stdout.splitlines()) == 2


@BOTH
def test_every_page_of_a_tiff_is_a_line(call, truths, tmp_path, command):
    names = [NAME, "two-digits.png"]
    first, second = (Image.open(STRIPS / name).convert("L") for name in names)
    first.save(tmp_path / "pages.tif", save_all=True, append_images=[second])
    ended = call(command, tmp_path / "pages.tif", "--json")
    records = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [record["page"] for record in records] == [1, 2]
    assert [record["text"] for record in records] == [truths[name] for name in names]


@BOTH
def test_a_bad_image_is_reported_and_the_rest_is_read(call, truths, tmp_path, command):
    (tmp_path / "a.png").write_bytes(b"no image")
    shutil.copy(STRIPS / NAME, tmp_path / "b.png")
    ended = call(command, tmp_path)
    assert ended.returncode == 1
    assert ended.stdout.decode().split("\t")[1].strip() == truths[NAME]
    assert b"a.png: UNKNOWN_FORMAT: the bytes begin with" in ended.stderr


@BOTH
def test_a_bad_image_is_a_record_with_its_reason(call, tmp_path, command):
    (tmp_path / "a.png").write_bytes((STRIPS / NAME).read_bytes()[:500])
    ended = call(command, tmp_path / "a.png", tmp_path / "absent.png", "--json")
    assert ended.returncode == 1
    damaged, absent = (json.loads(line) for line in ended.stdout.splitlines())
    assert damaged["error"]["reason"] == "DAMAGED_IMAGE"
    assert absent["source"].endswith("absent.png")
    assert absent["error"]["reason"] == "UNREADABLE_SOURCE"
    assert "No such file" in absent["error"]["message"]


@pytest.mark.parametrize("arguments", [["read"], ["frobnicate"], ["serve", "--workers", "0"]])
def test_wrong_use_is_exit_2(run, arguments):
    assert run(*arguments).returncode == 2


def test_a_closed_pipe_ends_the_run_without_an_error():
    command = f"{sys.executable} -m service.cli read {STRIPS} {STRIPS} | head -n 1"
    ended = subprocess.run(
        ["bash", "-c", command], capture_output=True, cwd=ROOT, timeout=60, check=True
    )
    assert len(ended.stdout.splitlines()) == 1
    assert b"INTERNAL" not in ended.stderr


def test_a_name_that_stands_for_nothing_is_a_failure_of_its_own(run, tmp_path):
    ended = run("read", STRIPS / NAME, tmp_path, tmp_path / "*.png")
    assert ended.returncode == 1
    assert len(ended.stdout.splitlines()) == 1
    assert b"UNREADABLE_SOURCE" in ended.stderr
    assert b"there is no image in it" in ended.stderr
    assert b"No such file" in ended.stderr


def test_an_image_that_the_server_refuses_to_take_in_does_not_end_the_run(start_service, run):
    server = start_service(DIGITSTRIP_MAX_BYTES="1", DIGITSTRIP_MAX_PIXELS="1")
    ended = run("send", STRIPS / NAME, STRIPS / "one-digit.png", "--address", server.address)
    assert ended.returncode == 1
    assert ended.stderr.count(b"TOO_MANY_BYTES") == 2
    huge = run("send", STRIPS / "serial.tif", STRIPS / NAME, "--address", server.address, "--json")
    reasons = [json.loads(line)["error"]["reason"] for line in huge.stdout.splitlines()]
    assert reasons == ["SERVER_FAILED", "TOO_MANY_BYTES"]


def test_a_server_that_is_not_there_is_reported_in_a_sentence(run):
    ended = run("send", STRIPS / NAME, "--address", "127.0.0.1:1", "--timeout", "3")
    assert ended.returncode == 1
    assert b"SERVER_UNAVAILABLE: UNAVAILABLE" in ended.stderr
    assert b"Traceback" not in ended.stderr


def test_a_model_that_is_not_calibrated_says_so(run, second_reader, start_service):
    ended = run("read", STRIPS / NAME, "--model", second_reader)
    assert ended.returncode == 0
    assert b"is not calibrated: its confidences are no probabilities" in ended.stderr
    _, told = start_service("--model", str(second_reader)).stop()
    assert "is not calibrated" in told


def test_a_bad_model_is_reported_in_a_sentence(run, tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"no model")
    ended = run("read", STRIPS / NAME, "--model", tmp_path / "m.onnx")
    assert ended.returncode == 1
    assert b"BAD_MODEL" in ended.stderr
    assert b"Traceback" not in ended.stderr


@BOTH
def test_pictures_are_written_one_a_page(call, tmp_path, command):
    ended = call(command, STRIPS / NAME, STRIPS / "one-digit.png", "--picture", tmp_path / "r.png")
    assert ended.returncode == 0
    for name in ("r.png", "r-2.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.height > 300


def test_the_steps_are_drawn_one_picture_a_page(run, tmp_path):
    ended = run("read", STRIPS / NAME, STRIPS / "one-digit.png", "--explain", tmp_path / "e.png")
    assert ended.returncode == 0
    for name in ("e.png", "e-2.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.height > 800


def test_in_a_folder_pictures_are_named_after_their_images(run, tmp_path):
    (tmp_path / "other").mkdir()
    shutil.copy(STRIPS / NAME, tmp_path / "other")
    images = (STRIPS / NAME, STRIPS / "one-digit.png", tmp_path / "other" / NAME)
    where = ("--picture", tmp_path / "pictures" / "new", "--explain", tmp_path / "steps")
    assert run("read", *images, *where).returncode == 0
    names = ["one-digit.png", "postcode-ruled-2.png", "postcode-ruled.png"]
    for folder in (tmp_path / "pictures" / "new", tmp_path / "steps"):
        assert sorted(path.name for path in folder.iterdir()) == names


def test_no_picture_overwrites_an_image_that_is_read(run, tmp_path):
    shutil.copy(STRIPS / NAME, tmp_path)
    ended = run("read", tmp_path, "--picture", tmp_path)
    assert ended.returncode == 2
    assert b"would overwrite an image" in ended.stderr
    assert (tmp_path / NAME).read_bytes() == (STRIPS / NAME).read_bytes()


@BOTH
def test_every_page_of_a_pdf_is_a_line_also_of_one_in_a_folder(call, truths, tmp_path, command):
    names = [NAME, "two-digits.png"]
    first, second = (Image.open(STRIPS / name).convert("L") for name in names)
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "pages.pdf"
    first.save(path, save_all=True, append_images=[second], resolution=100)
    where = ("--dpi", 100, "--picture", tmp_path / "pictures")
    ended = call(command, tmp_path / "in", "--json", *where)
    records = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [(record["source"], record["page"]) for record in records] == [
        (str(path), 1),
        (str(path), 2),
    ]
    assert [record["text"] for record in records] == [truths[name] for name in names]
    assert (tmp_path / "pictures" / "pages-2.png").exists()


def test_a_pdf_without_its_library_says_what_to_install(run, tmp_path):
    Image.open(STRIPS / NAME).convert("L").save(tmp_path / "a.pdf")
    (tmp_path / "pypdfium2.py").write_text("raise ModuleNotFoundError('x')\n")
    path = f"{tmp_path}{os.pathsep}{ROOT}"
    ended = run("read", tmp_path / "a.pdf", STRIPS / NAME, PYTHONPATH=path)
    assert ended.returncode == 1
    assert "pip install 'fsspec" in ended.stderr.decode()
    assert ended.stdout.decode().endswith("68767\n")


@pytest.mark.parametrize("option", ["--picture", "--explain"])
@pytest.mark.parametrize("name", ["nowhere/r.png", "r.no-such-suffix"])
def test_a_picture_that_cannot_be_written_is_reported_in_a_sentence(run, tmp_path, name, option):
    ended = run("read", STRIPS / NAME, option, tmp_path / name)
    assert ended.returncode == 2
    assert b"cannot write" in ended.stderr
    assert b"Traceback" not in ended.stderr


def test_reading_a_strip_imports_nothing_that_others_need(run):
    program = (
        "import sys; from service.cli.main import main\n"
        "sys.argv = ['digitstrip', 'read', sys.argv[1]]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'training', 'grpc', 'service.forms'} & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, STRIPS / NAME], capture_output=True, cwd=ROOT, check=True
    )
    assert ended.stdout.splitlines()[-1] == b"[]"


@BOTH
@pytest.mark.parametrize(
    "arguments",
    [
        ["--length", "5"],
        ["--length", "3-7"],
        ["--length", "5-"],
        ["--pattern", r"\d{5}"],
        ["--check", "luhn"],
        ["--length", "4-5", "--pattern", "[67]*8[67]*", "--check", "luhn"],
    ],
)
def test_a_constraint_that_holds_leaves_the_output_as_it_is(call, truths, command, arguments):
    ended = call(command, STRIPS / NAME, *arguments)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout.decode() == truths[NAME] + "\n"


@BOTH
def test_a_list_of_allowed_strings_is_read_from_a_file(call, tmp_path, command):
    (tmp_path / "codes.txt").write_text("\ufeff68-761\r\n\n  99999 \n", "utf-8")
    ended = call(command, STRIPS / NAME, "--allowed", tmp_path / "codes.txt", "--json")
    record = json.loads(ended.stdout)
    assert record["text"] == "68-761"
    assert record["constraint"]["outcome"] == "CHANGED"
    assert 0 <= record["constraint"]["allowed_probability"] <= 1


@BOTH
def test_a_text_that_the_image_hardly_shows_is_reported_beside_the_output(call, command):
    ended = call(command, STRIPS / NAME, "--length", "9")
    assert len(ended.stdout.split()[0]) == 9
    (sentence,) = ended.stderr.decode().splitlines()
    assert sentence.startswith(f"{STRIPS / NAME}: CHANGED: the image hardly shows what is allowed")


@BOTH
def test_a_constraint_that_nothing_fits_is_reported_beside_the_output(call, truths, command):
    ended = call(command, STRIPS / NAME, STRIPS / "one-digit.png", "--length", "200")
    assert ended.returncode == 0
    names = [NAME, "one-digit.png"]
    assert ended.stdout.decode() == "".join(f"{STRIPS / n}\t{truths[n]}\n" for n in names)
    assert ended.stderr.decode().splitlines() == [
        f"{STRIPS / n}: IMPOSSIBLE: no string that is allowed was found; this one is not"
        for n in names
    ]
    alone = call(command, STRIPS / NAME, "--length", "200", "--json")
    assert alone.stderr == b""
    assert json.loads(alone.stdout)["constraint"]["outcome"] == "IMPOSSIBLE"


@BOTH
def test_alternatives_are_in_the_json(call, command):
    ended = call(command, STRIPS / NAME, "--alternatives", "3", "--json")
    record = json.loads(ended.stdout)
    assert len(record["alternatives"]) == 3
    assert all(other.keys() == {"text", "confidence"} for other in record["alternatives"])
    assert record["text"] not in [other["text"] for other in record["alternatives"]]


@BOTH
def test_a_decision_is_a_column_of_its_own(call, tmp_path, command):
    (tmp_path / "codes.txt").write_text("68761")
    options = ["--allowed", tmp_path / "codes.txt", "--accept-errors", "0.1%"]
    assert call(command, STRIPS / NAME, *options).stdout == b"68761\tREVIEW\tLOW_CONFIDENCE\n"
    two = call(command, STRIPS / NAME, STRIPS / NAME, *options)
    assert two.stdout.decode() == f"{STRIPS / NAME}\t68761\tREVIEW\tLOW_CONFIDENCE\n" * 2
    assert (
        json.loads(call(command, STRIPS / NAME, *options, "--json").stdout)["decision"] == "REVIEW"
    )


@pytest.mark.parametrize(
    ("rate", "decision"), [("50%", "ACCEPT"), ("0.5", "ACCEPT"), (".4", "REVIEW\tLOW_CONFIDENCE")]
)
def test_a_reading_is_accepted_by_the_models_own_thresholds(
    run, truths, calibrated_model, rate, decision
):
    ended = run("read", STRIPS / NAME, "--accept-errors", rate, "--model", calibrated_model)
    assert ended.stdout.decode() == f"{truths[NAME]}\t{decision}\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--length", "five"], "--length: 'five' is no number of digits; expected one such as 5"),
        (["--length", "0"], "--length: '0' is no number of digits"),
        (["--length", "0-0"], "--length: '0-0' is no number of digits"),
        (["--length", "-5"], "--length: '-5' is no number of digits"),
        (["--length", ""], "--length: '' is no number of digits"),
        (["--length", "7-3"], "--length: the length is 7 to 3"),
        (["--length", "256"], "--length: the length is 256 to 256"),
        (["--pattern", "[a-z]"], "--pattern: the pattern '[a-z]' has a class of something else"),
        (["--pattern", ""], "--pattern: the pattern is empty"),
        (["--allowed", "/nowhere/codes"], "--allowed: cannot read /nowhere/codes: "),
        (["--allowed", "/dev/null"], "--allowed: /dev/null has no values in it"),
        (["--allowed", STRIPS / NAME], f"--allowed: cannot read {STRIPS / NAME}: 'utf-8' codec"),
        (["--allowed", __file__], "--allowed: the allowed value 'import json' is not written"),
        (["--check", "abacus"], "'abacus' is not one of 'luhn', 'mod97'"),
        (["--check", "isbn13", "--length", "5"], "no string satisfies all that is given: length"),
        (["--check", "isbn13", "--pattern", "1+"], "all that is given: pattern, check_digit"),
        (["--alternatives", "3"], "--alternatives: they are only in JSON; add --json"),
        (["--alternatives", "-1", "--json"], "--alternatives"),
        (["--alternatives", "21", "--json"], "--alternatives: 21 alternatives were requested"),
        (["--accept-errors", "few"], "--accept-errors: 'few' is no share; expected one such as"),
        (["--accept-errors", "1"], "--accept-errors: the accepted error rate is 1; expected one"),
        (["--accept-errors", "0%"], "--accept-errors: the accepted error rate is 0;"),
        (["--accept-errors", "nan"], "--accept-errors: the accepted error rate is nan;"),
        (["--accept-errors", "snan"], "--accept-errors: 'snan' is no share"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_read(
    capsys, monkeypatch, arguments, complaint
):
    monkeypatch.setenv("COLUMNS", "1000")
    monkeypatch.setattr("sys.argv", ["digitstrip", "read", "-", *map(str, arguments)])
    with pytest.raises(SystemExit) as raised:
        main()
    assert raised.value.code == 2
    printed = capsys.readouterr()
    assert complaint in printed.err
    assert printed.out == ""


def test_a_wrong_option_needs_no_server_to_be_refused(run):
    ended = run("send", STRIPS / NAME, "--pattern", "[", "--address", "127.0.0.1:1", COLUMNS="200")
    assert ended.returncode == 2
    assert b"--pattern: the pattern '[' has" in ended.stderr
    assert b"Traceback" not in ended.stderr


@given(st.integers(1, 9999))
def test_a_rate_is_the_same_number_in_percent(count):
    assert to_rate(f"{count / 100:.2f}%") == float(f"{count / 10000:.4f}")


def test_the_version_is_told(run):
    ended = run("--version")
    assert (ended.returncode, ended.stdout.decode().strip()) == (0, version("digitstrip"))


def test_a_page_over_a_limit_says_how_to_raise_it_and_is_read_then(run, tmp_path):
    path = tmp_path / "page.png"
    shutil.copy(STRIPS / "postcode-ruled.png", path)
    refused = run("read", path, "--max-pixels", 36_399)
    assert refused.returncode == 1
    assert "280×130 = 36,400 pixels; at most 36,399 are allowed" in refused.stderr.decode()
    assert "--max-pixels" in refused.stderr.decode()
    read = run("read", path, "--max-pixels", 36_400)
    assert (read.returncode, read.stdout.decode()) == (0, "68767\n")
    for option in ("--max-bytes", "--max-width"):
        refused = run("read", path, option, 100)
        assert refused.returncode == 1
        assert option in refused.stderr.decode()


def test_a_batch_has_the_limits_that_its_options_say(run, tmp_path):
    out = tmp_path / "out.jsonl"
    arguments = ("batch", STRIPS / "postcode-ruled.png", "-o", out, "--workers", 1)
    run(*arguments, "--max-pixels", 36_399)
    assert json.loads(out.read_text())["error"]["reason"] == "TOO_MANY_PIXELS"
    run(*arguments, "--max-pixels", 36_400, "--refresh")
    assert json.loads(out.read_text())["text"] == "68767"


def test_a_record_says_which_channel_was_read(run, tmp_path):
    gray = np.asarray(Image.open(STRIPS / "card-number.bmp").convert("L"), np.float64)
    share = np.clip(1.2 * (gray.max() - gray) / np.ptp(gray) - 0.2, 0, 1)[..., None]
    colors = np.array([60, 80, 200]) * (1 - share) + np.array([200, 30, 35]) * share
    path = tmp_path / "red-on-blue.png"
    Image.fromarray(colors.astype(np.uint8)).save(path)
    done = run("read", "--json", STRIPS / "card-number.bmp", path)
    plain, red_on_blue = map(json.loads, done.stdout.splitlines())
    assert plain["normalization"]["channel"] == "LUMINANCE"
    assert red_on_blue["normalization"]["channel"] in ("RED", "BLUE")
    assert red_on_blue["text"] == plain["text"]


@pytest.mark.parametrize("streams", ["2>/dev/full", "<&- >&- 2>&-", "2>&1 | true"])
def test_a_batch_whose_stderr_is_full_is_read_all_the_same(streams, tmp_path):
    output = tmp_path / "out.jsonl"
    arguments = f"batch {STRIPS}/one-digit.png --output {output} --progress lines"
    command = f"{sys.executable} -m service.cli {arguments} {streams}"
    ended = subprocess.run(["sh", "-c", command], cwd=ROOT, timeout=60, check=False)
    assert ended.returncode == 0
    until(lambda: output.exists() and len(output.read_text().splitlines()) == 1)

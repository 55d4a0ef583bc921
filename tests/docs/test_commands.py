"""Every command line that the README and docs/ show is run by a test, or says why by none."""

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from service.csv_cells import unguarded
from service.recognition.model import SHIPPED_MODEL, Scorer
from tests.conftest import ROOT, Service
from training.cli.main import app
from training.config import SequenceConfig, StripConfig
from training.data.digits import load_mnist5k
from training.export import load_model, network_name
from training.networks import ContextNet
from training.pages.page import random_page

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAM = re.compile(
    r"(?:~?[\w./]*/bin/pip|\.|python3|install|mkdir|systemctl|kubectl|digitstrip(?:-train)?|make|curl|cd|node|npm|pip|buf|docker"
    r"|echo) "
)
WEB = "http://127.0.0.1:8080"  # where the pages' server listens
THIRTY = 30  # scans, of which the last one is a PDF of two pages

HERE = "tests/docs/test_commands.py::"
DOCS = "tests/docs/test_docs.py::"
WAY = f"{HERE}test_the_whole_way_from_scans_to_ones_own_model"
LOOP = "tests/integration/test_review_loop.py::test_the_loop_of_the_docs_closes"
OVER_HTTP = f"{HERE}test_a_call_over_http_runs"
TRANSCRIPT = f"{DOCS}test_a_transcript_is_what_the_command_prints"
SECURED = "tests/integration/test_secured.py::test_whoever_is_known_is_served"
KNOBS = "tests/training/test_knobs.py::"
SAMPLES = "tests/training/pages/test_samples.py::"
REVIEW_APP = "tests/service/review/test_app.py::"
INSTALLS = "reason: it installs from a package registry"
UNIT = "tests/deploy/test_systemd.py::test_the_unit_allows_every_system_call_that_the_server_makes"
CLUSTER = "tests/deploy/test_deploy.py::test_the_secured_deployment_is_one_that_kubernetes_knows"
LISTED = {  # command lines that are run in other words: the test, or why there is none
    "python3 -m pip wheel --no-deps --wheel-dir dist .": INSTALLS,
    "python3 -m venv ~/digitstrip": INSTALLS,
    "~/digitstrip/bin/pip install dist/digitstrip-*.whl": INSTALLS,
    ". ~/digitstrip/bin/activate": INSTALLS,
    "python3 -m venv /opt/digitstrip": INSTALLS,
    "/opt/digitstrip/bin/pip install 'dist/digitstrip-0.1.0-py3-none-any.whl[web]'": INSTALLS,
    "install -D --mode 644 deploy/digitstrip.service /etc/systemd/system/digitstrip.service": UNIT,
    "mkdir --parents /etc/digitstrip && echo 'listen = \"127.0.0.1:50051\"' > "
    "/etc/digitstrip/digitstrip.toml": UNIT,
    "systemctl enable --now digitstrip": UNIT,
    "kubectl create secret tls digitstrip-tls --cert=chain.pem --key=key.pem": CLUSTER,
    "kubectl create secret generic digitstrip-tokens --from-file=tokens.txt": CLUSTER,
    "kubectl apply -k deploy/kubernetes-secured": CLUSTER,
    "digitstrip batch scans/ --form form.toml --output fields.csv": (
        "tests/service/batch/test_forms.py::"
        "test_a_run_says_what_became_of_its_fields_and_sets_aside_what_it_cannot_read"
    ),
    "digitstrip batch scans/ --form form.toml --output pages.csv --wide": (
        "tests/service/batch/test_forms.py::test_a_killed_run_resumes_and_ends_with_the_same_bytes"
    ),
    "digitstrip read --form form.toml scans/ --accept-errors 1% --picture looked/": (
        "tests/service/cli/test_forms.py::"
        "test_every_page_is_drawn_with_what_was_decided_of_its_fields"
    ),
    "digitstrip read --form form.toml scans/ --alto xml/": (
        "tests/service/cli/test_forms.py::test_pages_are_written_as_alto_named_after_their_files"
    ),
    "digitstrip read --form forms/ scans/": (
        "tests/service/cli/test_forms.py::"
        "test_of_a_folder_of_forms_the_one_that_a_page_is_is_named_in_the_row"
    ),
    "digitstrip batch scans/ --form forms/ --output fields.csv": (
        "tests/service/cli/test_forms.py::"
        "test_of_a_folder_of_forms_the_one_that_a_page_is_is_named_in_the_row"
    ),
    "digitstrip form from-pdf blank.pdf": (
        "tests/service/cli/test_form_drafts.py::test_a_template_of_a_pdf_checks_and_reads_a_scan"
    ),
    "digitstrip form from-image blank.png --dpi 300 --output card.toml": (
        "tests/service/cli/test_form_drafts.py::test_a_template_of_a_picture_finds_boxes_and_combs"
    ),
    "make demo": "reason: it sets up an environment from a package registry",
    "make test": "reason: it runs this test",
    "make train DATA_DIR=path/to/mnist HANDS=path/to/hands STRIPS=path/to/parish": (
        "reason: it takes hours and data that are not in the repository"
    ),
    "cd examples/node && npm ci && npm test": (
        "tests/integration/test_node.py::test_the_examples_own_tests_pass"
    ),
    "node read.js --stream --address 127.0.0.1:50051 ../strips/*.png": (
        "tests/integration/test_node.py::test_the_example_strips_are_read_from_node"
    ),
    "digitstrip serve --listen 127.0.0.1:50051": (
        "tests/service/cli/test_cli.py::test_one_image_prints_its_text_alone"
    ),
    "digitstrip serve --tls-certificate chain.pem --tls-key key.pem "
    "--tls-client-ca clients.pem --tokens-file tokens.txt": SECURED,
    "digitstrip serve --web-listen 127.0.0.1:8080": OVER_HTTP,
    "digitstrip-train calibrate mine.onnx mine.onnx --strips DIR": WAY,
    "digitstrip read --model mine.onnx scan.png": (
        f"{DOCS}test_the_example_of_an_own_network_keeps_the_contract"
    ),
    "digitstrip serve --model mine.onnx": WAY,
    "digitstrip batch scans/ --output readings.csv": WAY,
    "digitstrip batch scans/ --output readings.parquet --alternatives 4": LOOP,
    "digitstrip review readings.parquet": LOOP,
    "digitstrip review readings.parquet --sample 200": LOOP,
    "digitstrip review readings.parquet --labels DIR": LOOP,
    "digitstrip review readings.parquet --export reviewed.parquet --labels labels "
    "--summary summary.html": f"{REVIEW_APP}test_every_format_is_exported_by_the_command",
    "digitstrip review readings.parquet --keys 2 --listen 0.0.0.0:8090 --people people.txt": (
        f"{REVIEW_APP}test_people_are_known_by_their_tokens"
    ),
    "digitstrip-train quantize own.onnx own.onnx": (
        "tests/training/test_quantize.py::"
        "test_a_model_of_8_bits_is_a_quarter_of_the_size_and_reads_what_it_read"
    ),
    "digitstrip-train config > knobs.toml": (
        f"{KNOBS}test_the_listing_has_every_knob_at_its_default_and_changes_nothing"
    ),
    "digitstrip-train fit runs/own --init service/model.onnx --strips DIR --config knobs.toml": (
        f"{KNOBS}test_a_setting_wins_over_the_file_and_the_file_over_what_was_chosen"
    ),
    "digitstrip-train fit runs/own --init service/model.onnx --strips DIR --set lines.steps=100": (
        f"{KNOBS}test_a_setting_wins_over_the_file_and_the_file_over_what_was_chosen"
    ),
    "digitstrip-train samples OUT.png --only bar": (
        f"{SAMPLES}test_the_command_writes_a_sheet_of_one_effect_alone"
    ),
    "digitstrip-train samples docs/effects --each --seed 7": (
        f"{SAMPLES}test_the_command_of_the_docs_draws_a_picture_of_each_effect"
    ),
    "digitstrip-train adapt runs/adapted --scans DIR": (
        "tests/training/test_adaptation.py::"
        "test_the_command_says_how_many_were_kept_and_refuses_too_few"
    ),
    "digitstrip-train lecture --data-dir path/to/mnist": (
        "tests/training/lecture/test_course.py::"
        "test_one_command_runs_every_chapter_and_prints_ours_beside_the_paper_s"
    ),
}


FURTHER = [  # run at the end of the whole way
    "digitstrip-train fit runs/own --init service/model.onnx --strips DIR",  # the second reader
    "digitstrip-train export runs/own/second own-second.onnx",
    "digitstrip-train evaluate --strips DIR --pictures OUT --json OUT/figures.json",
    "digitstrip-train calibrate own.onnx own.onnx --second-reader own-second.onnx --strips OTHERS",
    "digitstrip serve --model own.onnx --second-reader own-second.onnx",
]


def section(page, heading):
    return (ROOT / page).read_text("utf-8").split(f"{heading}\n", 1)[1]


def joined(block):
    """The command lines of a block, each on one line."""
    return re.sub(r" +", " ", re.sub(r"\\\n|(?<=\|)\n", " ", block)).splitlines()


def the_way():
    """The command lines of the whole way, as docs/training.md has them."""
    block = section(
        "docs/training.md",
        "The whole way, from scans to a model of one's own; each step is explained below:\n",
    )
    return re.match(r"(?:    .*\n)+", block)[0].replace("    ", "").splitlines()


def loop():
    return re.search(r"```sh\n(.*?)```", section("docs/review.md", "## The loop"), re.S)[1]


def calls():
    """What is asked over HTTP: each command with the lines that it goes on in."""
    for page in ("README.md", "docs/http.md"):
        text = (ROOT / page).read_text("utf-8")
        lines = "\n".join(re.findall(r"```sh-session\n(.*?)```", text, re.S))
        plain = re.sub(r"```.*?```", "", text, flags=re.S)
        lines += "\n" + "\n".join(re.findall(r"^    (curl .*)$", plain, re.M))
        yield from re.findall(r"^(?=curl|echo)(?:.*\|\n)*.*$", lines, re.M)


def shown():
    """Every command line of every page."""
    for page in PAGES:
        text = page.read_text("utf-8")
        fenced = re.findall(r"^```(\S*)\n(.*?)^```", text, re.M | re.S)
        plain = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
        lines = re.findall(r"^    (.*)$", plain, re.M)
        for language, block in fenced:
            if language == "console":
                lines += re.findall(r"^\$ (.*)$", block, re.M)
            elif language != "python":
                lines += joined(block)
        for line in lines:
            command = re.sub(r"\s+# .*", "", line.strip())
            if PROGRAM.match(command) and "[OPTIONS]" not in command:
                yield command


def test_every_command_line_is_run_or_says_why_not():
    run = {*the_way(), *FURTHER, *loop().splitlines()}
    run |= {line for call in calls() for line in joined(call)}
    for page in PAGES:
        for block in re.findall(r"```console\n(.*?)```", page.read_text("utf-8"), re.S):
            run |= {*re.findall(r"^\$ (.*)$", block, re.M)}
    client = (ROOT / "docs" / "client.md").read_text("utf-8")
    run |= {*joined(re.search(r"```sh\n(.*?)```", client, re.S)[1])}  # by reflection
    missing = {*shown()} - run - {*LISTED}
    # No Docker in the tests: `make container-check` builds the image and proves it.
    missing = [line for line in missing if not line.startswith("docker ")]
    assert not missing


def test_the_list_of_command_lines_names_what_is_there():
    assert {*LISTED, *FURTHER} <= {*shown()}
    for why in [*LISTED.values(), TRANSCRIPT]:
        if not why.startswith("reason: "):
            path, name = why.split("::")
            assert f"def {name}(" in (ROOT / path).read_text("utf-8"), why


@pytest.fixture(scope="module")
def web():
    """Where a server speaks HTTP, for every call."""
    server = Service("--web-listen", "127.0.0.1:0", DIGITSTRIP_WORKERS="1")
    yield server.web
    status, said = server.stop()
    assert status == 0, said


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
@pytest.mark.parametrize("call", list(calls()))
def test_a_call_over_http_runs(call, web):
    assert WEB in call
    answer = json.loads(
        subprocess.run(
            ["bash", "-c", call.replace(WEB, web)],
            capture_output=True,
            cwd=ROOT,
            env=os.environ,
            timeout=60,
            check=True,
        ).stdout
    )
    assert answer["labels"] if "GetModel" in call else answer["text"] == "68767"


def scans_of(folder, first):
    """Make a folder of JPEGs and a PDF; returns their truths by (file, page)."""
    folder.mkdir()
    digits, truths, pages = load_mnist5k(), {}, []
    for number in range(THIRTY + 2):
        page = random_page(digits, np.random.default_rng([first, number]), StripConfig())
        image = Image.fromarray(page.gray)
        if number < THIRTY:
            truths[f"{number:02}.jpg", 1] = page.text
            image.save(folder / f"{number:02}.jpg", quality=95)
        else:
            pages.append(image)
            truths["two.pdf", len(pages)] = page.text
    pages[0].save(folder / "two.pdf", save_all=True, append_images=pages[1:], resolution=100.0)
    return truths


def correct(table, out, truths):
    """Correct a batch's table as a spreadsheet saves it: every row is looked at."""
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    with out.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, [*rows[0], "corrected"], delimiter=";")
        writer.writeheader()
        for row in rows:
            says = truths[Path(row["source"]).name, int(row["page"] or 1)]
            writer.writerow(row | {"corrected": says or "none"})
    return rows


@pytest.mark.timeout(600)
def test_the_whole_way_from_scans_to_ones_own_model(tmp_path, run, start_service, monkeypatch):
    """Thirty scans and a PDF; what a person does between the commands is done here."""
    monkeypatch.chdir(tmp_path)
    few = SequenceConfig(
        epochs=1, steps=4, lines=8, windows=16, held_out_lines=8, learning_rate=1e-5, average=0.5
    )
    monkeypatch.setattr(SequenceConfig, "further", classmethod(lambda _: few))
    at = partial(run, cwd=tmp_path)
    truths = scans_of(tmp_path / "scans", 1)
    others = scans_of(tmp_path / "OTHERS", 2)
    with (tmp_path / "OTHERS" / "labels.csv").open("w", newline="") as file:
        rows = [[name, page, text] for (name, page), text in others.items()]
        csv.writer(file, delimiter=";").writerows([["file", "page", "text"], *rows])
    for shown_line in [*the_way(), *FURTHER]:
        line = shown_line.replace("service/model.onnx", str(SHIPPED_MODEL))
        program, command, *arguments = shlex.split(line)
        if command == "serve":
            paths = [tmp_path / each if each.endswith(".onnx") else each for each in arguments]
            server = start_service(*map(str, paths))
            sent = at("send", "scans/00.jpg", "--address", server.address)
            assert sent.returncode == 0, sent.stderr
        elif program == "digitstrip":
            ended = at(command, *arguments)
            assert ended.returncode == 0, ended.stderr
            if "readings.csv" in arguments:
                read = correct(tmp_path / "readings.csv", tmp_path / "corrected.csv", truths)
                assert len(read) == THIRTY + 2
        else:
            more = ["--data", "mnist5k", "--workers", "0"] if command == "fit" else []
            done = CliRunner().invoke(app, [command, *arguments, *more])
            assert done.exit_code == 0, (line, done.output, done.exception)
    again = correct(tmp_path / "again.csv", tmp_path / "again-corrected.csv", truths)
    assert len(again) == len(read)
    assert Scorer(tmp_path / "own.onnx").metadata.calibration.source.startswith("OTHERS")
    assert (tmp_path / "OUT" / "figures.json").exists()
    assert network_name(load_model(tmp_path / "own-second.onnx")[1]) == ContextNet.name
    # It learned hardly anything here, and forgot as little.
    texts = {(row["source"], row["page"]): unguarded(row["text"]) for row in read}
    same = sum(texts[row["source"], row["page"]] == row["text"] for row in again)
    assert same > THIRTY // 2

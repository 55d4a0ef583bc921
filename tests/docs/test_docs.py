"""What the README and docs/ show is what happens."""

import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from service.cli.main import app
from service.serving.settings import Settings
from tests.conftest import ROOT
from tests.support.peer import Peer, of_server
from training.cli.main import app as training_app

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OTHERS = [
    ROOT / f"{name}.md" for name in ("ARCHITECTURE", "CONTRIBUTING", "MODEL_CARD", "SECURITY")
]
SEVERAL = "docs/client.md"  # has the example with several servers
OWN_NETWORK = "docs/own-network.md"
ADDRESS = "127.0.0.1:50051"  # where the pages' server listens
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
generate = runpy.run_path(str(ROOT / "docs" / "generate.py"))


def text_of(page):
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", text_of(page), re.DOTALL)


def relative(path):
    return str(path.relative_to(ROOT))


def shell(command):
    return subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PATH": PATH},
        timeout=120,
        check=True,
    ).stdout


def transcripts():
    seen = set()
    for page in map(relative, PAGES):
        for block in blocks(page, "console"):
            for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
                if (command, shown) not in seen:
                    yield pytest.param(command, shown, id=f"{page}: {command}")
                seen.add((command, shown))


@pytest.mark.parametrize(("command", "shown"), list(transcripts()))
def test_a_transcript_is_what_the_command_prints(command, shown):
    assert shell(command) == shown


def examples():
    for page in map(relative, PAGES):
        for number, block in enumerate(blocks(page, "python")):
            if page not in (SEVERAL, OWN_NETWORK):
                yield pytest.param(block, id=f"{page} {number}")


@pytest.mark.parametrize("example", list(examples()))
def test_a_python_example_runs(example, service, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    exec(example.replace(ADDRESS, service.address), {})
    assert capsys.readouterr().out.startswith("68767 ")


def test_the_example_with_tls_a_token_and_two_servers_runs(
    certificates, tmp_path, monkeypatch, capsys, truths
):
    (example,) = blocks(SEVERAL, "python")
    peers = [Peer(credentials=of_server(certificates, "readers.example")) for _ in range(2)]
    shutil.copy(certificates / "ca.pem", tmp_path)
    (tmp_path / "token").write_text("s3cret\n")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    for shown, peer in zip(("10.0.0.7:50051", "10.0.0.8:50051"), peers, strict=True):
        assert shown in example
        example = example.replace(shown, peer.address)
    exec(example, {})
    said = capsys.readouterr().out  # with what the peers answer: the files' own bytes
    assert all(f"{name} " in said for name in truths if name.endswith(".png"))
    (call,) = [call for peer in peers for call in peer.calls]
    assert call["authorization"] == "Bearer s3cret"
    for peer in peers:
        peer.stop()


@pytest.mark.filterwarnings(
    # torch.onnx.export copies its own tree specs, whose class torch itself deprecates.
    r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated:FutureWarning"
)
def test_the_example_of_an_own_network_keeps_the_contract(tmp_path, monkeypatch, capsys):
    (example,) = blocks(OWN_NETWORK, "python")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    assert "Reading('" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["mine.onnx"]


def test_the_call_by_reflection_runs(service):
    (example,) = blocks(SEVERAL, "sh")
    answer = json.loads(shell(example.replace(ADDRESS, service.address)))
    assert answer["text"] == "68767"
    assert "scores" not in answer


def test_the_record_that_the_command_line_documents_is_what_it_prints():
    record = json.loads(shell("digitstrip read examples/strips/one-digit.png --json"))
    rows = re.findall(r"^\| (`.*?) \| ", text_of("docs/command-line.md"), re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}
    assert record.keys() <= documented


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=relative)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!http)([^)]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), target


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def test_every_page_can_be_reached_from_the_readme():
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached:
            continue
        reached.add(page)
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8")):
            path = (page.parent / target).resolve()
            if path.suffix == ".md":
                ahead.append(path)
    assert {*PAGES, *OTHERS} <= reached


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_generated_parts_are_up_to_date(page):
    text = page.read_text(encoding="utf-8")
    assert generate["rendered"](text) == text, "run `make docs`"


def test_every_setting_is_documented_with_its_default():
    for name, field in Settings.model_fields.items():
        row = re.search(
            rf"^\| `{name}` \| (.*?) \| (.+) \|$", text_of("docs/configuration.md"), re.M
        )
        assert row, name
        if isinstance(field.default, int):
            assert row[1].strip("`") == str(field.default).lower(), name


def leaves(group, before=""):
    """The commands of a group and of those in it, by their names."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


@pytest.mark.parametrize("program", [app, training_app], ids=["digitstrip", "digitstrip-train"])
def test_every_command_and_option_is_documented(program):
    name = "digitstrip" if program is app else "digitstrip-train"
    sections = text_of("docs/command-line.md").split("\n### ")
    for each, command in leaves(get_command(program)):
        (section,) = [part for part in sections if part.startswith(f"{name} {each}\n")]
        for parameter in command.params:
            for option in parameter.opts:
                if option.startswith("-") and option != "--help":
                    assert f"`{option}`" in section, f"{each} {option}"


@pytest.mark.parametrize("program", ["digitstrip", "digitstrip-train"])
def test_a_shell_completes_commands_and_options(program):
    variable = f"_{program.replace('-', '_').upper()}_COMPLETE"
    commands = get_command(app if program == "digitstrip" else training_app).commands

    def completed(line):
        words = shlex.quote(f"{program} {line}")
        count = len(line.split()) or 1
        asked = f"{variable}=complete_bash COMP_WORDS={words} COMP_CWORD={count} {program}"
        return shell(asked).split()

    assert set(completed("")) == {*commands}
    name, option = next(iter(commands.items()))
    (first, *_) = [o for p in option.params for o in p.opts if o.startswith("--")]
    assert first in completed(f"{name} {first[:4]}")
    for shown in ("--install-completion", "--show-completion"):
        assert f"`{shown}`" in text_of("docs/command-line.md")


def test_every_command_that_a_page_shows_exists():
    programs = {"digitstrip": get_command(app), "digitstrip-train": get_command(training_app)}
    for page in PAGES:
        shown = "\n".join(re.findall(r"^(?:    |\$ ).*$|```.*?```", text_of(page), re.M | re.S))
        for program, command, rest in re.findall(
            r"\b(digitstrip(?:-train)?) ([a-z]+)\b((?: [^\n|]*)?)", shown
        ):
            if command not in programs[program].commands:
                continue
            options = {
                option
                for name, each in leaves(programs[program])
                if name.split()[0] == command
                for parameter in each.params
                for option in parameter.opts
            }
            for option in re.findall(r"(?<![\w-])--[a-z-]+", rest):
                assert option in options, f"{page.name}: {program} {command} {option}"


def test_the_readme_is_short():
    """A newcomer reads it; the rest is in docs/."""
    assert len(text_of("README.md").split()) <= 820


@pytest.mark.parametrize(
    "figure", ["digits, error", "synthetic: exact strings", "cheques: exact strings"]
)
def test_the_readmes_figures_are_those_of_the_model_card(figure):
    (measured,) = re.findall(rf"^\| {figure} \| .*? \| ([\d.]+%)", text_of("MODEL_CARD.md"), re.M)
    assert f"**{measured}**" in text_of("README.md")


def test_the_architecture_fits_two_screens():
    assert len(text_of("ARCHITECTURE.md").splitlines()) <= 100


def test_every_package_is_in_the_architecture():
    text = text_of("ARCHITECTURE.md")
    for package in ("service", "training"):
        for path in (ROOT / package).rglob("__init__.py"):
            if path.parent.name not in (package, "pb"):
                assert f"`{path.parent.name}/`" in text, path.parent


def test_every_file_that_the_architecture_names_exists():
    text = text_of("ARCHITECTURE.md")
    files = [
        "/" + path.relative_to(ROOT).as_posix()
        for top in ROOT.iterdir()
        if not top.name.startswith(".")  # .venv has very many
        for path in (top.rglob("*") if top.is_dir() else [top])
    ]
    for name in re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.(?:py|toml|onnx|proto))`", text):
        assert any(file.endswith("/" + name) for file in files), name
    for folder in re.findall(r"`((?:[a-z_]+/)+)`", text):
        assert any("/" + folder in file for file in files), folder

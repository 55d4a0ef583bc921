"""What the README shows is what happens."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from service.cli.main import app
from service.server.settings import Settings
from tests.conftest import ROOT
from tests.support.peer import Peer, of_server
from training.cli.main import app as training_app

README = (ROOT / "README.md").read_text(encoding="utf-8")
ADDRESS = "127.0.0.1:50051"  # where the README's server listens
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


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
    for block in blocks("console"):
        for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            yield pytest.param(command, shown, id=command)


@pytest.mark.parametrize(("command", "shown"), list(transcripts()))
def test_a_transcript_is_what_the_command_prints(command, shown):
    assert shell(command) == shown


def test_the_python_example_runs(service, capsys):
    example, _ = blocks("python")
    exec(example.replace(ADDRESS, service.address), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("68767 ")
    assert len(lines) == 6


def test_the_example_with_tls_a_token_and_two_servers_runs(
    certificates, tmp_path, monkeypatch, capsys, truths
):
    _, example = blocks("python")
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


def test_the_call_by_reflection_runs(service):
    (example,) = blocks("sh")
    answer = json.loads(shell(example.replace(ADDRESS, service.address)))
    assert answer["text"] == "68767"
    assert "scores" not in answer


@pytest.mark.parametrize("program", [app, training_app], ids=["digitstrip", "digitstrip-train"])
def test_every_command_is_in_the_readme(program):
    for name in get_command(program).commands:
        assert re.search(rf"digitstrip(-train)? {name}\b", README), name


def test_every_option_of_digitstrip_is_in_the_readme():
    for name, command in get_command(app).commands.items():
        for option in (option for parameter in command.params for option in parameter.opts):
            if option.startswith("--") and option != "--help":
                assert re.search(rf"{option}\b", README), f"{name} {option}"


def test_every_setting_is_in_the_readme_with_its_default():
    for name, field in Settings.model_fields.items():
        row = re.search(rf"^\| [^|]*`{name}`[^|]* \| (.*?) \|", README, re.MULTILINE)
        assert row, name
        if isinstance(field.default, int):
            assert row[1].strip("`") in (str(field.default).lower(), f"{field.default:g}"), name


@pytest.mark.parametrize(
    "page", ["README.md", "ARCHITECTURE.md", "MODEL_CARD.md", "docs/lecture.md"]
)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert (ROOT / page).parent.joinpath(target).exists(), target


def test_every_room_of_the_lecture_is_in_the_architecture():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for path in (ROOT / "training" / "lecture").glob("*.py"):
        if path.name != "__init__.py":
            assert re.search(rf"\b{re.escape(path.name)}\b", text), path


def test_every_room_is_in_the_architecture():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for package in ("service", "training"):
        for path in (ROOT / package).glob("*.py"):
            if path.name != "__init__.py":
                assert re.search(rf"^  {re.escape(path.name)} ", text, re.MULTILINE), path

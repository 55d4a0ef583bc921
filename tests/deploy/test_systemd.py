"""The systemd unit: systemd knows it, it confines, and the server can live with it."""

import functools
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from service.cli.main import app
from service.client.client import Client
from service.serving.settings import Settings
from tests.conftest import ROOT, STRIPS

DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "digitstrip.service"
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")


def unit():
    """The unit's settings, each with all its values."""
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    pairs = [line.split("=", 1) for line in lines if re.match(r"\w+=", line)]
    return {name: [value for each, value in pairs if each == name] for name, _ in pairs}


@pytest.fixture
def units(tmp_path):
    """A folder with the unit, its drop-in, and a program that exists here."""
    text = UNIT.read_text(encoding="utf-8")
    (program,) = re.findall(r"^ExecStart=(\S+)", text, re.M)
    (tmp_path / UNIT.name).write_text(text.replace(program, sys.executable))
    drop_ins = tmp_path / f"{UNIT.name}.d"
    drop_ins.mkdir()
    shutil.copy(DEPLOY / "digitstrip-secured.conf", drop_ins / "secured.conf")
    return tmp_path


def analyze(units, *arguments):
    return subprocess.run(
        [ANALYZE, *arguments, units / UNIT.name],
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{units}:"},
        capture_output=True,
        text=True,
        check=False,
    )


@needs_systemd
def test_the_unit_is_one_that_systemd_knows(units):
    verified = analyze(units, "verify", "--man=no")
    assert (verified.returncode, verified.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("file", [UNIT.name, f"{UNIT.name}.d/secured.conf"])
def test_a_misspelled_unit_or_drop_in_is_found(units, file):
    with (units / file).open("a") as text:
        text.write("[Service]\nProtectSistem=strict\n")
    assert "ProtectSistem" in analyze(units, "verify", "--man=no").stderr


@needs_systemd
def test_the_unit_exposes_little(units):
    """By systemd's own measure, from 0 to 100; a unit without any hardening has 96."""
    assert analyze(units, "security", "--offline=true", "--threshold=15").returncode == 0
    (units / UNIT.name).write_text(f"[Service]\nExecStart={sys.executable}\n")
    assert analyze(units, "security", "--offline=true", "--threshold=15").returncode != 0


def test_the_unit_gives_no_rights_and_bounds_memory():
    settings = unit()
    for name in ("DynamicUser", "NoNewPrivileges", "PrivateTmp", "MemoryDenyWriteExecute"):
        assert settings[name] == ["yes"], name
    assert settings["ProtectSystem"] == ["strict"]
    assert settings["CapabilityBoundingSet"] == [""]
    deployment = (DEPLOY / "kubernetes" / "deployment.yaml").read_text(encoding="utf-8")
    assert f"memory: {settings['MemoryMax'][0]}i}}" in deployment


def test_the_unit_starts_what_there_is_and_waits_for_the_drain():
    (line,) = unit()["ExecStart"]
    program, command, option, _ = line.split()
    assert Path(program).name == "digitstrip"
    serve = get_command(app).commands[command]
    assert option in {each for parameter in serve.params for each in parameter.opts}
    grace = Settings.model_fields["grace_seconds"].default
    assert float(unit()["TimeoutStopSec"][0]) > grace
    drop_in = (DEPLOY / "digitstrip-secured.conf").read_text(encoding="utf-8")
    loaded = set(re.findall(r"^LoadCredential=(\S+?):", drop_in, re.M))
    named = dict(re.findall(r"^Environment=DIGITSTRIP_(\w+)=%d/(\S+)$", drop_in, re.M))
    assert set(named.values()) == loaded
    assert {name.lower() for name in named} <= set(Settings.model_fields)


@functools.cache
def system_calls(group):
    """The system calls of a group, as systemd lists them."""
    listed = subprocess.run(
        [ANALYZE, "syscall-filter", group], capture_output=True, text=True, check=True
    )
    found = set()
    for line in map(str.strip, listed.stdout.splitlines()[1:]):
        if line and not line.startswith("#"):
            found |= system_calls(line) if line.startswith("@") else {line}
    return found


@needs_systemd
def test_the_unit_allows_every_system_call_that_the_server_makes(tmp_path, truths):
    try:
        subprocess.run(["strace", "-f", "true"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the server's system calls are seen where strace is installed and may trace")
    allowed = set()
    for line in unit()["SystemCallFilter"]:
        taken_away = line.startswith("~")
        for each in line.removeprefix("~").split():
            calls = system_calls(each) if each.startswith("@") else {each}
            allowed = allowed - calls if taken_away else allowed | calls
    process = subprocess.Popen(
        [
            *("strace", "-f", "-c", "-qq", "-o", str(tmp_path / "calls"), "--"),
            *(sys.executable, "-m", "service.cli", "serve", "--listen", "127.0.0.1:0"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )
    try:
        address = process.stdout.readline().split()[-1]
        with Client(address) as client:
            image = STRIPS / "postcode-ruled.png"
            assert client.recognize(image).text == truths[image.name]
    finally:
        (server,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(server), signal.SIGTERM)
        process.communicate(timeout=60)
    rows = (tmp_path / "calls").read_text().splitlines()
    made = {row.split()[-1] for row in rows if re.match(r" *\d", row)} - {"total"}
    assert "sendmsg" in made
    assert made <= allowed

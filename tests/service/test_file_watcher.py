"""Files that are watched: read when they change, and again when they could not be read."""

import os
import threading

import pytest

from service import file_watcher
from service.client.channel import Tls, Token
from service.errors import ModelError, SettingsError
from service.file_watcher import Watched, read_regular, stamp
from service.recognition.model import ModelFiles
from service.server import app
from service.tokens import read_tokens
from tests.conftest import in_a_loop


@pytest.fixture
def fifo(tmp_path):
    """A FIFO that nobody writes into: whoever opens it as a file waits for ever."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def within(seconds, act):
    """Act in a thread; fail if that does not end in time. Returns what it raised."""
    raised = []

    def run():
        try:
            act()
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "it waits"
    return raised[0]


@pytest.mark.parametrize(
    ("read", "kind"),
    [
        (ModelFiles.read, ModelError),
        (lambda path: Token(file=path), SettingsError),
        (lambda path: Tls(ca=path).credentials(), SettingsError),
        (read_tokens, SettingsError),
        (read_regular, SettingsError),
    ],
    ids=["model", "client-token", "client-tls", "server-tokens", "any"],
)
def test_a_fifo_in_a_files_place_is_refused_without_waiting(fifo, read, kind):
    assert isinstance(within(10, lambda: read(fifo)), kind)


def test_what_could_not_be_read_is_read_again_though_it_looks_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(file_watcher, "SECONDS", 0.0)
    path, failing = tmp_path / "file", []

    def make():
        if failing:
            raise SettingsError("not now")
        return path.read_text()

    path.write_text("old")
    watched = Watched([path], make)
    path.write_text("new one")
    failing.append(True)
    assert watched.value == "old"
    failing.clear()
    assert watched.value == "new one"


def test_a_mode_that_changes_changes_the_stamp(tmp_path):
    path = tmp_path / "file"
    path.write_text("x")
    path.chmod(0)
    before = stamp([path])
    path.chmod(0o600)
    assert stamp([path]) != before


@in_a_loop
async def test_a_model_that_could_not_be_read_when_it_changed_is_read_again(tmp_path, monkeypatch):
    import asyncio

    monkeypatch.setattr(app, "WATCH_SECONDS", 0.02)
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    outcomes, loaded = [False, False, True], []

    async def reload():
        loaded.append(outcomes.pop(0))
        return loaded[-1]

    watching = asyncio.create_task(app.watch(lambda: stamp([path]), reload))
    await asyncio.sleep(0.05)
    path.write_bytes(b"new one")
    while outcomes:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)  # in which a fourth would come
    watching.cancel()
    assert loaded == [False, False, True]

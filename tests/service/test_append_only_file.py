import errno
import os
import subprocess
import sys

import pytest

from service.append_only_file import AppendOnlyFile
from service.errors import SettingsError, UnwritableOutput

OTHER = (
    "import sys; from pathlib import Path; from service.append_only_file import *\n"
    "try: AppendOnlyFile(Path(sys.argv[1]), 'taken by another')\n"
    "except SettingsError as error: print(error)\n"
    "else: print('open')"
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal"


def other_process(path):
    """What another process says that opens the file."""
    command = [sys.executable, "-c", OTHER, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_second_process_is_refused_until_the_first_has_closed_the_file(path):
    with AppendOnlyFile(path, "taken"):
        assert other_process(path) == "taken by another"
    assert other_process(path) == "open"


@pytest.mark.parametrize("sync", [True, False])
def test_what_was_appended_can_be_read_while_the_file_is_open(path, sync):
    with AppendOnlyFile(path, "taken") as file:
        file.append(b"one\n", sync)
        assert path.read_bytes() == b"one\n"


def test_what_is_there_is_appended_to_behind_what_was_cut_off(path):
    path.write_bytes(b"whole\ntorn")
    with AppendOnlyFile(path, "taken") as file:
        file.cut(6)
        file.append(b"next\n")
    assert path.read_bytes() == b"whole\nnext\n"


def test_a_disk_that_fails_half_way_leaves_the_file_as_it_was(path, monkeypatch):
    with AppendOnlyFile(path, "taken") as file:
        file.append(b"whole\n")

        def failing(_):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        with monkeypatch.context() as patched:
            patched.setattr("service.append_only_file.os.fsync", failing)
            with pytest.raises(UnwritableOutput, match="Input/output error"):
                file.append(b"lost\n")
            with pytest.raises(UnwritableOutput, match="Input/output error"):
                file.sync()
        assert path.read_bytes() == b"whole\n"
        file.append(b"next\n")
    assert path.read_bytes() == b"whole\nnext\n"


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path):
    (tmp_path / "full").symlink_to("/dev/full")
    complaint = pytest.raises(UnwritableOutput, match=r"cannot write .*full: No space left")
    with AppendOnlyFile(tmp_path / "full", "taken") as file, complaint:
        file.append(b"x")


def test_a_file_that_cannot_be_made_is_an_error_and_no_lock(tmp_path):
    with pytest.raises(UnwritableOutput, match="cannot write"):
        AppendOnlyFile(tmp_path / "nowhere" / "journal", "taken")
    with pytest.raises(SettingsError), AppendOnlyFile(tmp_path / "j", "taken"):
        raise SettingsError("an error within")
    assert other_process(tmp_path / "j") == "open"

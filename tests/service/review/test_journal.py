import errno
import os
import subprocess
import sys
import zlib

import pytest

from service.errors import SettingsError, UnwritableOutput
from service.review.journal import Event, Head, Journal, checksum_of, read_journal
from service.review.settings import Settings

HEAD = Head("ab" * 32, Settings(sample=7))


def event(number, **more):
    return Event(f"e{number}", "ada", "text", row=number, text="12", was="17", **more)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "t.csv.review"


@pytest.fixture
def three(path):
    with Journal(path, HEAD) as journal:
        for number in range(3):
            journal.append([event(number)])
    return path


def test_what_was_appended_is_there_when_it_is_opened_again(three):
    with Journal(three, HEAD) as journal:
        assert journal.events == [event(0), event(1), event(2)]
        assert journal.append([event(3, odd=((1, 2),), digits=((1, 2), (3, 4)))])
    assert read_journal(three) == (
        HEAD,
        [*map(event, range(3)), event(3, odd=((1, 2),), digits=((1, 2), (3, 4)))],
    )


def test_what_is_sent_twice_is_written_once(three):
    with Journal(three, HEAD) as journal:
        assert journal.append([event(2), event(4), event(4)]) == [event(4)]
        assert len(journal.events) == 4


def test_a_torn_last_line_is_dropped_wherever_it_was_torn(three):
    whole = three.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for size in range(last, len(whole)):
        three.write_bytes(whole[:size])
        assert len(read_journal(three)[1]) == 2
    three.write_bytes(whole[:-4])
    with Journal(three, HEAD) as journal:
        assert journal.events == [event(0), event(1)]
        journal.append([event(5)])
    assert read_journal(three)[1] == [event(0), event(1), event(5)]


def test_zeros_that_a_power_cut_left_are_dropped(three):
    three.write_bytes(three.read_bytes() + b"\0" * 100)
    with Journal(three, HEAD) as journal:
        assert len(journal.events) == 3
        journal.append([event(9)])
    assert len(read_journal(three)[1]) == 4


@pytest.mark.parametrize("line", [1, 2, 3])
def test_a_damaged_line_is_named_and_nothing_is_changed(three, line):
    lines = three.read_bytes().splitlines(keepends=True)
    lines[line] = lines[line].replace(b'"12"', b'"13"')
    three.write_bytes(b"".join(lines))
    with pytest.raises(SettingsError, match=f"line {line + 1} of .* is damaged"):
        Journal(three, HEAD)
    assert three.read_bytes() == b"".join(lines)


@pytest.mark.parametrize("line", [0, 1, 2])
def test_a_line_that_somebody_deleted_is_noticed_and_nothing_is_changed(three, line):
    lines = three.read_bytes().splitlines(keepends=True)
    del lines[line]
    three.write_bytes(b"".join(lines))
    with pytest.raises(
        SettingsError, match=r"lines before it are missing|its first line is damaged"
    ):
        Journal(three, HEAD)
    assert three.read_bytes() == b"".join(lines)


def test_lines_in_another_order_and_lines_twice_are_noticed(three):
    head, *events = three.read_bytes().splitlines(keepends=True)
    for changed in ([events[1], events[0], events[2]], [events[0], *events]):
        three.write_bytes(b"".join([head, *changed]))
        with pytest.raises(SettingsError, match=r"line . of .* is damaged"):
            read_journal(three)


def test_a_line_that_is_nested_too_deeply_to_parse_is_refused_with_a_sentence(three):
    whole = three.read_bytes()
    nested = b"[" * 100_000
    checksum = zlib.crc32(nested, checksum_of(whole.splitlines()[-1]))
    three.write_bytes(whole + b"%08x %b\n" % (checksum, nested))
    with pytest.raises(SettingsError, match="another version: it is nested too deeply"):
        read_journal(three)


def test_what_is_written_after_a_larger_sample_and_in_one_request_follows(three):
    with Journal(three, Head(HEAD.table, Settings(sample=50))) as journal:
        journal.append([event(3), event(4)])
        journal.append([event(5)])
    assert read_journal(three)[1] == [*map(event, range(6))]


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"x" * 5000, b"00000000 {}\n"])
def test_somebody_else_s_file_is_left_as_it_is(path, content):
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="is not a journal of `digitstrip review`"):
        Journal(path, HEAD)
    assert path.read_bytes() == content


def test_a_journal_of_another_table_or_with_other_options_is_refused(three):
    with pytest.raises(SettingsError, match="is of another table"):
        Journal(three, Head("cd" * 32, HEAD.settings))
    with pytest.raises(SettingsError, match="--keys was 1 and is 2"):
        Journal(three, Head(HEAD.table, Settings(sample=7, keys=2)))
    with pytest.raises(SettingsError, match="--sample was 7 and is 6"):
        Journal(three, Head(HEAD.table, Settings(sample=6)))
    with pytest.raises(SettingsError, match="--seed was 0 and is 1"):
        Journal(three, Head(HEAD.table, Settings(sample=9, seed=1)))


def test_the_sample_may_grow_later(three):
    larger = Head(HEAD.table, Settings(sample=50))
    with Journal(three, larger) as journal:
        assert journal.events == [event(0), event(1), event(2)]
        journal.append([event(3)])
    assert read_journal(three) == (larger, [*map(event, range(4))])
    Journal(three, larger).close()


def test_a_first_sample_may_have_any_seed(path):
    Journal(path, Head(HEAD.table, Settings())).close()
    sampled = Head(HEAD.table, Settings(sample=5, seed=3))
    Journal(path, sampled).close()
    assert read_journal(path)[0] == sampled


def test_a_second_server_on_one_journal_is_refused(three):
    code = (
        "import sys; from pathlib import Path; from tests.service.review.test_journal import *\n"
        "try: Journal(Path(sys.argv[1]), HEAD)\nexcept SettingsError as error: print(error)"
    )
    with Journal(three, HEAD):
        said = subprocess.run(
            [sys.executable, "-c", code, three], capture_output=True, text=True, check=True
        ).stdout
        assert "another `digitstrip review` has" in said
    Journal(three, HEAD).close()


def test_a_journal_is_read_while_a_server_writes_it(three):
    with Journal(three, HEAD) as journal:
        journal.append([event(7)])
        assert len(read_journal(three)[1]) == 4


def test_there_is_nothing_to_read_before_a_review_was_begun(path):
    assert read_journal(path) is None


def test_a_fifo_in_the_journals_place_is_refused_and_nothing_waits(path):
    os.mkfifo(path)
    with pytest.raises(SettingsError, match="not a regular file"):
        read_journal(path)
    with pytest.raises(SettingsError, match="not a regular file"), Journal(path, HEAD):
        pass


def test_a_full_disk_leaves_the_journal_as_it_was(three, monkeypatch):
    with Journal(three, HEAD) as journal:
        before = three.read_bytes()

        def full(_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patched:
            patched.setattr("service.append_only_file.os.fsync", full)
            with pytest.raises(UnwritableOutput, match="No space left"):
                journal.append([event(8)])
        assert three.read_bytes() == before
        assert journal.append([event(8)])  # sent again, once there is room
    assert read_journal(three)[1][-1] == event(8)


def test_a_journal_that_cannot_be_made_is_an_error(tmp_path):
    with pytest.raises(UnwritableOutput, match="cannot write"):
        Journal(tmp_path / "nowhere" / "t.review", HEAD)

"""Journals: what is torn is cut off, what may pass is read again, what is not ours stays."""

import pytest

from service.batch.pages import PageResult, PageStatus
from service.batch.plan import Place
from service.batch.state import journal as module
from service.batch.state.journal import MAGIC, Journal, records_of
from service.errors import SettingsError
from service.inputs.items import Item

SETTINGS = {"format": 1}

ITEMS = [Item(f"{number}.png", identity="1") for number in range(4)]
PAGES = [(0, 0, True), (1, 0, False), (1, 1, True), (2, 0, True), (3, 0, True)]


def journal_of(path, pages=PAGES):
    with Journal(path, {"format": 1}) as journal:
        for number, page, last in pages:
            result = PageResult(page, PageStatus.READ, 0.5, b'{"source": "x"}', b"scores")
            journal.append(Place(number, 0, ITEMS[number]), result, last)
    return path.read_bytes()


@pytest.mark.parametrize("torn", ["cut", "flipped"])
def test_a_journal_torn_anywhere_resumes_at_the_first_page_that_is_not_whole(tmp_path, torn):
    whole = journal_of(tmp_path / "whole")
    with Journal(tmp_path / "whole", {"format": 1}) as journal:
        records = list(journal.records())
    path = tmp_path / "torn"
    for at in range(records[0].start, len(whole), 7):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        path.write_bytes(whole[:at] if torn == "cut" else damaged)
        kept = sum(record.end <= at for record in records)
        with Journal(path, {"format": 1}) as journal:
            left = list(journal.remaining(ITEMS))
            assert [record.end for record in journal.records()] == [
                record.end for record in records[:kept]
            ]
        first = {0: (0, 0), 1: (1, 0), 2: (1, 1), 3: (2, 0), 4: (3, 0)}[kept]
        assert (left[0].number, left[0].page) == first
        assert [place.number for place in left] == list(range(first[0], 4))


@pytest.mark.parametrize(
    ("items", "complaint"),
    [
        (
            [ITEMS[0], Item("1.png", identity="2"), *ITEMS[2:]],
            "1.png has changed since it was read",
        ),
        (ITEMS[:2], "x was read, but is no input any more"),
        ([ITEMS[1], ITEMS[0]], "1.png has changed since it was read"),
    ],
)
def test_a_changed_input_is_noticed_and_only_refreshing_resumes(tmp_path, items, complaint):
    journal_of(tmp_path / "j")
    with Journal(tmp_path / "j", {"format": 1}) as journal, pytest.raises(SettingsError) as raised:
        list(journal.remaining(items))
    assert complaint in str(raised.value)
    with Journal(tmp_path / "j", {"format": 1}, refresh=True) as journal:
        left = [place.number for place in journal.remaining(items)]
        kept = [record.number for record in journal.records()]
    assert sorted({*left, *kept}) == list(range(len(items)))


def test_changed_settings_are_named(tmp_path):
    journal_of(tmp_path / "j")
    with pytest.raises(SettingsError, match=r"dpi was null and is 3.*format was 1 and is 2"):
        Journal(tmp_path / "j", {"dpi": 3, "format": 2})
    with Journal(tmp_path / "j", {"format": 2}, refresh=True) as journal:
        assert not list(journal.records())


def test_two_runs_at_one_output_are_refused(tmp_path):
    with Journal(tmp_path / "j", {"format": 1}), pytest.raises(SettingsError, match="another run"):
        Journal(tmp_path / "j", {"format": 1})


def failed_and_read_again(path, failed, again):
    """Write a journal in which some items failed, and read what a second run reads again."""
    with Journal(path, SETTINGS) as journal:
        for place in journal.remaining(ITEMS):
            status = PageStatus.RETRY if place.number in failed else PageStatus.READ
            journal.append(place, PageResult(0, status, 0.5, row_of("first"), b""), True)
        journal.complete()
    with Journal(path, SETTINGS) as journal:
        seen = []
        for place in journal.remaining(ITEMS):
            seen.append(place.number)
            status = PageStatus.RETRY if place.number in again else PageStatus.READ
            journal.append(place, PageResult(0, status, 0.5, row_of("second"), b""), True)
        journal.complete()
    return seen


def row_of(name):
    return f'{{"source": "{name}"}}'.encode()


@pytest.mark.parametrize("failed", [{0}, {3}, {1, 2}, {0, 1, 2, 3}])
def test_rows_that_failed_for_a_reason_that_may_pass_are_read_again_in_their_place(
    tmp_path, failed
):
    path = tmp_path / "j"
    assert failed_and_read_again(path, failed, again=set()) == sorted(failed)
    assert [
        (record.number, record.page.row, record.page.status) for record in records_of(path)
    ] == [
        (number, row_of("second" if number in failed else "first"), PageStatus.READ)
        for number in range(4)
    ]
    assert [each.name for each in tmp_path.iterdir()] == ["j"]


def test_rows_that_fail_again_are_read_a_third_time(tmp_path):
    failed_and_read_again(tmp_path / "j", {1, 2}, again={2})
    with Journal(tmp_path / "j", SETTINGS) as journal:
        assert [place.number for place in journal.remaining(ITEMS)] == [2]


@pytest.mark.parametrize("appended", range(3))
def test_a_second_pass_that_is_killed_resumes_where_it_was(tmp_path, appended):
    path = tmp_path / "j"
    with Journal(path, SETTINGS) as journal:
        for place in journal.remaining(ITEMS):
            status = PageStatus.READ if place.number == 1 else PageStatus.RETRY
            journal.append(place, PageResult(0, status, 0.5, row_of("first"), b""), True)
    with Journal(path, SETTINGS) as journal:
        for count, place in enumerate(journal.remaining(ITEMS)):
            if count == appended:
                break
            journal.append(place, PageResult(0, PageStatus.READ, 0.5, row_of("second"), b""), True)
    with Journal(path, SETTINGS) as journal:
        for place in journal.remaining(ITEMS):
            journal.append(place, PageResult(0, PageStatus.READ, 0.5, row_of("third"), b""), True)
        journal.complete()
    rows = [record.page.row for record in records_of(path)]
    second = {0: [0], 1: [0], 2: [0, 2]}
    assert [record.number for record in records_of(path)] == [0, 1, 2, 3]
    assert rows[1] == row_of("first")
    for number in (0, 2, 3):
        done = appended and number in second[appended]
        assert rows[number] == row_of("second" if done else "third")


def test_an_input_that_failed_may_have_changed_since(tmp_path):
    with Journal(tmp_path / "j", SETTINGS) as journal:
        for place in journal.remaining(ITEMS):
            status = PageStatus.RETRY if place.number == 1 else PageStatus.READ
            journal.append(place, PageResult(0, status, 0.5, row_of("x"), b""), True)
    items = [ITEMS[0], Item("1.png", identity="2"), *ITEMS[2:]]
    with Journal(tmp_path / "j", SETTINGS) as journal:
        assert [place.item.identity for place in journal.remaining(items)] == ["2"]


@pytest.mark.parametrize("refresh", [False, True])
@pytest.mark.parametrize(
    "content",
    [b"no newline", b"a,b\n1,2\n", b'{"format": 1}\n', b"\0" * 100, b"x" + MAGIC[1:] + b"{}\n"],
)
def test_a_file_that_is_no_journal_is_left_as_it_is(tmp_path, content, refresh):
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(SettingsError, match="is not a journal of `digitstrip batch`"):
        Journal(tmp_path / "j", SETTINGS, refresh)
    assert (tmp_path / "j").read_bytes() == content


@pytest.mark.parametrize(
    "line", [b"{", b"[]\n", b"{}x\n", b"\xff\n", b"[" * 100_000, b'{"format": 1']
)
def test_a_journal_with_damaged_settings_is_reported_and_begun_again_by_refreshing(tmp_path, line):
    whole = journal_of(tmp_path / "j")
    records = whole.split(b"\n", 2)[2]
    (tmp_path / "j").write_bytes(MAGIC + line + records)
    with pytest.raises(SettingsError, match="is damaged"):
        Journal(tmp_path / "j", SETTINGS)
    assert (tmp_path / "j").read_bytes() == MAGIC + line + records
    with Journal(tmp_path / "j", SETTINGS, refresh=True) as journal:
        assert not list(journal.records())


@pytest.mark.parametrize("size", [0, 1, len(MAGIC), len(MAGIC) + 3])
def test_a_journal_killed_in_its_first_lines_begins_again(tmp_path, size):
    (tmp_path / "j").write_bytes(journal_of(tmp_path / "whole")[:size])
    with Journal(tmp_path / "j", SETTINGS) as journal:
        assert [place.number for place in journal.remaining(ITEMS)] == [0, 1, 2, 3]


def test_a_record_whose_sizes_are_damaged_allocates_nothing(tmp_path):
    whole = bytearray(journal_of(tmp_path / "j"))
    start = next(iter(records_of(tmp_path / "j"))).start
    whole[start + module.HEAD.size - 8 : start + module.HEAD.size] = b"\xff" * 8
    (tmp_path / "j").write_bytes(whole)
    assert not list(records_of(tmp_path / "j"))

import pytest

from service.errors import SettingsError
from service.review.decisions import Action
from service.review.run import Job, Result
from service.review.summary import Share
from tests.service.review.conftest import sent
from tests.support.review_tables import row_of, write_table

NASTY = "<script>alert(1)</script>"


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    # Of Wilson's interval, as in Newcombe 1998, table I, and of none seen in a hundred.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (0, 100, 0, 0.037),
    ],
)
def test_a_share_s_interval_is_wilson_s(part, whole, low, high):
    assert Share(part, whole).interval == pytest.approx((low, high), abs=5e-5)


def test_a_share_of_nothing_is_nowhere():
    assert Share(0, 0).value == 0
    assert Share(0, 0).interval == (0, 1)


@pytest.fixture
def session(tmp_path, review):
    rows = [row_of(f"{n}.png", "77", 0.5) for n in range(6)]
    rows += [row_of(f"{n}.png", "77", 0.99) for n in range(6, 16)]
    return review(write_table(tmp_path / "t.jsonl", rows), sample=4)


def test_the_figures_are_those_of_what_was_done(session):
    events = [
        sent(n, text, ms=2000, strokes=strokes)
        for n, text, strokes in ((0, "77", 1), (1, "71", 2), (2, "11", 3), (3, "77", 1))
    ]
    session.record(
        "ada",
        [*events, sent(4, what=Action.ILLEGIBLE, ms=1000), sent(5, what=Action.UNSURE, ms=10**6)],
    )
    first, second, third, _ = sorted(session.queue.audited)
    session.record(
        "ada", [sent(first, "77"), sent(second, "17"), sent(third, what=Action.WRONG_CROP)]
    )
    summary = session.summary()
    assert (summary.rows, summary.decided) == (6, 5)
    assert summary.outcomes == {"illegible": 1, "text": 4}
    assert summary.corrected == Share(2, 4)
    assert summary.audit == Share(1, 2)  # what is no text is neither right nor wrong
    assert (summary.audited, summary.accepted) == (4, 10)
    assert summary.kinds == [(("7", "1"), 4)]
    (pace,) = summary.paces
    assert pace.rows == 9
    assert pace.seconds == 2
    said = " ".join(summary.sentences())
    assert "5 of 6 rows to review are decided, 1 illegible among them" in said
    assert "7 → 1 ×4" in said
    assert "1 of 2 (50.0%) of what was accepted is wrong" in said


def test_a_pause_is_no_work(tmp_path, review):
    session = review(write_table(tmp_path / "t.jsonl", [row_of("a.png", "1", 0.5)]))
    session.record("ada", [sent(0, "1", ms=8 * 3600 * 1000)])
    assert session.summary().paces[0].hourly == pytest.approx(30)


def test_people_are_compared_where_neither_saw_the_other_s_value(tmp_path, review):
    rows = [row_of(f"{n}.png", "77", 0.5) for n in range(4)]
    session = review(write_table(tmp_path / "t.jsonl", rows), keys=2)
    session.record("ada", [sent(n, "77") for n in range(3)])
    session.record(
        "ben", [sent(n, text, task="blind") for n, text in enumerate(["77", "71", "77"])]
    )
    summary = session.summary()
    assert summary.agreed == Share(2, 3)
    assert summary.third == 1
    assert [pace.who for pace in summary.paces] == ["all", "ada", "ben"]
    session.record("eve", [sent(1, "71", task="decide")])
    assert session.summary().agreed == Share(2, 3)
    assert session.summary().third == 0


def test_nothing_done_is_a_summary_too(session):
    assert list(session.summary().sentences()) == ["0 of 6 rows to review are decided"]


def test_the_page_of_figures_runs_nothing(tmp_path, review):
    table = write_table(tmp_path / f"{NASTY.replace('/', '')}.jsonl", [row_of("a", "1", 0.5)])
    review(table).record(NASTY, [sent(0, "2")])
    Result.of(Job(table, {})).write_summary(tmp_path / "summary.html")
    page = (tmp_path / "summary.html").read_text("utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "1 → 2" in page


def test_the_page_of_figures_overwrites_itself_alone(tmp_path, review):
    table = write_table(tmp_path / "t.jsonl", [row_of("a", "1", 0.5)])
    review(table).record("ada", [sent(0, "2")])
    result = Result.of(Job(table, {}))
    for path in (table, result.job.path):
        before = path.read_bytes()
        with pytest.raises(SettingsError, match="left as it is"):
            result.write_summary(path)
        assert path.read_bytes() == before
    for _ in range(2):
        result.write_summary(tmp_path / "summary.html")


def test_a_link_where_a_file_is_written_leads_nowhere(tmp_path, review):
    table = write_table(tmp_path / "t.jsonl", [row_of("a", "1", 0.5)])
    review(table).record("ada", [sent(0, "2")])
    (tmp_path / "precious").write_text("precious")
    for name in ("summary.html", "out.jsonl"):
        (tmp_path / f"{name}.partial").symlink_to(tmp_path / "precious")
    result = Result.of(Job(table, {}))
    result.write_summary(tmp_path / "summary.html")
    result.export(tmp_path / "out.jsonl")
    assert (tmp_path / "precious").read_text() == "precious"
    assert not (tmp_path / "out.jsonl").is_symlink()
    assert not list(tmp_path.glob("*.partial"))

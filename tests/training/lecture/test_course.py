import json
import re

import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.conftest import ROOT
from training.cli.main import app
from training.lecture import course
from training.lecture.chapter import Held, Setting
from training.lecture.page import anchor

DOCS = ROOT / "docs"
PICTURES = re.compile(r"!\[[^\]]+\]\(([^)]+)\)")


def invoke(*arguments):
    return CliRunner().invoke(app, ["lecture", *map(str, arguments)])


def test_there_are_nine_chapters_in_order():
    assert [chapter.number for chapter in course.chapters()] == list(range(1, 10))


def test_one_command_runs_every_chapter_and_prints_ours_beside_the_paper_s(quick):
    for chapter in course.chapters():
        assert f"{chapter.number}. {chapter.title}" in quick.said
        assert f"## {chapter.number}. {chapter.title}" in quick.page
    assert "lecture.md written" in quick.said.replace("\n", "")


def test_the_page_tells_every_claim_and_whether_it_held(quick):
    for chapter in course.chapters():
        section = quick.section(chapter.number)
        assert len(section.claims) >= 2
        for claim in section.claims:
            assert claim.ours
            cells = [claim.says, claim.paper or "–", claim.ours, f"**{claim.held}**"]
            # A bar within a cell would begin another one.
            row = " | ".join(cell.replace("|", "\\|") for cell in cells)
            assert f"| {row} |" in quick.page


def test_every_picture_of_the_page_is_there_and_every_picture_is_on_the_page(quick):
    shown = {(quick.out / target).resolve() for target in PICTURES.findall(quick.page)}
    drawn = {path.resolve() for path in (quick.out / "lecture").glob("*.[pg][ni][gf]")}
    assert shown == drawn
    assert len({path.name[0] for path in drawn}) == 9
    animations = [path for path in drawn if path.suffix == ".gif"]
    assert len(animations) == 10
    for path in animations:
        with Image.open(path) as picture:
            assert picture.n_frames > 10


def test_counts_of_the_papers_hold_however_quick_the_run(quick):
    counted = [
        claim
        for number in (1, 2, 3, 6)
        for claim in quick.section(number).claims
        if re.search("ree weights of|parameters|sides|10 inputs|more inputs", claim.says)
    ]
    assert len(counted) == 6
    assert all(claim.held is Held.YES for claim in counted)


def test_the_same_seed_gives_the_same_figures(quick, tmp_path):
    (chapter,) = course.chapters([8])
    course.run(chapter, Setting(tmp_path, quick=True))
    assert course.load(chapter, tmp_path)["figures"] == quick.figures(8)


def test_a_chapter_alone_is_written_and_drawn_again_without_measuring(tmp_path):
    assert invoke(6, "--quick", "--out", tmp_path).exit_code == 0
    first = (tmp_path / "lecture.md").read_text()
    assert "## 6." in first
    assert "## 7." not in first
    (tmp_path / "lecture" / "6-page.png").unlink()
    assert invoke(6, "--quick", "--again", "--out", tmp_path).exit_code == 0
    assert (tmp_path / "lecture.md").read_text() == first
    assert (tmp_path / "lecture" / "6-page.png").exists()


def test_a_chapter_that_there_is_none_of_is_named():
    with pytest.raises(course.LectureError, match="chapter 10: expected 1 to 9"):
        course.chapters([3, 10])


@pytest.mark.parametrize("content", [None, "{", '{"figures": {}}'])
def test_figures_that_cannot_be_told_are_named(tmp_path, content):
    (chapter,) = course.chapters([6])
    path = course.figures_file(tmp_path, chapter)
    if content is not None:
        path.write_text(content)
    with pytest.raises(course.LectureError, match=r"6-figures\.json: expected a chapter's"):
        course.load(chapter, tmp_path)


def test_a_page_of_nothing_is_refused(tmp_path):
    with pytest.raises(course.LectureError, match="found none"):
        course.write_page(tmp_path)


def test_the_committed_page_is_what_its_figures_say(tmp_path):
    (tmp_path / "lecture").symlink_to(DOCS / "lecture")
    written = course.write_page(tmp_path).read_text(encoding="utf-8")
    assert written == (DOCS / "lecture.md").read_text(encoding="utf-8")


def test_the_committed_figures_are_of_a_full_run():
    for chapter in course.chapters():
        kept = json.loads(course.figures_file(DOCS / "lecture", chapter).read_text())
        assert kept["quick"] is False
        assert kept["figures"].get("seeds", 99) >= (20 if chapter.number == 1 else 1)


def test_the_committed_pictures_are_all_shown_and_small():
    page = (DOCS / "lecture.md").read_text(encoding="utf-8")
    shown = {(DOCS / target).resolve() for target in PICTURES.findall(page)}
    there = {path.resolve() for path in (DOCS / "lecture").iterdir() if path.suffix != ".json"}
    assert shown == there
    for path in there:
        assert path.stat().st_size <= (600_000 if path.suffix == ".gif" else 80_000), path.name
    assert sum(path.stat().st_size for path in (DOCS / "lecture").iterdir()) < 6_000_000


def test_links_within_the_page_lead_to_headings():
    page = (DOCS / "lecture.md").read_text(encoding="utf-8")
    anchors = {anchor(chapter) for chapter in course.chapters()}
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) == anchors

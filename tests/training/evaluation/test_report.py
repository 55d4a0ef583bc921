import json
import shutil

import numpy as np
import pytest
from PIL import Image

from service.recognition.model import SHIPPED_MODEL
from tests.conftest import STRIPS
from training.evaluation.evaluate import Mistake, Reads, SourceFigures, evaluate
from training.evaluation.metrics import Estimate, Read, StripFigures
from training.evaluation.plots import MISTAKES, draw_pictures, draw_worst
from training.evaluation.report import figure_rows, figures_table, interval, write_json
from training.pages import contact_sheet


@pytest.fixture(scope="module")
def figures(tmp_path_factory, validation):
    folder = tmp_path_factory.mktemp("scans") / "strips"
    shutil.copytree(STRIPS, folder)
    (folder / "broken.png").write_bytes(b"no picture")
    with (folder / "labels.csv").open("a") as table:
        table.write("broken.png,12\n")
    return evaluate(SHIPPED_MODEL, validation, [folder], 1, 40)


def test_every_source_has_its_rows_and_says_how_many_strips_were_unreadable(figures):
    rows = figure_rows(figures)
    for what in ("exact strings", "character error rate", "expected calibration error"):
        assert {row[0] for row in rows} >= {f"synthetic: {what}", f"strips: {what}"}
    (on,) = (on for what, on, _ in rows if what == "strips: exact strings")
    assert on == "12 strips (1 more unreadable)"
    assert figures_table(figures).row_count == len(rows)


def test_hindsight_is_shown_beside_what_the_service_accepts(figures):
    of = {row[0]: row[2] for row in figure_rows(figures)}
    by_service = sum(read.accepted for read in figures.sources[1].reads.reads) / 12
    shown = of["strips: accepted by the service, for 1% error"]
    assert 0 < by_service < 1
    assert shown.startswith(f"{by_service:.1%}, 0 of ")
    assert "strips: acceptable in hindsight, at 1% error" in of


def test_a_share_is_shown_with_its_interval():
    assert interval(Estimate(0.881, 0.8694, 0.896), 1) == "88.1% (86.9 to 89.6)"


def test_the_json_has_every_figure_and_every_read(figures, tmp_path):
    write_json(figures, tmp_path / "figures.json")
    written = json.loads((tmp_path / "figures.json").read_text())
    synthetic, strips = written["sources"]
    assert written["model"] == figures.digest
    assert synthetic["exact"]["value"] == figures.sources[0].figures.exact.value
    assert len(synthetic["reads"]) == 40
    assert np.array(strips["confusions"]).shape == (len(written["labels"]),) * 2
    assert list(strips["unreadable"]) == ["broken.png"]
    assert [Read(**read) for read in strips["reads"]] == figures.sources[1].reads.reads


def test_all_pictures_are_drawn_and_have_something_on_them(figures, tmp_path):
    folder = tmp_path / "new" / "pictures"
    draw_pictures(figures.sources, folder)
    drawn = {path.name for path in folder.iterdir()}
    mistakes = {"worst.png"} if figures.sources[1].reads.mistakes else set()
    assert drawn == {"risk-coverage.png", "confusions.png"} | mistakes
    for path in folder.iterdir():
        with Image.open(path) as picture:
            assert picture.width > 600
            assert np.asarray(picture.convert("L")).std() > 10


def test_strings_without_a_mistake_have_no_sheet_of_the_worst(tmp_path):
    read = [Read("a", "12", "12", 0.9)]
    source = SourceFigures(Reads("right", read, [], {}), StripFigures.of(read))
    draw_pictures([source], tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "confusions.png",
        "risk-coverage.png",
    ]


def test_the_worst_mistakes_are_the_most_confident_and_no_more_than_have_room():
    pages = [np.full((40, 90), 200, np.uint8) for _ in range(MISTAKES + 5)]
    many = [Mistake(Read(f"{n}.png", "1", "2", n / 100), page) for n, page in enumerate(pages)]
    few, all_shown = draw_worst(many[-MISTAKES:]), draw_worst(many)
    assert all_shown.size == few.size
    # Below the title, the sheet is the one of the most confident alone.
    np.testing.assert_array_equal(
        np.asarray(all_shown)[contact_sheet.HEADER :], np.asarray(few)[contact_sheet.HEADER :]
    )


def test_a_card_of_a_sheet_has_room_for_its_text_and_its_pictures():
    picture = contact_sheet.sized(np.full((20, 10), 9, np.uint8), 40)
    assert picture.size == (20, 40)
    assert contact_sheet.sized(np.full((20, 1000), 9, np.uint8), 40, 480).size == (480, 10)
    wide = contact_sheet.Card(
        (picture,), (("a long line of text", contact_sheet.INK), ("short", contact_sheet.DIM))
    )
    assert wide.width > 100
    assert wide.height == 40 + contact_sheet.CAPTION + 2 * contact_sheet.LINE

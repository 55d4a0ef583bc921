"""`digitstrip read --lines`, as a user runs it."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.conftest import STRIPS


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Two strips, one above the other."""
    strips = [Image.open(STRIPS / f"{name}.png") for name in ("postcode-ruled", "two-digits")]
    page = Image.new(
        "L", (max(each.width for each in strips), 60 + sum(each.height for each in strips)), 255
    )
    for each, top in zip(strips, (20, 40 + strips[0].height), strict=True):
        page.paste(each.convert("L"), (0, top))
    path = tmp_path_factory.mktemp("lines") / "page.png"
    page.save(path)
    return path


def test_each_line_is_printed_in_order(page, run, truths):
    done = run("read", "--lines", page)
    assert done.returncode == 0
    texts = [truths["postcode-ruled.png"], truths["two-digits.png"]]
    assert done.stdout.decode().splitlines() == texts


def test_the_record_of_a_line_has_its_number_and_its_box(page, run, truths):
    done = run("read", "--lines", "--json", page)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["line"] for each in records] == [1, 2]
    assert [each["page"] for each in records] == [1, 1]
    assert records[1]["text"] == truths["two-digits.png"]
    boxes = np.array([each["box"] for each in records])
    assert (boxes[:, :2] < boxes[:, 2:]).all()
    assert boxes[0, 3] < boxes[1, 1]


@pytest.mark.parametrize("option", [("--form", "form.toml"), ("--picture", "out.png")])
def test_options_of_a_page_do_not_go_with_lines(option, page, run):
    done = run("read", "--lines", page, *option)
    assert done.returncode == 2
    assert b"--lines" in done.stderr

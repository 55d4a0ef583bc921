"""What `digitstrip batch` prints, and what it refuses before it writes anything."""

import pytest

from tests.conftest import STRIPS


@pytest.mark.parametrize("names", [["gone/"], ["gone.png", "empty"], ["*.none"]])
def test_names_that_lead_to_nothing_are_refused_and_nothing_is_written(run, tmp_path, names):
    (tmp_path / "empty").mkdir()
    ended = run("batch", *names, "--output", "out.csv", cwd=tmp_path)
    assert ended.returncode == 1
    for name in names:
        assert name.encode() in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_beside_what_can_be_read_they_are_rows_and_named(run, tmp_path):
    (tmp_path / "a.png").write_bytes((STRIPS / "postcode-ruled.png").read_bytes())
    ended = run("batch", "a.png", "gone.png", "--output", "out.jsonl", cwd=tmp_path)
    assert ended.returncode == 1
    assert b"gone.png: No such file or directory" in ended.stderr
    assert len((tmp_path / "out.jsonl").read_bytes().splitlines()) == 2

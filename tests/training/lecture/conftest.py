import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.support.once import made_once
from training.cli.main import app
from training.lecture import course


@dataclass(frozen=True)
class Quick:
    """What `digitstrip-train lecture --quick` printed and wrote."""

    said: str
    out: Path

    @property
    def page(self):
        return (self.out / "lecture.md").read_text(encoding="utf-8")

    def figures(self, number):
        (chapter,) = course.chapters([number])
        return course.load(chapter, self.out / "lecture")["figures"]

    def section(self, number):
        (chapter,) = course.chapters([number])
        return chapter.tell(self.figures(number))


@pytest.fixture(scope="session")
def quick(tmp_path_factory):
    def run_all(out):
        result = CliRunner().invoke(app, ["lecture", "--quick", "--out", str(out)])
        assert result.exit_code == 0, result.output
        said = re.sub(r"\x1b\[[0-9;]*m", "", result.output)
        (out / "said.txt").write_text(said, encoding="utf-8")

    out = made_once(tmp_path_factory, "lecture", run_all)
    return Quick((out / "said.txt").read_text(encoding="utf-8"), out)


def pytest_collection_modifyitems(items):
    """Give whichever test is the first the time that all chapters may take on a busy machine."""
    for item in items:
        if "quick" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(1200))

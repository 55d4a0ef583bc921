import ast
import contextlib
import io
import json
import re

import pytest

from tests.conftest import STRIPS

NOTEBOOK = STRIPS.parent / "notebook.ipynb"
NUMBER = re.compile(r"\d+\.\d+(?:e-?\d+)?")
CELLS = [
    cell for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"
]


def run(source, names):
    """Run a cell as a notebook does; return what it prints, and what its last expression shows."""
    body = ast.parse(source).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(ast.Module(body, []), NOTEBOOK.name, "exec"), names)
        value = None
        if last is not None:
            value = eval(compile(ast.Expression(last.value), NOTEBOOK.name, "eval"), names)
    return printed.getvalue() + (f"{value!r}\n" if value is not None else "")


def shown(cell):
    """Return the text that a cell showed when it was last saved."""
    text = ""
    for output in cell["outputs"]:
        if output["output_type"] == "stream":
            text += "".join(output["text"])
        elif output["output_type"] == "execute_result":
            text += "".join(output["data"]["text/plain"]) + "\n"
    return text


def test_the_notebook_runs_and_shows_what_it_was_saved_with(monkeypatch):
    monkeypatch.chdir(STRIPS.parent)
    plots = pytest.importorskip("matplotlib.pyplot")
    plots.switch_backend("agg")
    monkeypatch.setattr(plots, "show", lambda: None)
    names = {}
    for cell in CELLS:
        now, then = run("".join(cell["source"]), names), shown(cell)
        assert NUMBER.sub("#", now) == NUMBER.sub("#", then)
        # Processors round otherwise.
        expected = pytest.approx([*map(float, NUMBER.findall(then))], rel=0.02, abs=0.02)
        assert [*map(float, NUMBER.findall(now))] == expected
    (figure,) = map(plots.figure, plots.get_fignums())
    assert len(figure.axes) == 2
    plots.close(figure)

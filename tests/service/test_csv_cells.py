import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.csv_cells import as_text, guarded, unguarded


@given(st.text())
def test_a_guarded_cell_is_no_formula_and_comes_back_as_it_was(cell):
    assert guarded(cell)[:1] not in ("=", "+", "-", "@", "\t", "\r")
    assert unguarded(guarded(cell)) == cell


@given(st.text())
def test_a_cell_kept_as_text_comes_back_as_it_was(cell):
    assert unguarded(as_text(cell)) == cell


@pytest.mark.parametrize("cell", [None, 7, ["a cell too many"]])
def test_what_is_no_text_is_left_alone(cell):
    assert unguarded(cell) == cell

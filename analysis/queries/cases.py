"""Cases by when they were first told of."""

from __future__ import annotations

from ibis.expr import types as ir


def new_cases(rows: ir.Table, since_ms: int = 0) -> ir.Table:
    """A row a case that was first told of at `since_ms` or later, when `rows` are all that there are.

    Columns: `source`, `case_id`, `at_ms` (when it was first told of), `category`, `district`, `mahalla`.

    A case that is told again (another status, another text) is the same one. Notices of transport (with lines or stops
    that they affect) are announcements, no cases.
    """
    told = _cases(rows)
    found = told.group_by(["source", "case_id"]).aggregate(
        at_ms=told.measured_ms.min(),
        category=told.category.argmin(told.measured_ms),
        # Some are placed only when somebody has looked at them.
        district=told.district.max(),
        mahalla=told.mahalla.max(),
    )
    return found.filter(found.at_ms >= since_ms).order_by(["at_ms", "source", "case_id"])


def first_case(rows: ir.Table) -> ir.Table:
    """One row: `at_ms`, when the first case of all was told of; null where there is none."""
    told = _cases(rows)
    return told.aggregate(at_ms=told.measured_ms.min())


def _cases(rows: ir.Table) -> ir.Table:
    return rows.filter(rows.affects.isnull())

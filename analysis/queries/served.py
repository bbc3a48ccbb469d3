"""The rows of a feed that the analysis of transport reads: by span, routes or vehicles, a few columns."""

from __future__ import annotations

from collections.abc import Sequence

from ibis.expr import types as ir


def served(
    table: ir.Table,
    from_ms: int,
    to_ms: int,
    columns: Sequence[str],
    *,
    routes: Sequence[str] = (),
    vehicles: Sequence[str] = (),
) -> ir.Table:
    """The rows of [from_ms, to_ms), late ones too; no routes or vehicles: of all."""
    wanted = [table.measured_ms >= from_ms, table.measured_ms < to_ms]
    if routes:
        wanted.append(table.route.isin(list(routes)))
    if vehicles:
        wanted.append(table.vehicle_id.isin(list(vehicles)))
    return table.filter(*wanted).select(*columns)

"""Archived positions for the observed timetable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow as pa

from analysis.transit.study import POSITIONS
from city.config import Config
from city.history.history import History
from dashboard.transit_worker import rows_of


@contextmanager
def position_rows(config: Config) -> Iterator[Callable[[int, int, str], pa.Table]]:
    """A function that gives the positions of a route in a span; raises HistoryError."""
    history = History.open(config, live=False)
    try:
        rows = rows_of(history.view())
        yield lambda from_ms, to_ms, route: rows("position", from_ms, to_ms, POSITIONS, routes=(route,))
    finally:
        history.close()

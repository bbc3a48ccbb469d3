"""Roll-ups as the archive keeps them: a feed of its own each, `rollup_<by>_<seconds>`, a file an hour and later a day.

A row says of one step of time, one place (or route, or vehicle) and one cell of a feed what is enough for every measure
of it. Which cells there are is `analysis.measures`.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from city.archive.layout import HOUR_MS, WHOLE_DAY
from city.archive.log import File
from city.settings import Rollup

SCHEMA = pa.schema(
    [
        pa.field("measured_ms", pa.int64(), nullable=False),  # the beginning of the step, epoch milliseconds UTC
        pa.field("received_ms", pa.int64(), nullable=False),  # of the newest row in it
        pa.field("source", pa.string(), nullable=False),  # the feed
        pa.field("cell", pa.string(), nullable=False),
        pa.field("key", pa.string()),  # which mahalla, district, route or vehicle; null: none
        pa.field("rows", pa.int64(), nullable=False),  # of the feed
        pa.field("n", pa.int64(), nullable=False),  # that have a value in this cell
        pa.field("sum", pa.float64()),
        pa.field("least", pa.float64()),
        pa.field("greatest", pa.float64()),
        pa.field("entities", pa.int64(), nullable=False),
        pa.field("late", pa.bool_(), nullable=False),
    ]
)


def feed_of(rollup: Rollup) -> str:
    """What the archive calls it."""
    return f"rollup_{rollup.by}_{rollup.every_s}"


def made_of_hours(file: File) -> dict[int, dict[str, int]]:
    """What a file is made of: the beginning of an hour → feed → how many rows of that hour.

    The file of an hour says `feed`, the one of a day `feed/hour`.
    """
    begin_ms = file.place.from_ms
    found: dict[int, dict[str, int]] = {}
    for name, rows in file.made_of.items():
        feed, _, hour = name.partition("/")
        found.setdefault(begin_ms + int(hour or 0) * HOUR_MS, {})[feed] = rows
    return found


def made_of_day(hours: Mapping[int, Mapping[str, int]]) -> dict[str, int]:
    """The same as the file of a day has it in the log."""
    return {
        f"{feed}/{at_ms // HOUR_MS % WHOLE_DAY:02d}": rows
        for at_ms, feeds in hours.items()
        for feed, rows in feeds.items()
    }

"""Whatever stands in a stream: what is an event becomes a row, the rest is counted, and nothing stops the archive."""

from __future__ import annotations

import pytest

from city.archive.parquet import by_hour
from city.archive_source import RawEntry
from ingest.archive_rows import ArchiveRows

GOOD = b'{"measured_ms":1777852800000,"received_ms":1777852800000,"vehicle_id":"v","lat":1.0,"lon":2.0}'


def said(measured_ms: int) -> bytes:
    return GOOD.replace(b"1777852800000", b"%d" % measured_ms, 1)


@pytest.mark.parametrize(
    "bad",
    [
        said(10**18 - 1),
        said(-(10**17)),
        said(-62_135_596_800_000),  # the year 1
        said(-1),
        said(253_402_300_800_000),  # the year 10000
        GOOD.replace(b'"v"', b'"\\ud800"'),
        GOOD.replace(b'"v"', b'"\xff"'),
        GOOD[:-1] + b',"z":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"7",
    ],
)
def test_an_event_that_cannot_be_one_is_counted_and_the_others_are_archived(bad: bytes) -> None:
    rows = ArchiveRows()
    for number, array in enumerate((b"[" + GOOD + b"]", b"[" + bad + b"]", b"[" + GOOD + b"]")):
        rows.add(RawEntry("0", f"{number}-0", {b"position": array}))
    places = by_hour("position", rows.batches()["position"])
    assert [(place.folder, table.num_rows) for place, table in places.items()] == [
        ("position/date=2026-05-04/hour=00", 2)
    ]
    assert rows.unreadable == 1


def test_the_first_and_the_last_time_that_has_a_folder_are_archived() -> None:
    rows = ArchiveRows()
    rows.add(RawEntry("0", "1-0", {b"position": b"[" + said(0) + b"," + said(253_402_300_799_999) + b"]"}))
    found = [place.date for place in by_hour("position", rows.batches()["position"])]
    assert (found, rows.unreadable) == (["1970-01-01", "9999-12-31"], 0)

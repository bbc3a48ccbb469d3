"""Feeds with faults are refused, each fault with file, line, column and reason."""

from __future__ import annotations

import random
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from city.gtfs import source
from city.gtfs.faults import GtfsError, Reason
from city.gtfs.fields import seconds
from city.gtfs.timetable import load
from city.gtfs.writer import clock
from tests.unit.city.gtfs.feeds import RIGHT, folder, packed


def spoil(file: str, old: str, new: str) -> dict[str, str]:
    """The feed with one text of a file replaced."""
    text = RIGHT[f"{file}.txt"]
    assert old in text
    return {file: text.replace(old, new, 1)}


def faults(path: Path) -> list[tuple[str, int, str, Reason]]:
    with pytest.raises(GtfsError) as refused:
        load(path)
    assert refused.value.total == len(refused.value.faults)
    return [(one.file, one.line, one.column, one.reason) for one in refused.value.faults]


R = Reason
CASES: list[tuple[str, dict[str, str | bytes | None], tuple[str, int, str, Reason]]] = [
    ("a file is missing", {"stops": None}, ("stops.txt", 0, "", R.MISSING_FILE)),
    ("no service", {"calendar": None, "calendar_dates": None}, ("calendar.txt", 0, "", R.MISSING_FILE)),
    ("a column is missing", spoil("routes", "route_type", "kind"), ("routes.txt", 1, "route_type", R.MISSING_COLUMN)),
    ("a column twice", spoil("stops", "stop_lat", "stop_name"), ("stops.txt", 1, "stop_name", R.DUPLICATE_COLUMN)),
    ("an empty id", spoil("trips", "t2", ""), ("trips.txt", 3, "trip_id", R.EMPTY_VALUE)),
    ("a stop without a name", spoil("stops", "Oʻrda", ""), ("stops.txt", 3, "stop_name", R.EMPTY_VALUE)),
    ("no place", spoil("stops", "B,Oʻrda,41.300", "B,Oʻrda,"), ("stops.txt", 3, "stop_lat", R.EMPTY_VALUE)),
    ("latitude beyond the pole", spoil("stops", "41.300", "141.3"), ("stops.txt", 2, "stop_lat", R.OUT_OF_RANGE)),
    ("a comma", spoil("stops", "41.300,69.210", '"41,3",69.210'), ("stops.txt", 3, "stop_lat", R.BAD_VALUE)),
    ("not a number: nan", spoil("stops", "69.210", "nan"), ("stops.txt", 3, "stop_lon", R.BAD_VALUE)),
    ("a place never filled", spoil("stops", "41.300,69.210", "0,0"), ("stops.txt", 3, "stop_lat", R.OUT_OF_RANGE)),
    ("two stops of one id", spoil("stops", "B,Oʻrda", "A,Oʻrda"), ("stops.txt", 3, "stop_id", R.DUPLICATE_KEY)),
    ("an unknown station", spoil("stops", ",P\n", ",Q\n"), ("stops.txt", 4, "parent_station", R.UNKNOWN_REFERENCE)),
    ("an unknown route", spoil("trips", "r2", "r9"), ("trips.txt", 5, "route_id", R.UNKNOWN_REFERENCE)),
    ("an unknown service", spoil("trips", "feast", "fest"), ("trips.txt", 4, "service_id", R.UNKNOWN_REFERENCE)),
    ("an unknown shape", spoil("trips", "0,s", "0,z"), ("trips.txt", 2, "shape_id", R.UNKNOWN_REFERENCE)),
    ("a route without names", spoil("routes", "1,7", "1,"), ("routes.txt", 2, "route_short_name", R.EMPTY_VALUE)),
    ("a kind of route there is not", spoil("routes", ",3\n", ",99\n"), ("routes.txt", 2, "route_type", R.BAD_VALUE)),
    ("unknown trip", spoil("stop_times", "t2,8:15", "t8,8:15"), ("stop_times.txt", 5, "trip_id", R.UNKNOWN_REFERENCE)),
    ("a station to stop at", spoil("stop_times", "B,2,0.8", "P,2,0.8"), ("stop_times.txt", 3, "stop_id", R.BAD_VALUE)),
    ("no time", spoil("stop_times", "08:20:00,08", "08:60:00,08"), ("stop_times.txt", 6, "arrival_time", R.BAD_TIME)),
    ("times that go back", spoil("stop_times", "08:20:00,08:20:00", "08:14:00,08:20:00"),
     ("stop_times.txt", 6, "arrival_time", R.WRONG_ORDER)),
    ("departure before arrival", spoil("stop_times", "8:15:00,8:15:30", "8:15:30,8:15:00"),
     ("stop_times.txt", 5, "departure_time", R.WRONG_ORDER)),
    ("no time at the end", spoil("stop_times", "08:10:00,08:10:00,C", "08:10:00,,C"),
     ("stop_times.txt", 4, "departure_time", R.EMPTY_VALUE)),
    ("a sequence twice", spoil("stop_times", "B,2,\n", "B,1,\n"),
     ("stop_times.txt", 6, "stop_sequence", R.DUPLICATE_KEY)),
    ("metres that go back", spoil("stop_times", "1.7", "0.7"),
     ("stop_times.txt", 4, "shape_dist_traveled", R.WRONG_ORDER)),
    ("a wrong date", spoil("calendar", "20260517", "20260532"), ("calendar.txt", 2, "end_date", R.BAD_DATE)),
    ("ends before it starts", spoil("calendar", "20260517", "20260503"),
     ("calendar.txt", 2, "end_date", R.WRONG_ORDER)),
    ("an exception of kind 3", spoil("calendar_dates", "11,2", "11,3"),
     ("calendar_dates.txt", 3, "exception_type", R.BAD_VALUE)),
    ("a timezone there is not", spoil("agency", "Asia/Tashkent", "Tashkent"),
     ("agency.txt", 2, "agency_timezone", R.BAD_VALUE)),
    ("an address without http", spoil("agency", "https://", ""), ("agency.txt", 2, "agency_url", R.BAD_VALUE)),
    ("a headway of nothing", spoil("frequencies", "1200", "0"), ("frequencies.txt", 2, "headway_secs", R.OUT_OF_RANGE)),
    ("a shape of one point", spoil("shapes", "s,41.300,69.200,1,0\n", "x,41.300,69.200,1,0\n"),
     ("shapes.txt", 2, "shape_id", R.TOO_FEW)),
    ("a shape that stays where it is",
     {"shapes": RIGHT["shapes.txt"].replace("69.210", "69.200").replace("69.220", "69.200")},
     ("shapes.txt", 2, "shape_id", R.TOO_FEW)),
    ("all stops at one place", {"stops": RIGHT["stops.txt"].replace("69.220,,", "69.200,,")},
     ("stop_times.txt", 8, "trip_id", R.TOO_FEW)),
    ("a trip a second for a week", {"frequencies": RIGHT["frequencies.txt"].replace(
        "09:00:00,10:00:00,1200", "00:00:00,167:00:00,1")},
     ("frequencies.txt", 2, "headway_secs", R.TOO_LARGE)),
    ("digits of another script", spoil("stop_times", "t1,08:00:00", "t1,0٨:00:00"),
     ("stop_times.txt", 2, "arrival_time", R.BAD_TIME)),
    ("a station in a station", spoil("stops", "69.220,1,", "69.220,1,P"),
     ("stops.txt", 5, "parent_station", R.BAD_VALUE)),
    ("a feed that ends before it starts", {"feed_info": (
        "feed_publisher_name,feed_publisher_url,feed_lang,feed_start_date,feed_end_date\n"
        "Markaz,https://example.org,uz,20260601,20260501\n")},
     ("feed_info.txt", 2, "feed_end_date", R.WRONG_ORDER)),
    ("a feed that never runs", {"calendar": RIGHT["calendar.txt"].replace("1,1,1,1,1,0,0", "0,0,0,0,0,0,0"),
                                "calendar_dates": "service_id,date,exception_type\nfeast,20260510,2\n"},
     ("calendar.txt", 0, "", R.TOO_FEW)),
    ("a cell too many", spoil("routes", "r1,1,7,,3", "r1,1,7,,3,"), ("routes.txt", 2, "", R.WRONG_CELLS)),
    ("an open quote", spoil("stops", 'bozor"', "bozor"), ("stops.txt", 2, "", R.BAD_CSV)),
    ("a letter after a quote", spoil("stops", 'bozor"', 'bozor"x'), ("stops.txt", 2, "", R.BAD_CSV)),
    ("not UTF-8", {"routes": RIGHT["routes.txt"].encode().replace(b"Uzun", b"\xd3\xe7")},
     ("routes.txt", 3, "", R.NOT_UTF8)),
    ("nothing in it", {"routes": ""}, ("routes.txt", 1, "", R.MISSING_COLUMN)),
    ("a head alone", {"feed_info": RIGHT["feed_info.txt"], "agency": RIGHT["agency.txt"].split("\n")[0]},
     ("agency.txt", 0, "", R.TOO_FEW)),
]  # fmt: skip


@pytest.mark.parametrize(("spoilt", "expected"), [one[1:] for one in CASES], ids=[one[0] for one in CASES])
def test_a_fault_is_told_with_its_place(
    tmp_path: Path, spoilt: dict[str, str | bytes | None], expected: tuple[str, int, str, Reason]
) -> None:
    assert expected in faults(folder(tmp_path, **spoilt))


def test_the_feed_that_is_spoilt_above_is_right(tmp_path: Path) -> None:
    _, notes = load(folder(tmp_path))
    assert notes == []


def test_one_fault_is_told_once(tmp_path: Path) -> None:
    """Not again by what follows from it."""
    assert faults(folder(tmp_path, **spoil("trips", "r2", "r9"))) == [
        ("trips.txt", 5, "route_id", Reason.UNKNOWN_REFERENCE)
    ]


def test_all_faults_are_counted_and_a_hundred_told(tmp_path: Path) -> None:
    rows = "".join(f"S{at},Stop,91,69.2,,\n" for at in range(250))
    with pytest.raises(GtfsError) as refused:
        load(folder(tmp_path, stops=RIGHT["stops.txt"] + rows))
    assert (refused.value.total, len(refused.value.faults)) == (250, 100)


def test_marks_quotes_empty_lines_and_other_line_ends_are_no_fault(tmp_path: Path) -> None:
    """A byte order mark, CRLF, quoted cells, spaces around, lines without anything."""
    routes = "\ufeff" + RIGHT["routes.txt"].replace("\n", "\n\n").replace("r1,1,", '"r1",1 ,')
    timetable, _ = load(folder(tmp_path, routes=routes, stops=RIGHT["stops.txt"].replace("\n", "\r\n")))
    assert set(timetable.trips.route_id) == {"r1", "r2"}


def test_a_line_break_in_a_value_is_a_fault(tmp_path: Path) -> None:
    """GTFS: values must not hold tabs, carriage returns or new lines."""
    stops = RIGHT["stops.txt"].replace('"Chorsu, bozor"', '"Chorsu\nbozor"')
    assert faults(folder(tmp_path, stops=stops)) == [("stops.txt", 2, "stop_name", Reason.BAD_VALUE)]


def test_what_refers_to_an_unreadable_file_is_not_blamed(tmp_path: Path) -> None:
    routes = RIGHT["routes.txt"].encode().replace(b"Uzun", b"\xd3\xe7")
    assert faults(folder(tmp_path, routes=routes)) == [("routes.txt", 3, "", Reason.NOT_UTF8)]


def test_the_line_of_a_fault_counts_line_breaks_in_quotes(tmp_path: Path) -> None:
    stops = RIGHT["stops.txt"].replace('"Chorsu, bozor"', '"Chorsu\n\nbozor"').replace("69.210", "269.2")
    assert ("stops.txt", 5, "stop_lon", Reason.OUT_OF_RANGE) in faults(folder(tmp_path, stops=stops))


def test_a_zip_is_read_like_a_folder(tmp_path: Path) -> None:
    from_zip, _ = load(packed(tmp_path, RIGHT))
    from_folder, _ = load(folder(tmp_path))
    assert from_zip.trips.trip_id == from_folder.trips.trip_id
    assert from_zip.dates == from_folder.dates


@pytest.mark.parametrize(
    "name", ["../stops.txt", "/etc/stops.txt", "a/../../stops.txt", "C:stops.txt", "..\\stops.txt"]
)
def test_a_path_that_leads_out_of_a_zip_is_refused(tmp_path: Path, name: str) -> None:
    found = faults(packed(tmp_path, {**RIGHT, name: "x"}))
    assert found == [("feed.zip", 0, "", Reason.UNSAFE_PATH)]


def test_files_in_a_folder_of_the_zip_are_named(tmp_path: Path) -> None:
    with pytest.raises(GtfsError) as refused:
        load(packed(tmp_path, {f"feed/{name}": text for name, text in RIGHT.items()}))
    assert "must lie at its top" in str(refused.value.faults[0])


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    made = packed(tmp_path, {**RIGHT, "stops.txt": "0" * (source.RATIO_FROM_BYTES + 1)})
    assert made.stat().st_size < 100_000
    assert ("stops.txt", 0, "", Reason.TOO_LARGE) in faults(made)


def test_a_zip_that_lies_about_a_size_is_refused(tmp_path: Path) -> None:
    made = packed(tmp_path, RIGHT)
    data = made.read_bytes()
    with zipfile.ZipFile(made) as archive:
        size = archive.getinfo("stops.txt").file_size
    short = (size - 40).to_bytes(4, "little")
    made.write_bytes(data.replace(size.to_bytes(4, "little"), short))
    found = faults(made)
    assert any(one[3] in (Reason.TOO_LARGE, Reason.NOT_A_FEED) for one in found)


@pytest.mark.parametrize("what", ["text", "nothing"])
def test_what_is_no_feed_is_one_fault(tmp_path: Path, what: str) -> None:
    path = tmp_path / "feed.zip"
    if what == "text":
        path.write_text("no zip")
    assert faults(path) == [("feed.zip", 0, "", Reason.NOT_A_FEED)]


@given(st.integers(0, 24 * 7 * 3600 - 1))
def test_times_come_back(second: int) -> None:
    assert seconds(clock(second)) == second


@given(st.text(max_size=12))
def test_no_text_makes_a_time_by_accident(text: str) -> None:
    found = seconds(text)
    assert found is None or clock(found).endswith(text[-5:])


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_spoilt_byte_is_a_crash(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Any file with any byte changed is taken or refused."""
    name = data.draw(st.sampled_from(sorted(RIGHT)))
    text = RIGHT[name].encode()
    at = data.draw(st.integers(0, len(text) - 1))
    spoilt = text[:at] + data.draw(st.binary(max_size=3)) + text[at + 1 :]
    with suppress(GtfsError):
        load(folder(tmp_path_factory.mktemp("feed"), **{name.removesuffix(".txt"): spoilt}))


def test_spoilt_bytes_of_a_zip_are_refused_and_never_a_crash(tmp_path: Path) -> None:
    """A corrupt stream, a cut one, a name that is no UTF-8, and any bytes at all."""
    whole = packed(tmp_path, RIGHT).read_bytes()
    begin = whole.find(b"stops.txt") + 9
    corrupt = bytearray(whole)
    corrupt[begin : begin + 20] = bytes(one ^ 0xFF for one in corrupt[begin : begin + 20])
    named = bytearray(whole)
    entry = named.rfind(b"stops.txt")
    named[entry : entry + 2], named[entry - 46 + 9] = b"\xff\xfe", 0x08
    cut = whole[: begin + 20] + whole[begin + 120 :]
    for data in (bytes(corrupt), bytes(named), cut, whole[:200] + whole[-900:]):
        (tmp_path / "feed.zip").write_bytes(data)
        assert any(one[3] is Reason.NOT_A_FEED for one in faults(tmp_path / "feed.zip"))
    chance = random.Random(5)
    for _ in range(150):
        spoilt = bytearray(whole)
        for _ in range(chance.choice([1, 3, 10])):
            spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
        (tmp_path / "feed.zip").write_bytes(spoilt)
        with suppress(GtfsError):
            load(tmp_path / "feed.zip")


@pytest.mark.parametrize("letter", ["\u00a0", "\u200b", "\u00ad"])
def test_spaces_and_marks_of_other_kinds_are_text(tmp_path: Path, letter: str) -> None:
    timetable, _ = load(folder(tmp_path, stops=RIGHT["stops.txt"].replace("Amir Temur", f"Amir{letter}Temur")))
    assert any(stop.name == f"Amir{letter}Temur" for line in timetable.lines for stop in line.stops)


def test_a_service_far_into_the_future_is_taken_and_one_of_all_times_refused(tmp_path: Path) -> None:
    far = folder(tmp_path, **spoil("calendar", "20260517", "20991231"))
    assert max(load(far)[0].dates).year == 2099
    (far / "calendar.txt").write_text(RIGHT["calendar.txt"].replace("20260517", "99991231"))
    assert faults(far) == [("calendar.txt", 2, "end_date", Reason.OUT_OF_RANGE)]


def test_trips_that_say_no_place_or_one_alone_are_noted_and_left_out(tmp_path: Path) -> None:
    """Flexible trips serve areas; neither they nor a trip of one stop drive a line."""
    times = RIGHT["stop_times.txt"].replace("shape_dist_traveled\n", "shape_dist_traveled,location_id\n")
    head, *rows = times.splitlines()
    rows = [f"{row}," for row in rows if not row.startswith(("t2", "night,25"))]
    rows += ["t2,,,,1,,zone", "t2,,,,2,,zone"]
    timetable, notes = load(folder(tmp_path, stop_times="\n".join([head, *rows])))
    assert {name.partition("@")[0] for name in timetable.trips.trip_id} == {"t1", "t3"}
    assert [note.partition(": ")[2] for note in notes[:2]] == [
        "1 trips serve areas in place of stops and are left out", "1 trips have one stop only and are left out",
    ]  # fmt: skip


def test_trips_without_a_direction_are_noted(tmp_path: Path) -> None:
    _, notes = load(folder(tmp_path, trips=RIGHT["trips.txt"].replace("direction_id", "way")))
    assert notes == ["trips.txt: 4 trips have no direction_id and are taken as of the first direction"]

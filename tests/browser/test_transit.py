"""The page of transport analysis, on a real city with a morning of known buses: figures, links, files, cancelling."""

from __future__ import annotations

import csv
import io
import math
import re
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Page, expect

from city.archive.archive import Archive
from city.archive.columns import batch_of
from city.events import FuelReading, PassengerCount, VehiclePosition
from city.routes import Line, load_routes
from tests.browser.conftest import ROOT, City, Watched

pytestmark = pytest.mark.browser
LINE = next(line for line in load_routes(ROOT / "data" / "tashkent") if (line.route, line.direction) == ("1", 1))
BEGIN_MS = int(datetime(2026, 5, 4, 2, tzinfo=UTC).timestamp() * 1000)  # 7:00 in Tashkent
HOUR_MS = 3_600_000
BUSES, HEADWAY_S, SPEED_MPS = 12, 600, 8.0
LATE_S = 400.0  # every fourth bus
THIRSTY = "bus-05"
M_PER_DEG = 111_195.0


def bus(number: int) -> str:
    return f"bus-{number:02}"


def drive(line: Line) -> tuple[list[tuple[float, float, float]], float]:
    """The line's corners as (metres from its beginning, latitude, longitude), and its length by them."""
    found = [(0.0, *line.points[0])]
    for (lat0, lon0), (lat1, lon1) in pairwise(line.points):
        east = (lon1 - lon0) * math.cos(math.radians(lat0))
        found.append((found[-1][0] + M_PER_DEG * math.hypot(lat1 - lat0, east), lat1, lon1))
    return found, found[-1][0]


CORNERS, LENGTH_M = drive(LINE)


def place(along_m: float) -> tuple[float, float]:
    for (a0, lat0, lon0), (a1, lat1, lon1) in pairwise(CORNERS):
        if a1 > a0 and along_m <= a1:
            share = (along_m - a0) / (a1 - a0)
            return lat0 + share * (lat1 - lat0), lon0 + share * (lon1 - lon0)
    return CORNERS[-1][1:]


def positions() -> Iterator[VehiclePosition]:
    """Buses that drive from end to end at one speed, ten minutes apart."""
    for number in range(BUSES):
        ahead_s = -LATE_S if number % 4 == 3 else 0.0
        for second in range(0, int(LENGTH_M / SPEED_MPS) + 30, 10):
            at_ms = BEGIN_MS + 1000 * (HEADWAY_S * number + second)
            lat, lon = place(SPEED_MPS * second)
            yield VehiclePosition(
                measured_ms=at_ms, received_ms=at_ms, vehicle_id=bus(number), lat=lat, lon=lon, route="1", direction=1,
                speed_mps=SPEED_MPS, schedule_deviation_s=ahead_s,
            )  # fmt: skip


def counts() -> Iterator[PassengerCount]:
    """Five people get on at each stop of the first half, and off at each of the second."""
    stops = LINE.stops
    half = len(stops) // 2
    for number in range(BUSES):
        for at, stop in enumerate(stops):
            second = LENGTH_M * stop.along_m / LINE.length_m / SPEED_MPS
            at_ms = BEGIN_MS + round(1000 * (HEADWAY_S * number + second))
            yield PassengerCount(
                measured_ms=at_ms, received_ms=at_ms, vehicle_id=bus(number), boarded=5 if at < half else 0,
                alighted=5 if len(stops) - half <= at else 0, capacity=90, stop=stop.stop_id,
            )  # fmt: skip


def fuel() -> Iterator[FuelReading]:
    for number in range(BUSES):
        per_km = 0.62 if bus(number) == THIRSTY else 0.35 + 0.002 * number
        for second in range(0, int(LENGTH_M / SPEED_MPS), 30):
            at_ms = BEGIN_MS + 1000 * (HEADWAY_S * number + second)
            used_l = 100 + per_km * SPEED_MPS * second / 1000
            yield FuelReading(measured_ms=at_ms, received_ms=at_ms, vehicle_id=bus(number), used_l=used_l)


def minutes(start: int, end: int) -> float:
    """What the buses need between two stops, by their places in the line."""
    metres = (LINE.stops[end].along_m - LINE.stops[start].along_m) * LENGTH_M / LINE.length_m
    return metres / SPEED_MPS / 60


def trip_minutes(page: Page) -> float:
    """The median that the page says of the two stops."""
    said = page.locator("[data-trip] b").inner_text()
    return float(said.removesuffix(" min"))


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    folder = tmp_path_factory.mktemp("transit")
    archive = Archive.open(str(folder / "history"), "tashkent")
    archive.append({"position": [batch_of("position", list(positions()), False)]}, {})
    archive.append({"passengers": [batch_of("passengers", list(counts()), False)]}, {})
    archive.append({"fuel": [batch_of("fuel", list(fuel()), False)]}, {})
    city = City(folder, MARKAZ_HISTORY__URL=str(folder / "history"))
    yield city
    city.stop()


def rfc3339(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def link(**more: str) -> str:
    span = {"from": rfc3339(BEGIN_MS), "to": rfc3339(BEGIN_MS + 4 * HOUR_MS)}
    return "/transit?" + urlencode({"lang": "en", "route": "1", **span, **more})


def settle(page: Any) -> None:
    """Wait until every picture has its answer."""
    page.locator("[data-part=says]").wait_for(timeout=20_000)
    page.wait_for_timeout(200)
    # The page is drawn for the link that it has by now.
    page.wait_for_function("document.querySelector('[data-part=says]')?.dataset.link === location.search")
    page.wait_for_function("!document.querySelector('[data-busy=\"1\"]')", timeout=60_000)
    page.wait_for_timeout(200)


def numbers(page: Any) -> list[list[str]]:
    """The cells of the table of numbers."""
    rows = page.locator("[data-part=numbers] tbody tr").all()
    return [row.locator("td").all_inner_texts() for row in rows]


def test_the_sentence_says_it_in_the_words_of_the_city(planted: City, watched: Watched) -> None:
    page = watched.open(planted.url(link(lang="uz")))
    settle(page)
    says = page.locator("[data-part=says]")
    expect(says).to_contain_text("1-yoʻnalish: har toʻrtinchi avtobus kechikadi")
    expect(says).to_contain_text("12 ta qatnov, 12 ta avtobus")
    page.goto(planted.url(link(lang="ru")))
    settle(page)
    expect(says).to_contain_text("Маршрут 1: опаздывает каждый четвёртый автобус")
    assert not watched.errors


def test_headways_are_those_that_were_driven(planted: City, watched: Watched) -> None:
    page = watched.open(planted.url(link()))
    settle(page)
    rows = numbers(page)
    assert len(rows) >= len(LINE.stops) - 2
    for row in rows:
        assert row[1:6] == ["11", "10.0", "10.0", "10.0", "10.0"]
    expect(page.locator("[data-export=headways]")).to_be_visible()
    expect(page.locator("[data-export=spread] title").filter(has_text="10 to 11 min")).to_have_count(1)
    assert not watched.errors


def test_the_diagram_has_a_line_a_run_and_its_window_is_in_the_link(planted: City, watched: Watched) -> None:
    page = watched.open(planted.url(link(show="diagram")))
    settle(page)
    runs = page.locator("[data-export=diagram] [data-run]")
    expect(runs).to_have_count(BUSES)
    # Late ones differ by dash, too.
    dashed = page.locator("[data-export=diagram] [data-run] path[stroke-dasharray='7 3']")
    expect(dashed).to_have_count(BUSES // 4)
    page.locator("[data-window='1']").click()
    page.locator("[data-window-move='-1']").click()
    assert "window=1" in page.url
    assert re.search(r"at=2026-05-04T0\d", page.url)
    shown = runs.count()
    assert 0 < shown < BUSES
    again = page.url
    page.goto(again)
    settle(page)
    expect(runs).to_have_count(shown)
    page.locator("[data-run='3']").locator("path").first.hover(force=True)
    assert not watched.errors


def test_a_diagram_up_to_a_moment_ahead_is_asked_once(planted: City, watched: Watched) -> None:
    now_ms = int(time.time() * 1000)
    span = {"from": rfc3339(now_ms - 48 * HOUR_MS), "to": rfc3339(now_ms + HOUR_MS)}
    page = watched.open(planted.url(link(show="diagram", **span)))
    settle(page)
    page.wait_for_timeout(1500)
    asked = [url for url in watched.requests if "/transit/trips" in url]
    assert len(asked) == 1
    assert not watched.errors


def test_stops_that_cannot_be_read_are_told_and_asked_for_again(planted: City, watched: Watched) -> None:
    page = watched.page
    problem = {"status": 503, "title": "The question was not answered", "detail": "the archive cannot be read"}
    page.route("**/api/v1/transit/routes?route=*", lambda route: route.fulfill(status=503, json=problem))
    watched.open(planted.url(link()))
    expect(page.locator(".tr-figures .an-away")).to_contain_text("History cannot be read.")
    page.unroute("**/api/v1/transit/routes?route=*")
    page.locator("[data-refresh]").click()
    settle(page)
    expect(page.locator("[data-export=headways]")).to_be_visible()


def test_punctuality_tells_early_on_time_and_late_by_words_and_hatching(planted: City, watched: Watched) -> None:
    page = watched.open(planted.url(link(show="punctuality")))
    settle(page)
    expect(page.locator("[data-part=punctuality_all]")).to_contain_text("25\u00a0%")
    expect(page.locator("[data-part=punctuality_all]")).to_contain_text("75\u00a0%")
    expect(page.locator("[data-export=punctuality] rect[fill*='punctuality-late']").first).to_be_visible()
    assert {row[6] for row in numbers(page)} == {"75\u00a0%"}
    assert not watched.errors


def test_load_stands_against_capacity_and_boardings_against_mahallas(planted: City, watched: Watched) -> None:
    page = watched.open(planted.url(link(show="load")))
    settle(page)
    half = len(LINE.stops) // 2
    loads = {row[0]: float(row[7]) for row in numbers(page)}
    assert max(loads.values()) == pytest.approx(5 * half, abs=1)
    expect(page.locator("[data-export=load_hours]")).to_contain_text("places: 90")
    boarded = [int(words.replace(",", "")) for words in page.locator("[data-part=boardings] li b").all_inner_texts()]
    assert sum(boarded) == pytest.approx(5 * half * BUSES, rel=0.02)
    assert not watched.errors


def test_an_origin_and_destination_table_says_its_method_or_why_there_is_none(planted: City, watched: Watched) -> None:
    page = watched.open(planted.url(link(show="od")))
    settle(page)
    expect(page.locator("[data-part=od_method]")).to_contain_text("iterative proportional fitting")
    assert page.locator("[data-export=od] rect title").count() > 100
    expect(page.locator("[data-part=od_top]")).to_be_visible()
    # An hour has the first buses alone: too few runs were counted from end to end.
    short = link(show="od", to=rfc3339(BEGIN_MS + HOUR_MS))
    page.goto(planted.url(short))
    settle(page)
    expect(page.locator("[data-refused=runs]")).to_contain_text("10 are needed")
    assert not watched.errors


def test_a_bus_that_burns_more_is_named_with_the_reason(planted: City, watched: Watched) -> None:
    page = watched.open(planted.url(link(show="fuel")))
    settle(page)
    odd = page.locator("[data-outlier]")
    expect(odd).to_have_count(1)
    expect(odd).to_contain_text(THIRSTY)
    expect(odd).to_contain_text("the median of 12 is 37")
    assert len(numbers(page)) == BUSES
    assert not watched.errors


def test_use_dwell_and_travel_times_have_their_numbers(planted: City, watched: Watched) -> None:
    page = watched.open(planted.url(link(show="use")))
    settle(page)
    rows = numbers(page)
    assert [row[0] for row in rows] == [bus(number) for number in range(BUSES)]
    assert {row[6] for row in rows} == {"1"}
    page.locator("[data-show=travel]").click()
    settle(page)
    assert {round(float(row[-1])) for row in numbers(page)} <= {28, 29, 30}  # 8 m/s
    # From end to end first; then between two stops, which are in the link too.
    assert abs(trip_minutes(page) - minutes(0, len(LINE.stops) - 1)) <= 0.3
    page.locator("[data-choose=trip_from]").select_option("2")
    page.locator("[data-choose=trip_to]").select_option("9")
    settle(page)
    assert abs(trip_minutes(page) - minutes(2, 9)) <= 0.3
    assert "from_place=2&to_place=9" in page.url
    page.reload()
    settle(page)
    assert page.locator("[data-choose=trip_to]").input_value() == "9"
    assert abs(trip_minutes(page) - minutes(2, 9)) <= 0.3
    page.locator("[data-show=dwell]").click()
    settle(page)
    assert {row[2] for row in numbers(page)} == {"0"}
    page.go_back()
    settle(page)
    expect(page.locator("[data-show=travel]")).to_have_attribute("aria-pressed", "true")
    assert not watched.errors


def test_who_goes_from_figure_to_figure_before_the_answers_come_gets_those_of_the_last(
    planted: City, watched: Watched
) -> None:
    page = watched.open(planted.url(link()))
    for show in ("load", "od", "punctuality", "fuel", "dwell", "load"):
        page.locator(f"[data-show={show}]").click()
    settle(page)
    expect(page.locator("[data-part=says]")).to_contain_text("every fourth bus is late")
    expect(page.locator("[data-export=load_hours]")).to_be_visible()
    assert not watched.errors


def test_what_was_not_observed_is_said_in_words(planted: City, watched: Watched) -> None:
    page = watched.open(planted.url(link(direction="2")))
    settle(page)
    expect(page.locator("[data-part=says]")).to_contain_text("nothing was observed")
    expect(page.locator("[data-part=headways]")).to_contain_text("Nothing was observed of this direction")
    page.locator("[data-direction='1']").click()
    settle(page)
    expect(page.locator("[data-part=says]")).to_contain_text("every fourth bus is late")
    assert not watched.errors


def test_routes_are_found_by_number_and_by_terminal(planted: City, watched: Watched) -> None:
    page = watched.open(planted.url(link()))
    settle(page)
    search = page.locator("[data-choose=search]")
    search.fill(LINE.begins[:6])
    expect(page.locator("[data-route='1']")).to_be_visible()
    assert page.locator("[data-route]").count() < 14
    search.fill("no such place")
    expect(page.locator("[data-route]")).to_have_count(0)
    search.fill("40")
    page.locator("[data-route='40']").click()
    settle(page)
    assert "route=40" in page.url
    expect(page.locator("[data-part=says]")).to_contain_text("Route 40: nothing was observed")
    assert not watched.errors


def saved(page: Any, what: str) -> bytes:
    with page.expect_download() as download:
        page.locator(what).click()
    return Path(download.value.path()).read_bytes()


def test_numbers_and_pictures_can_be_taken_away(planted: City, watched: Watched) -> None:
    page = watched.open(planted.url(link()))
    settle(page)
    page.locator("[data-part=numbers] summary").click()
    rows = list(csv.DictReader(io.StringIO(saved(page, "[data-part=numbers] [data-export-as=csv]").decode())))
    assert {row["count"] for row in rows} == {"11"}
    table = pq.read_table(io.BytesIO(saved(page, "[data-part=numbers] [data-export-as=parquet]")))
    assert len(table) == len(rows)
    page.locator("[data-part=headways] summary").click()
    assert saved(page, "[data-part=headways] [data-export-as=png]").startswith(b"\x89PNG")
    page.locator(".tr-files summary").click()
    visits = saved(page, "[data-file='trips_performed.csv']").decode()
    assert len(visits.splitlines()) == BUSES + 1
    page.locator("[data-choose=agency_url]").fill("https://example.org")
    with zipfile.ZipFile(io.BytesIO(saved(page, "[data-file=gtfs]"))) as feed:
        assert len(feed.read("trips.txt").splitlines()) == BUSES + 1
    assert not watched.errors


def test_a_long_question_shows_that_it_is_worked_on_and_can_be_cancelled(planted: City, watched: Watched) -> None:
    page = watched.open(planted.url(link()))
    settle(page)
    page.route(re.compile(r"/api/v1/transit/dwell"), lambda _: None)  # it stays without an answer
    page.locator("[data-show=dwell]").click()
    page.locator("[data-cancel]").wait_for(timeout=10_000)
    expect(page.locator(".an-work")).to_contain_text("Worked on for")
    page.locator("[data-cancel]").click()
    expect(page.locator("[data-part=dwell]")).to_contain_text("Cancelled")
    expect(page.locator("[data-busy='1']")).to_have_count(0)
    page.unroute_all(behavior="ignoreErrors")
    page.locator("[data-refresh]").click()
    settle(page)
    expect(page.locator("[data-export=dwell]")).to_be_visible()

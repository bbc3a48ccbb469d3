"""The page of analytics, on a real city: known numbers, filters across all pictures, links, files, long questions."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.browser.conftest import City, Watched

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror='window.hacked=1'>"
# Vehicle → (place, district, speed in m/s, route). Two speeds that a person reads as 36 and 18 km/h.
FLEET = {
    "fast-1": ((41.3275, 69.3325), 10.0, "7"),
    "fast-2": ((41.3275, 69.3325), 10.0, "7"),
    "slow-1": ((41.2800, 69.2050), 5.0, HOSTILE),
}
EVERY_S, BACK_S = 10, 1500
BEGUN = time.time() // 60 * 60
ROWS = len(FLEET) * BACK_S // EVERY_S


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """A city whose last 25 minutes are known: what three vehicles said every ten seconds."""
    folder = tmp_path_factory.mktemp("analytics")
    city = City(folder, MARKAZ_HISTORY__URL=str(folder / "history"))
    try:
        for step in range(BACK_S // EVERY_S):
            at = BEGUN - BACK_S + step * EVERY_S
            for vehicle, ((lat, lon), speed, route) in FLEET.items():
                # In the first half the fast ones were slower by half.
                half = 0.5 if vehicle.startswith("fast") and at < BEGUN - BACK_S / 2 else 1.0
                told = {"ts": at, "lat": lat, "lon": lon, "speed_mps": speed * half, "route": route}
                city.publish(f"vehicle/{vehicle}/position", told)
        deadline = time.monotonic() + 90
        while known(city) < ROWS:
            assert time.monotonic() < deadline, "history does not know what was published"
            time.sleep(0.5)
        yield city
    finally:
        city.stop()


def known(city: City) -> int:
    """How many of the rows history has; 0 while its first process still starts."""
    try:
        return int(city.get(f"/api/v1/history/query?{asked(shape='origin')}")["data"][0]["rows"])
    except OSError:
        return 0


def rfc3339(at_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))


def asked(from_s: float = BEGUN - BACK_S, to_s: float = BEGUN, **more: str) -> str:
    return urlencode({"feed": "position", "from": rfc3339(from_s), "to": rfc3339(to_s), **more})


def link(lang: str = "en", from_s: float = BEGUN - BACK_S, to_s: float = BEGUN, **more: str) -> str:
    view = {"lang": lang, "measure": "speed_mean", "from": rfc3339(from_s), "to": rfc3339(to_s), **more}
    return "/analytics?" + urlencode(view)


def settle(page: Any) -> None:
    """Wait until every picture has its answer, and is drawn."""
    page.locator("[data-part=total]").wait_for(timeout=20_000)
    page.wait_for_timeout(60)
    # The page is drawn for the link that it has by now.
    page.wait_for_function("document.querySelector('[data-part=total]')?.dataset.link === location.search")
    page.wait_for_function("!document.querySelector('[data-busy=\"1\"]')", timeout=60_000)
    page.wait_for_timeout(100)


def show(city: City, watched: Watched, path: str) -> Any:
    page = watched.open(city.url(path))
    settle(page)
    return page


def parameters(page: Any) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def values(page: Any) -> dict[str, float]:
    """What the map shows by area, in m/s."""
    found: dict[str, float] = page.evaluate(
        """Object.fromEntries([...document.querySelectorAll('.an-map [data-value]')].map(
             path => [path.dataset.code, Number(path.dataset.value)]))"""
    )
    return found


def text(page: Any, selector: str) -> str:
    """What stands there, with plain spaces."""
    return str(page.locator(selector).inner_text()).replace("\u00a0", " ")


def fast_district(page: Any) -> str:
    return max(values(page).items(), key=lambda one: one[1])[0]


def click_area(page: Any, code: str, **modifiers: bool) -> None:
    page.evaluate(
        """([code, more]) => document.querySelector(`.an-map [data-code="${code}"]`)
             .dispatchEvent(new MouseEvent('click', {bubbles: true, ...more}))""",
        [code, modifiers],
    )
    settle(page)


def test_map_sentence_list_and_origin_say_the_planted_numbers(planted: City, watched: Watched) -> None:
    page = show(planted, watched, link())
    assert sorted(values(page).values()) == pytest.approx([5.0, 7.5])
    # (2 × 7.5 + 5) ÷ 3 m/s = 24 km/h
    assert "Mean speed 24 km/h" in text(page, "[data-part=total]")
    rows = page.locator("[data-part=top] .an-row")
    assert [row.split("\n")[-1] for row in rows.all_inner_texts()] == ["27", "18"]
    origin = text(page, ".an-origin")
    assert f"{ROWS} rows" in origin
    assert "3 objects" in origin
    hatched = page.locator(".an-map path[data-code][fill='url(#an-hatch)']").count()
    assert hatched == len(planted.get("/api/v1/areas?kind=district")["features"]) - 2
    assert watched.errors == []


def test_a_district_opens_its_mahallas_filters_the_rest_and_the_browser_goes_back(
    planted: City, watched: Watched
) -> None:
    page = show(planted, watched, link())
    page.evaluate("window.stays = true")
    code = fast_district(page)
    click_area(page, code)
    assert parameters(page)["district"] == [code]
    assert page.locator("[data-level=mahalla]").get_attribute("aria-pressed") == "true"
    assert "27 km/h" in text(page, "[data-part=total]")
    assert page.locator("[data-part=top] .an-row").count() == 1
    (mahalla,) = values(page)
    click_area(page, mahalla)
    assert parameters(page)["mahalla"] == [mahalla]
    assert page.locator("[data-chip]").count() == 2
    page.go_back()
    settle(page)
    assert "mahalla" not in parameters(page)
    page.locator("[data-chip=district] button").click()
    settle(page)
    assert len(values(page)) == 2
    page.go_back()
    settle(page)
    assert parameters(page)["district"] == [code]
    assert "27 km/h" in text(page, "[data-part=total]")
    # Nothing was loaded anew: the page itself went through its views.
    assert page.evaluate("window.stays") is True
    assert watched.errors == []


def test_a_link_shows_the_same_again(planted: City, watched: Watched) -> None:
    page = show(planted, watched, link(route="7", by="vehicle", classes="natural"))
    first = (page.url, values(page), page.locator("[data-part=top]").inner_text(), page.locator("h1").inner_text())
    page.reload()
    settle(page)
    assert (page.url, values(page), page.locator("[data-part=top]").inner_text(), page.locator("h1").inner_text()) == (
        first
    )
    assert page.locator("[data-choose=classes]").input_value() == "natural"
    # Another language is the same view.
    page.locator(".languages a", has_text="UZ").click()
    page.wait_for_url(re.compile("lang=uz"))
    settle(page)
    assert {**parameters(page), "lang": ["en"]} == parse_qs(urlsplit(first[0]).query)


def test_a_time_that_is_dragged_over_filters_the_map_and_leads_to_the_replay(planted: City, watched: Watched) -> None:
    page = show(planted, watched, link())
    page.wait_for_function("document.querySelector('[data-export=series]')?.dataset.listening")
    whole = page.evaluate("document.querySelector('[data-export=series]').data[0].x.length")
    box = page.locator("[data-export=series]").bounding_box()
    ends = page.evaluate(
        """() => { const axis = document.querySelector('[data-export=series]')._fullLayout.xaxis;
                   return [axis._offset + axis._length * 0.55, axis._offset + axis._length * 0.95]; }"""
    )
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + ends[0], y)
    page.mouse.down()
    page.mouse.move(box["x"] + (ends[0] + ends[1]) / 2, y, steps=4)
    page.mouse.move(box["x"] + ends[1], y, steps=4)
    page.mouse.up()
    settle(page)
    assert sorted(values(page).values()) == pytest.approx([5.0, 10.0])
    assert page.evaluate("document.querySelector('[data-export=series]').data[0].x.length") == whole
    given = parameters(page)
    assert given["part_from"][0] > rfc3339(BEGUN - BACK_S / 2)
    replay = page.locator("[data-replay]").get_attribute("href")
    assert replay is not None
    assert parse_qs(urlsplit(replay).query)["at"] == given["part_from"]
    page.locator("[data-chip=part] button").click()
    settle(page)
    assert sorted(values(page).values()) == pytest.approx([5.0, 7.5])


def drag(page: Any, figure: str, ends: str) -> None:
    """Drag a box over a figure: `ends` makes [x0, y0, x1, y1] of its `x` and `y` axes, in pixels of the plot."""
    page.wait_for_function(f"document.querySelector('[data-export={figure}]')?.dataset.listening")
    box = page.locator(f"[data-export={figure}]").bounding_box()
    x0, y0, x1, y1 = page.evaluate(
        f"""() => {{ const layout = document.querySelector('[data-export={figure}]')._fullLayout;
                     const x = layout.xaxis, y = layout.yaxis, ends = {ends};
                     return [x._offset + ends[0], y._offset + ends[1], x._offset + ends[2], y._offset + ends[3]]; }}"""
    )
    page.mouse.move(box["x"] + x0, box["y"] + y0)
    page.mouse.down()
    page.mouse.move(box["x"] + x1, box["y"] + y1, steps=4)
    page.mouse.up()
    settle(page)


def test_values_that_are_dragged_over_filter_everything_but_their_own_picture(planted: City, watched: Watched) -> None:
    page = show(planted, watched, link())
    bars = "document.querySelector('[data-export=distribution]').data[0].y.join()"
    page.wait_for_function("document.querySelector('[data-export=distribution]')?.dataset.listening")
    before = page.evaluate(bars)
    # The upper half: only the fast ones, after they became faster.
    drag(page, "distribution", "[x._length * 0.6, 20, x._length * 0.99, 40]")
    given = parameters(page)
    assert 5.0 < float(given["value_min"][0]) < 10.0
    assert "value_max" not in given
    assert list(values(page).values()) == pytest.approx([10.0])
    assert page.evaluate(bars) == before
    assert "≥" in text(page, "[data-chip=value]")
    assert "km/h" in text(page, "[data-chip=value]")
    page.reload()
    settle(page)
    assert list(values(page).values()) == pytest.approx([10.0])
    page.locator("[data-chip=value] button").click()
    settle(page)
    assert sorted(values(page).values()) == pytest.approx([5.0, 7.5])
    assert watched.errors == []


def test_hours_of_the_week_are_chosen_by_dragging_and_taken_back(planted: City, watched: Watched) -> None:
    page = show(planted, watched, link())
    all_cells = "[1, 1, x._length - 1, y._length - 1]"
    cell = "[x.c2p({0}), y.c2p({1}), x.c2p({2}) + 2, y.c2p({1}) + 2]"
    hour, weekday = page.evaluate(
        """ms => { const now = new Date(markaz.analytics.clock.wall(ms, markaz.settings().timezone) + 'Z');
                   return [now.getUTCHours(), (now.getUTCDay() + 6) % 7]; }""",
        (BEGUN - 1) * 1000,
    )
    drag(page, "heat", cell.format(hour, weekday, hour))
    given = parameters(page)
    assert (given["hour"], given["weekday"]) == ([str(hour)], [str(weekday + 1)])
    assert page.locator("[data-chip=hour]").count() == page.locator("[data-chip=weekday]").count() == 1
    assert len(values(page)) == 2
    other = (hour + 12) % 24
    drag(page, "heat", cell.format(other, weekday, other))
    assert values(page) == {}
    drag(page, "heat", all_cells)
    assert not {"hour", "weekday"} & parameters(page).keys()
    assert sorted(values(page).values()) == pytest.approx([5.0, 7.5])
    assert watched.errors == []


def test_two_periods_show_both_lines_a_signed_map_and_what_changed(planted: City, watched: Watched) -> None:
    page = show(planted, watched, link(from_s=BEGUN - BACK_S / 2))
    page.locator("[data-choose=compare]").select_option("previous")
    settle(page)
    assert parameters(page)["compare_from"] == [rfc3339(BEGUN - BACK_S)]
    # From (2 × 5 + 5) ÷ 3 to (2 × 10 + 5) ÷ 3: two thirds more.
    assert "67 % more" in text(page, "[data-part=total]")
    assert page.evaluate("document.querySelector('[data-export=series]').data.length") == 2
    legend = page.locator(".an-legend").inner_text()
    assert "+" in legend
    page.locator("[data-show=changes]").click()
    settle(page)
    district = fast_district(page)
    row = page.locator(f"[data-part=changes_areas] [data-key='{district}']").inner_text()
    assert [cell.strip() for cell in row.replace("\u00a0", " ").split("\t")][1:] == ["36", "18", "+18", "+100 %"]


def test_districts_stand_side_by_side_on_one_scale(planted: City, watched: Watched) -> None:
    page = show(planted, watched, link(show="districts"))
    panels = page.locator("[data-district]")
    assert panels.count() == len(planted.get("/api/v1/areas?kind=district")["features"])
    scales = page.evaluate(
        """[...new Set([...document.querySelectorAll('[data-district]')].map(
             panel => [...panel.querySelectorAll('g > g text')].map(text => text.textContent).join()))]"""
    )
    assert len(scales) == 1
    panel = page.locator(f"[data-district='{fast_district(page)}']")
    panel.focus()
    page.keyboard.press("Enter")
    settle(page)
    assert parameters(page)["district"] == [panel.get_attribute("data-district")]


def test_rows_come_from_the_server_page_by_page_and_are_filtered_there(planted: City, watched: Watched) -> None:
    page = show(planted, watched, link(show="table"))
    page.locator(".ag-row", has_text="fast-1").first.wait_for(timeout=20_000)
    pages = [url for url in watched.requests if "/history/rows" in url]
    assert [parse_qs(urlsplit(url).query)["limit"] for url in pages] == [["200"]]
    for _ in range(40):
        page.evaluate("document.querySelector('.ag-body-viewport').scrollTop += 2000")
        page.wait_for_timeout(100)
        if any("cursor=" in url for url in watched.requests):
            break
    assert any("cursor=" in url for url in watched.requests)
    last = page.locator(f".ag-row[row-index='{ROWS - 1}']", has_text="slow-1")
    for _ in range(60):
        page.evaluate("document.querySelector('.ag-body-viewport').scrollTop = 1e9")
        page.wait_for_timeout(250)
        if last.count():
            break
    assert last.count() == 1
    # Sorted by the server: the fastest first, whatever page they were on.
    page.locator(".ag-header-cell[col-id=speed_mps] .ag-header-cell-label").click()
    page.locator(".ag-header-cell[col-id=speed_mps] .ag-header-cell-label").click()
    page.locator(".ag-row[row-index='0']", has_text="fast").wait_for(timeout=15_000)
    assert any("order=-speed_mps" in url for url in watched.requests)
    page.locator(".ag-floating-filter[aria-colindex='2'] input, .ag-header-cell[col-id=vehicle_id] input").first.fill(
        "slow-1"
    )
    page.locator(".ag-row", has_text="fast").first.wait_for(state="detached", timeout=15_000)
    assert any("vehicle=slow-1" in url for url in watched.requests)
    page.locator(".ag-row", has_text="slow-1").first.wait_for(timeout=10_000)
    assert page.evaluate("window.hacked") is None
    assert watched.errors == []


def test_pictures_are_saved_with_title_period_and_origin_and_numbers_as_files(
    planted: City, watched: Watched, tmp_path: Path
) -> None:
    page = show(planted, watched, link())

    def saved(part: str, form: str) -> bytes:
        page.locator(f"[data-part={part}] .an-exports summary").click()
        with page.expect_download() as download:
            page.locator(f"[data-part={part}] [data-export-as={form}]").click()
        page.locator(f"[data-part={part}] .an-exports summary").click()
        download.value.save_as(tmp_path / f"{part}.{form}")
        return (tmp_path / f"{part}.{form}").read_bytes()

    for part in ("areas", "series", "heat", "distribution"):
        drawing = saved(part, "svg").decode()
        assert "Mean speed, km/h — Tashkent" in drawing
        assert "(Asia/Tashkent)" in drawing
        assert "as of" in drawing
        assert "Markaz, Tashkent" in drawing
    assert saved("areas", "png").startswith(b"\x89PNG")
    assert len(saved("areas", "csv").splitlines()) == 3
    features = json.loads(saved("areas", "geojson"))["features"]
    assert sorted(one["properties"]["value"] for one in features) == pytest.approx([5.0, 7.5])
    assert saved("areas", "parquet").startswith(b"PAR1")


def test_a_long_question_shows_how_far_it_is_and_can_be_cancelled(planted: City, watched: Watched) -> None:
    page = watched.page
    cancelled: list[str] = []

    def job(route: Any) -> None:
        if route.request.method == "DELETE":
            cancelled.append(route.request.url)
        if route.request.url.endswith("/answer"):
            return  # it never comes
        route.fulfill(json={"id": "long", "state": "running", "progress": 0.4, "query": "", "format": "json"})

    page.route("**/api/v1/history/jobs**", job)
    page.route("**/api/v1/history/jobs/**", job)
    watched.open(planted.url(link()))
    page.wait_for_function(
        "document.querySelector('[data-part=areas] [role=progressbar]')?.getAttribute('aria-valuenow') === '40'",
        timeout=10_000,
    )
    page.locator("[data-cancel]").click()
    page.locator("[data-part=areas] .an-away", has_text="Cancelled").wait_for(timeout=5_000)
    assert page.locator("[data-busy='1']").count() == 0
    assert cancelled


REFUSALS = [
    ({"status": 422, "detail": "to: at most 1098 days at once"}, "This cannot be asked so."),
    ({"status": 503, "detail": "the archive cannot be read"}, "History cannot be read."),
    ({"status": 422, "detail": "it does not fit the memory", "kind": "too_much"}, "That is too much for one question"),
]


def test_what_cannot_be_answered_is_said_in_words_with_the_limit(planted: City, watched: Watched) -> None:
    page = watched.page
    problem: dict[str, Any] = {}
    page.route("**/api/v1/history/jobs**", lambda route: route.fulfill(status=problem["status"], json=problem))
    problem.update(REFUSALS[0][0])
    watched.open(planted.url(link()))
    for answer, words in REFUSALS:
        problem.update(answer)
        page.locator("[data-refresh]").click()
        told = page.locator("[data-part=areas] .an-away", has_text=str(answer["detail"]))
        told.wait_for(timeout=10_000)
        assert words in told.inner_text()


def test_a_question_that_fails_leaves_no_number_of_the_one_before(planted: City, watched: Watched) -> None:
    """The number of another measure must not stand there in the words of this one."""
    page = show(planted, watched, link())
    before = page.locator("[data-part=total]").inner_text()
    assert re.search(r"\d", before)
    refused = {"status": 503, "detail": "the archive cannot be read"}
    page.route("**/api/v1/history/jobs**", lambda route: route.fulfill(status=503, json=refused))
    page.locator("select[data-choose=measure]").select_option("vehicles")
    page.locator("[data-part=total]", has_text="History cannot be read.").wait_for(timeout=10_000)
    page.locator("[data-part=areas] .an-away").wait_for(timeout=10_000)
    assert not values(page)
    assert page.locator("[data-part=areas] .an-exports").count() == 0


def test_the_keyboard_alone_chooses_a_district_and_a_feed_without_places_says_so(
    planted: City, watched: Watched
) -> None:
    page = show(planted, watched, link())
    page.locator(".an-map svg").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    settle(page)
    assert len(parameters(page)["district"]) == 1
    page.locator("[data-choose=feed]").select_option("passengers")
    settle(page)
    assert "district" not in parameters(page)
    assert "bear no place" in page.locator("[data-part=areas]").inner_text()


def test_a_district_without_alarms_has_none_and_one_of_a_silent_feed_is_not_known(
    planted: City, watched: Watched
) -> None:
    page = watched.page
    district = planted.get("/api/v1/areas?kind=district")["features"][0]["id"]
    answer: dict[str, Any] = {"as_of": rfc3339(BEGUN), "next": None, "origin": {"archived_rows": 9, "live_rows": 0}}

    def job(route: Any) -> None:
        query = parse_qs(urlsplit(route.request.url).query)
        if route.request.method == "POST":
            name = f"{query['shape'][0]}-{query.get('by', [''])[0]}"
            route.fulfill(json={"id": name, "state": "done", "progress": 1, "query": "", "format": "json"})
        elif route.request.url.endswith("/answer"):
            of_areas = "areas-district" in route.request.url
            route.fulfill(json=answer | {"data": [{"district": district, "value": 4, "rows": 4}] if of_areas else []})
        else:
            route.fulfill(json={})

    page.route("**/api/v1/history/jobs**", job)
    page.route("**/api/v1/history/jobs/**", job)
    hatched = page.locator(".an-map path[data-code][fill='url(#an-hatch)']")
    watched.open(planted.url(link(feed="transition", measure="raised")))
    settle(page)
    assert sorted(set(values(page).values())) == [0, 4]
    assert hatched.count() == 0
    watched.open(planted.url(link(feed="sensor", measure="count")))
    settle(page)
    assert list(values(page).values()) == [4]
    assert hatched.count() > 0


def test_one_vehicle_is_followed_on_the_map(planted: City, watched: Watched) -> None:
    page = show(planted, watched, link(by="vehicle"))
    page.locator("[data-part=top] [data-key='slow-1']").click()
    settle(page)
    assert parameters(page)["vehicle"] == ["slow-1"]
    tracks = page.locator("[data-track]")
    assert tracks.count() == 1
    assert tracks.get_attribute("data-track") == str(BACK_S // EVERY_S)


@pytest.mark.parametrize(
    ("language", "shown"), [("uz", ["charts"]), ("ru", ["charts", "districts", "table"])], ids=["uz", "ru"]
)
def test_every_language_has_words_hostile_names_are_text_and_nothing_leaves_the_machine(
    planted: City, watched: Watched, language: str, shown: list[str]
) -> None:
    for one in shown:
        page = show(planted, watched, link(lang=language, show=one))
        assert not re.findall(r"\banalytics\.\w+", page.locator("#analytics").inner_text())
    assert page.locator("[data-part=top] .an-row", has_text="onerror").count() == 1
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src=x]").count() == 0
    hosts = {urlsplit(url).netloc for url in watched.requests if urlsplit(url).scheme in ("http", "https", "ws")}
    assert hosts == {f"127.0.0.1:{planted.http}"}
    assert watched.errors == []


def test_classes_clock_and_links_hold_what_they_promise(planted: City, watched: Watched) -> None:
    page = watched.open(planted.url("/analytics"))
    page.wait_for_function("Boolean(window.markaz?.analytics?.scale?.quantiles)")
    assert page.evaluate("markaz.analytics.scale.quantiles([1,2,3,4,5,6,7,8,9,10], 5)") == [3, 5, 7, 9]
    # Three clumps: natural breaks find them, wherever the counts would cut.
    clumps = [1, 1.1, 1.2, 5, 5.1, 5.2, 5.3, 5.4, 20, 21]
    assert page.evaluate("values => markaz.analytics.scale.natural(values, 3)", clumps) == [5, 20]
    assert page.evaluate("markaz.analytics.scale.natural([2, 2, 2], 5)") == []
    colours = page.evaluate(
        """(scale => [-9, -1, 0, 1, 9].map(scale.of))(markaz.analytics.scale.diverging([-9, -1, 0, 1, 9]))"""
    )
    assert len(set(colours)) == 5
    # Every quarter of an hour over two changes of the clock.
    wrong = page.evaluate(
        """() => { const clock = markaz.analytics.clock, zone = 'Europe/Helsinki', wrong = [];
             for (const day of ['2026-03-28', '2026-10-24']) for (let step = 0; step < 4 * 72; step++) {
               const ms = Date.parse(day + 'T00:00:00Z') + step * 900000;
               const again = clock.unwall(clock.wall(ms, zone), zone);
               // The hour that comes twice is one of the two.
               if (again !== ms && Math.abs(again - ms) !== 3600000) wrong.push(ms);
             }
             return wrong; }"""
    )
    assert wrong == []

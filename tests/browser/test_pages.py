"""What a person at the screen can rely on, seen through a real browser on a real city."""

from __future__ import annotations

import os
import re
import signal
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.browser.conftest import City, Watched, now

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror='window.hacked=1'>"


def where(page: Any, vehicle: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = page.evaluate("id => window.markaz.whereDrawn(id)", vehicle)
    return found


def wait_drawn(page: Any, vehicle: str) -> dict[str, Any]:
    page.wait_for_function("id => window.markaz.whereDrawn(id) !== null", arg=vehicle, timeout=10_000)
    found = where(page, vehicle)
    assert found is not None
    return found


def test_a_published_position_moves_its_marker_and_paints_it(city: City, watched: Watched) -> None:
    page = watched.open(city.url())
    city.position("mover", 41.30, 69.24, ago_s=15, bearing_deg=90, speed_mps=8, route="11")
    before = wait_drawn(page, "mover")
    city.position("mover", 41.30, 69.2415, bearing_deg=90, speed_mps=8, route="11")
    page.wait_for_function(
        "([id, x]) => window.markaz.whereDrawn(id).x > x + 1", arg=["mover", before["x"]], timeout=10_000
    )
    after = where(page, "mover")
    assert after is not None
    assert abs(after["y"] - before["y"]) < 1
    pixel = page.evaluate(
        """([x, y]) => {
          const canvas = document.querySelector('.city-canvas');
          const ratio = window.devicePixelRatio;
          const around = [(x - 4) * ratio, (y - 4) * ratio, 8 * ratio, 8 * ratio];
          const data = canvas.getContext('2d').getImageData(...around).data;
          let painted = 0;
          for (let at = 3; at < data.length; at += 4) if (data[at] > 200) painted++;
          return painted;
        }""",
        [after["x"], after["y"]],
    )
    assert pixel > 8


def test_a_planted_fuel_theft_shows_in_the_alarm_panel(city: City, watched: Watched) -> None:
    page = watched.open(city.url())
    begin = time.time() - 600
    for minute, level in enumerate((180.0, 180.1, 179.9, 180.0, 150.0, 150.1, 149.9, 150.0, 150.0)):
        ago_s = time.time() - begin - minute * 60
        city.publish("vehicle/robbed/position", {"ts": now(ago_s), "lat": 41.3, "lon": 69.25, "speed_mps": 0})
        fuel = {"ts": now(ago_s - 1), "level_l": level, "capacity_l": 250, "ignition": False}
        city.publish("vehicle/robbed/fuel", fuel)
    alarm = page.locator("[data-rule=fuel_drop]", has_text="robbed")
    alarm.wait_for(timeout=15_000)
    lost_l = float(alarm.locator(".alarm-text").inner_text().partition(" l ")[0])
    assert lost_l == pytest.approx(30, abs=0.5)


def test_nothing_leaves_the_machine_and_no_page_has_an_error(city: City, watched: Watched) -> None:
    for path in ("/?lang=uz", "/wall?lang=ru", "/briefing?lang=en", "/feeds?lang=uz", "/?lang=ru", "/api/v1/docs"):
        if path.startswith("/api"):
            watched.page.goto(city.url(path))
        else:
            watched.open(city.url(path)).wait_for_timeout(1500)
    hosts = {urlsplit(url).netloc for url in watched.requests if urlsplit(url).scheme in ("http", "https", "ws", "wss")}
    assert hosts == {f"127.0.0.1:{city.http}"}
    assert watched.errors == []


def test_hostile_names_are_shown_as_text_and_never_run(city: City, watched: Watched) -> None:
    page = watched.open(city.url())
    status = {"ts": now(), "online": False, "name": HOSTILE, "lat": 41.31, "lon": 69.28}
    city.publish("camera/hostile/status", {**status, "stream_url": "javascript:window.hacked=1"})
    event = {"ts": now(), "kind": HOSTILE, "severity": "alert", "zone": HOSTILE}
    city.publish("camera/hostile/event", event)
    city.position("hostile-bus", 41.31, 69.281, route=HOSTILE)
    wait_drawn(page, "hostile-bus")
    page.locator("[data-rule=camera_alert]", has_text="onerror").wait_for(timeout=10_000)
    page.evaluate("window.markaz.select('camera', 'hostile', false)")
    page.locator(".panel h2", has_text="onerror").wait_for(timeout=10_000)
    page.evaluate("window.markaz.select('vehicle', 'hostile-bus', false)")
    page.locator("#panel-head p", has_text="onerror").wait_for(timeout=10_000)
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src=x]").count() == 0


def test_view_zoom_and_selection_survive_updates_and_a_reload(city: City, watched: Watched) -> None:
    page = watched.open(city.url())
    city.position("kept", 41.33, 69.30, ago_s=5, route="8")
    wait_drawn(page, "kept")
    page.evaluate("void window.markaz.leaflet().setView([41.33, 69.30], 14, {animate: false})")
    page.evaluate("window.markaz.select('vehicle', 'kept', false)")
    page.locator("[data-indicator=speed]").click()
    page.locator(".panel h2", has_text="kept").wait_for()
    for step in range(5):
        city.position("kept", 41.33, 69.30 + step * 0.0001, route="8")
        page.wait_for_timeout(300)
    view = "(m => [m.getCenter().lat, m.getCenter().lng, m.getZoom()])(window.markaz.leaflet())"
    kept = page.evaluate(view)
    assert kept == pytest.approx([41.33, 69.30, 14], abs=1e-3)
    page.reload()
    page.wait_for_function("window.markaz && window.markaz.link() === 'live'", timeout=20_000)
    page.locator(".panel h2", has_text="kept").wait_for(timeout=10_000)
    assert page.evaluate(view) == pytest.approx([41.33, 69.30, 14], abs=1e-3)
    assert page.locator("[data-indicator=speed]").get_attribute("aria-checked") == "true"


def test_an_open_panel_follows_its_vehicle(city: City, watched: Watched) -> None:
    page = watched.open(city.url())
    city.position("followed", 41.32, 69.27, ago_s=5, speed_mps=10)
    wait_drawn(page, "followed")
    page.evaluate("window.markaz.select('vehicle', 'followed', false)")
    page.locator("#panel-now", has_text="36 km/h").wait_for(timeout=10_000)
    city.position("followed", 41.3201, 69.27, speed_mps=5)
    page.locator("#panel-now", has_text="18 km/h").wait_for(timeout=10_000)
    page.locator("#panel-close").click()
    page.locator("#panel").wait_for(state="hidden", timeout=5_000)


def test_hovering_tells_each_value_with_its_own_age(city: City, watched: Watched) -> None:
    page = watched.open(city.url())
    city.publish("vehicle/hovered/passengers", {"ts": now(100), "onboard": 30, "capacity": 60})
    city.publish("vehicle/hovered/fuel", {"ts": now(50), "level_l": 50, "capacity_l": 100})
    city.position("hovered", 41.27, 69.33, speed_mps=10, route="31")
    drawn = wait_drawn(page, "hovered")
    box = page.locator(".leaflet-container").bounding_box()
    page.mouse.move(box["x"] + drawn["x"], box["y"] + drawn["y"])
    tip = page.locator(".map-tip", has_text="hovered")
    tip.wait_for(timeout=5_000)
    words = tip.inner_text()
    assert "route 31" in words
    assert "36 km/h" in words
    assert "Load 50 % · 2 min ago" in words
    assert re.search(r"Fuel 50 % · [5-8]\d s ago", words)
    page.mouse.click(box["x"] + drawn["x"], box["y"] + drawn["y"])
    page.locator(".panel h2", has_text="hovered").wait_for(timeout=5_000)


def test_pages_can_be_changed_back_and_forth_without_losing_the_stream(city: City, watched: Watched) -> None:
    page = watched.open(city.url())
    city.position("tourist", 41.31, 69.21, ago_s=20)
    wait_drawn(page, "tourist")
    # Lists and tiles are as long as the city has something to say.
    count = (
        "document.querySelectorAll('body *').length - document.querySelectorAll('.alarms *, .feeds *, .tiles *').length"
    )
    page.wait_for_function("document.querySelectorAll('path.mahalla').length === 402", timeout=20_000)
    nodes = page.evaluate(count)
    for _ in range(3):
        page.locator(".head nav a", has_text="Briefing").click()
        page.locator(".briefing h1").wait_for(timeout=10_000)
        page.locator(".head nav a", has_text="Operations").click()
        page.locator(".operations .tiles").wait_for(timeout=10_000)
    assert page.evaluate("document.querySelectorAll('canvas.city-canvas').length") == 1
    page.wait_for_function("document.querySelectorAll('path.mahalla').length === 402", timeout=20_000)
    assert page.evaluate(count) <= nodes + 10
    before = wait_drawn(page, "tourist")
    city.position("tourist", 41.31, 69.214)
    page.wait_for_function("([x]) => window.markaz.whereDrawn('tourist').x > x + 1", arg=[before["x"]], timeout=10_000)
    assert watched.errors == []


def test_a_feed_opens_to_its_last_rejected_messages(city: City, watched: Watched) -> None:
    page = watched.open(city.url())
    city.publish("vehicle/wrong/passengers", b'{"ts": "yesterday", "onboard": 1}')
    page.locator("[data-feed='vehicle/passengers']").click(timeout=10_000)
    note = page.locator(".panel-notes li", has_text="yesterday").first
    note.wait_for(timeout=10_000)
    assert "unreadable time" in note.inner_text()


def test_a_silent_vehicle_turns_stale_and_says_how_old_it_is(city: City, watched: Watched) -> None:
    page = watched.open(city.url())
    city.publish("vehicle/quiet/position", {"ts": now(28), "lat": 41.29, "lon": 69.22})
    assert wait_drawn(page, "quiet")["stale"] is False
    page.wait_for_function("() => window.markaz.whereDrawn('quiet').stale", timeout=8_000)
    assert page.evaluate("window.markaz.vehicleNow('quiet').age_s") >= 30


def test_a_feed_that_dies_is_marked_within_five_seconds_and_recovers(city: City, watched: Watched) -> None:
    page = watched.open(city.url())
    feed = page.locator("[data-feed='vehicle/position']")

    def speak(seconds: float) -> None:
        until = time.time() + seconds
        while time.time() < until:
            city.position("speaker", 41.3, 69.25)
            page.wait_for_timeout(50)

    speak(12)
    assert "late" not in (feed.get_attribute("class") or "")
    page.wait_for_function(
        "() => document.querySelector(\"[data-feed='vehicle/position']\").classList.contains('late')", timeout=6_000
    )
    speak(2)
    assert "late" not in (feed.get_attribute("class") or "")


def test_rejects_show_in_the_feed_strip_with_their_reason(city: City, watched: Watched) -> None:
    page = watched.open(city.url())
    city.publish("vehicle/broken/fuel", b"\xff\xfe not json")
    strip = page.locator("[data-feed='vehicle/fuel']", has_text="rejected")
    strip.wait_for(timeout=10_000)
    assert "not UTF-8" in (strip.get_attribute("title") or "")


def test_killing_the_store_greys_the_page_within_five_seconds_and_it_recovers(city: City, watched: Watched) -> None:
    page = watched.open(city.url())
    city.position("survivor", 41.28, 69.26, ago_s=15)
    wait_drawn(page, "survivor")
    # Stopped, it keeps its port and answers nobody: the hardest case to notice.
    store = city.store_pid()
    os.kill(store, signal.SIGSTOP)
    try:
        page.wait_for_function("() => window.markaz.link() === 'stale'", timeout=5_000)
        assert "has not answered since" in page.locator(".banner").inner_text()
        assert "grayscale" in page.locator(".tiles").evaluate("e => getComputedStyle(e).filter")
    finally:
        os.kill(store, signal.SIGCONT)
    page.wait_for_function("() => window.markaz.link() === 'live'", timeout=20_000)
    os.kill(city.store_pid(), signal.SIGKILL)
    page.wait_for_function("() => window.markaz.link() === 'stale'", timeout=5_000)
    page.wait_for_function("() => window.markaz.link() === 'live'", timeout=30_000)
    assert page.locator(".banner").count() == 0
    before = wait_drawn(page, "survivor")
    city.position("survivor", 41.28, 69.262)
    page.wait_for_function("([x]) => window.markaz.whereDrawn('survivor').x > x + 1", arg=[before["x"]], timeout=20_000)


def test_a_server_that_goes_away_is_noticed_within_five_seconds_and_comes_back_by_itself(
    tmp_path_factory: pytest.TempPathFactory, watched: Watched
) -> None:
    own = City(tmp_path_factory.mktemp("restarted"))
    try:
        page = watched.open(own.url())
        own.position("again", 41.30, 69.25)
        wait_drawn(page, "again")
        dashboard = own.dashboard_pid()
        os.kill(dashboard, signal.SIGSTOP)
        page.wait_for_function("() => window.markaz.link() === 'lost'", timeout=5_500)
        assert "No connection" in page.locator(".banner").inner_text()
        os.kill(dashboard, signal.SIGKILL)
        page.wait_for_function("() => window.markaz && window.markaz.link() === 'live'", timeout=60_000)
        wait_drawn(page, "again")
    finally:
        own.stop()

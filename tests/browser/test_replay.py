"""The past on a real city's page: it says that it is the past, plays, and can be sent as a link."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from tests.browser.conftest import City, Watched

pytestmark = pytest.mark.browser


def state(page: Any) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate("() => window.markaz.replay.state()")
    return found


def drawn(page: Any, vehicle: str) -> dict[str, float]:
    found: dict[str, float] = page.evaluate("id => window.markaz.whereDrawn(id)", vehicle)
    return found


def test_what_was_published_is_played_again_at_its_moment(city: City, watched: Watched) -> None:
    begin = time.time() - 120
    for n in range(5):
        city.publish(
            "vehicle/again/position",
            {"ts": begin + 10 * n, "lat": 41.30, "lon": 69.20 + 0.004 * n, "speed_mps": 9, "bearing_deg": 90},
        )
    at = datetime.fromtimestamp(begin + 1, UTC).isoformat().replace("+00:00", "Z")
    page = watched.open(city.url(f"/replay?lang=en&at={quote(at)}&speed=5"))
    page.wait_for_function("() => window.markaz.whereDrawn('again') !== null", timeout=20_000)

    page.locator(".replay-past").wait_for(timeout=5_000)
    banner = page.locator(".replay-banner")
    assert "the past" in banner.inner_text().lower()
    assert str(datetime.fromtimestamp(begin, UTC).year) in banner.inner_text()
    box = banner.bounding_box()
    assert box is not None
    assert box["width"] > 1500, "it cannot be missed"

    # It stands until it is played: then the vehicle moves, evenly between the two positions around it.
    before = drawn(page, "again")
    page.wait_for_timeout(400)
    assert drawn(page, "again") == before
    page.keyboard.press(" ")
    page.wait_for_function("x => window.markaz.whereDrawn('again').x > x + 5", arg=before["x"], timeout=10_000)
    page.keyboard.press(" ")
    assert state(page)["playing"] is False
    # Where it has to be at this very moment, by the two ends of the whole way.
    page.evaluate("ms => window.markaz.replay.seek(ms)", round(begin * 1000) + 5_000)
    page.wait_for_timeout(200)
    five = drawn(page, "again")["x"]
    page.evaluate("ms => window.markaz.replay.seek(ms)", round(begin * 1000) + 35_000)
    page.wait_for_timeout(200)
    way = page.evaluate(
        """() => { const map = window.markaz.leaflet();
          return map.latLngToContainerPoint([41.3, 69.214]).x - map.latLngToContainerPoint([41.3, 69.202]).x; }"""
    )
    assert drawn(page, "again")["x"] - five == pytest.approx(way, abs=2)
    # Long after its last word it is grey, and it does not move on.
    page.evaluate("ms => window.markaz.replay.seek(ms)", round(begin * 1000) + 80_000)
    page.wait_for_function("() => window.markaz.whereDrawn('again')?.stale", timeout=10_000)

    # Steps and jumps by the keyboard, and the address that shows the same to somebody else.
    moment = state(page)["at"]
    page.keyboard.press(".")
    assert 0 < state(page)["at"] - moment <= 2_000
    page.keyboard.press("ArrowLeft")
    assert state(page)["at"] < moment - 55_000
    page.wait_for_function("() => /at=.*speed=5.*view=/.test(window.location.search)", timeout=5_000)
    assert re.search(r"at=20\d\d-", page.url)

    # A picture of it, with the moment in it.
    size = page.evaluate("() => window.markaz.replayPicture().then(c => [c.width, c.toDataURL('image/png').length])")
    assert size[0] > 800
    assert size[1] > 10_000

    # Back on the live page the present is drawn again.
    page.locator(".head nav a").first.click()
    page.wait_for_function("() => window.markaz.vehicleNow('again')?.age_s > 60", timeout=10_000)
    assert not watched.errors, watched.errors


def test_a_moment_before_any_archive_is_the_first_that_there_can_be(city: City, watched: Watched) -> None:
    """A year that is typed half-way stays in the address."""
    page = watched.open(city.url("/replay?lang=en&at=0202-05-04T08:15:00Z"))
    page.locator(".replay-banner .replay-day", has_text="1970").wait_for(timeout=10_000)
    field = page.locator(".replay-moment")
    assert field.input_value().startswith("1970-01-0")
    field.fill("")
    field.press("Enter")
    assert field.input_value().startswith("1970-01-0")
    assert not [error for error in watched.errors if "RangeError" in error]


def test_an_alarm_of_then_is_shown_with_its_state_of_then(city: City, watched: Watched) -> None:
    city.publish("camera/cam-9/status", {"ts": time.time(), "online": True, "lat": 41.31, "lon": 69.25})
    city.publish("camera/cam-9/event", {"ts": time.time(), "kind": "fire", "severity": "alert"})
    deadline = time.monotonic() + 15
    while not (found := [a for a in city.get("/api/v1/alarms")["alarms"] if a["source"]["id"] == "cam-9"]):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(1.5)
    unseen_ms = round(time.time() * 1000)
    time.sleep(1.5)
    page = watched.open(city.url())
    page.evaluate(
        """([id, version]) => fetch('/api/v1/alarms/' + encodeURIComponent(id) + '/acknowledge', {method: 'POST',
          headers: {'Content-Type': 'application/json'}, body: JSON.stringify({by: 'Aziza', version})})""",
        [found[0]["id"], found[0]["version"]],
    )
    time.sleep(1.5)
    page.goto(city.url("/replay?lang=en&speed=1"))
    page.wait_for_function("() => window.markaz && window.markaz.frames.replay", timeout=20_000)
    row = page.locator(f"[data-alarm='{found[0]['id']}']")
    page.evaluate("ms => window.markaz.replay.seek(ms)", unseen_ms)
    row.wait_for(timeout=10_000)
    assert row.get_attribute("data-state") == "unacknowledged"
    assert "Aziza" not in row.inner_text()
    page.evaluate("() => window.markaz.replay.seek(Date.now())")
    page.wait_for_function(
        "id => document.querySelector(`[data-alarm='${id}']`)?.dataset.state === 'acknowledged'",
        arg=found[0]["id"],
        timeout=15_000,
    )
    assert "Aziza" in row.inner_text()

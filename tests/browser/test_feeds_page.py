"""The page of feeds, on a real city: what comes in, what was rejected, and why."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from tests.browser.conftest import City, Watched, now

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror='window.hacked=1'>"


def speak(city: City, page: Any, seconds: float) -> None:
    """Positions, twenty a second."""
    until = time.time() + seconds
    while time.time() < until:
        city.position("speaker", 41.3, 69.25)
        page.wait_for_timeout(50)


def test_feeds_and_workers_tell_how_they_do_and_follow_the_push(city: City, watched: Watched) -> None:
    page = watched.open(city.url("/feeds?lang=en"))
    speak(city, page, 12)
    row = page.locator("[data-feed-row='vehicle/position']")
    assert row.get_attribute("data-state") == "live"
    assert "arriving" in row.inner_text()
    assert float(row.locator("td").nth(1).inner_text()) == pytest.approx(18, abs=8)
    worker = page.locator("[data-worker=markaz-tashkent]")
    worker.wait_for(timeout=10_000)
    assert "connected" in worker.inner_text()
    assert "ms" in worker.locator("td").last.inner_text()
    page.wait_for_function(
        "() => document.querySelector(\"[data-feed-row='vehicle/position']\").dataset.state === 'late'", timeout=8_000
    )
    assert "silent" in row.inner_text()


def test_a_rejected_message_comes_by_itself_and_opens_readable_with_its_command(city: City, watched: Watched) -> None:
    page = watched.open(city.url("/feeds?lang=ru"))
    city.publish("vehicle/wrong/passengers", {"ts": "yesterday", "onboard": 1, "stop": HOSTILE})
    row = page.locator(".reject", has_text="vehicle/wrong/passengers")
    row.wait_for(timeout=12_000)
    assert "время не читается" in row.inner_text()
    row.click()
    message = page.locator(".reject-message")
    message.wait_for(timeout=5_000)
    assert '"stop": "<img src=x' in message.locator("pre").inner_text()
    entry_id = row.get_attribute("data-reject")
    assert message.locator("code").inner_text() == f"markaz rejects replay {entry_id}"
    assert page.evaluate("window.hacked") is None
    assert watched.errors == []


def test_a_binary_message_is_shown_in_hexadecimal(city: City, watched: Watched) -> None:
    page = watched.open(city.url("/feeds?lang=en"))
    city.publish("vehicle/binary/fuel", b"\xff\xfe\x00fuel")
    page.locator(".reject", has_text="vehicle/binary/fuel").click(timeout=12_000)
    page.locator(".reject-message pre", has_text="000000  ff fe 00 66 75 65 6c").wait_for(timeout=5_000)


def test_rejects_are_chosen_by_feed_and_reason_and_the_choice_outlives_a_reload(city: City, watched: Watched) -> None:
    page = watched.open(city.url("/feeds?lang=en"))
    city.publish("vehicle/one/fuel", b"{")
    city.publish("sensor/two/reading", b"{")
    city.publish("sensor/three/reading", b"\xff")
    page.locator("[data-feed-row='sensor/reading']", has_text="not JSON").wait_for(timeout=12_000)
    page.locator("[data-filter=feed]").select_option("sensor/reading")
    page.locator(".reject", has_text="sensor/three").wait_for(timeout=5_000)
    assert page.locator(".reject", has_text="vehicle/").count() == 0
    # A reason in the table of feeds leads to its messages.
    page.locator("[data-feed-row='sensor/reading'] button", has_text="not JSON").click()
    page.locator(".reject", has_text="sensor/three").wait_for(state="detached", timeout=5_000)
    assert page.locator(".reject", has_text="sensor/two").count() == 1
    page.reload()
    page.locator(".reject", has_text="sensor/two").wait_for(timeout=20_000)
    assert page.locator("[data-filter=reason]").input_value() == "not_json"
    assert page.locator(".reject", has_text="sensor/three").count() == 0


def test_the_list_stands_still_under_the_pointer_and_says_that_there_are_newer_ones(
    city: City, watched: Watched
) -> None:
    page = watched.open(city.url("/feeds?lang=en"))
    city.publish("vehicle/first/fuel", b"{")
    first = page.locator(".reject", has_text="vehicle/first/fuel")
    first.wait_for(timeout=12_000)
    first.hover()
    place = first.bounding_box()
    city.publish("vehicle/later/fuel", b"{")
    newer = page.locator(".newer:not([disabled])")
    newer.wait_for(timeout=5_000)
    page.wait_for_timeout(6_000)
    assert first.bounding_box() == place
    assert page.locator(".reject", has_text="vehicle/later/fuel").count() == 0
    newer.click()
    page.locator(".reject", has_text="vehicle/later/fuel").wait_for(timeout=5_000)


def test_nothing_is_asked_while_nothing_is_new(city: City, watched: Watched) -> None:
    page = watched.open(city.url("/feeds?lang=en"))
    page.locator(".rejects ol").wait_for(timeout=10_000)
    page.wait_for_timeout(4_000)
    watched.requests.clear()
    page.wait_for_timeout(6_000)
    assert [url for url in watched.requests if "/api/" in url] == []


def test_the_strip_of_feeds_leads_to_the_page_and_back_without_a_new_page(city: City, watched: Watched) -> None:
    page = watched.open(city.url("/?lang=en"))
    page.evaluate("window.stays = true")
    page.locator(".all-feeds").click()
    page.locator(".feeds-page .rejects").wait_for(timeout=10_000)
    page.locator(".head nav a", has_text="Operations").click()
    page.locator(".operations .tiles").wait_for(timeout=10_000)
    assert page.evaluate("window.stays") is True
    assert watched.errors == []


def test_without_the_store_the_page_says_that_it_does_not_know_and_recovers(city: City, watched: Watched) -> None:
    page = watched.open(city.url("/feeds?lang=en"))
    speak(city, page, 2)
    city.publish("vehicle/kept/fuel", b"{")
    kept = page.locator(".reject", has_text="vehicle/kept/fuel")
    kept.wait_for(timeout=12_000)
    store = city.store_pid()
    os.kill(store, signal.SIGSTOP)
    try:
        page.wait_for_function("() => window.markaz.link() === 'stale'", timeout=6_000)
        row = page.locator("[data-feed-row='vehicle/position']")
        assert "not known" in row.inner_text()
        assert "grayscale" in page.locator(".feed-table").evaluate("e => getComputedStyle(e).filter")
        kept.click()
        page.locator(".chosen", has_text="cannot be read").wait_for(timeout=10_000)
    finally:
        os.kill(store, signal.SIGCONT)
    page.wait_for_function("() => window.markaz.link() === 'live'", timeout=20_000)
    page.locator(".reject-message pre").wait_for(timeout=10_000)
    speak(city, page, 2)
    assert row.get_attribute("data-state") == "live"


def test_every_language_has_words_for_the_page_and_no_key_is_shown(city: City, watched: Watched) -> None:
    city.publish("vehicle/words/fuel", {"ts": now(), "level_l": "full"})
    for language in ("uz", "ru", "en"):
        page = watched.open(city.url(f"/feeds?lang={language}"))
        page.locator(".reject", has_text="vehicle/words/fuel").click(timeout=12_000)
        page.locator(".reject-message pre").wait_for(timeout=5_000)
        words = page.locator(".feeds-work").inner_text()
        for key in ("feeds.", "workers.", "rejects.", "reject.", "unit."):
            assert key not in words
    assert watched.errors == []

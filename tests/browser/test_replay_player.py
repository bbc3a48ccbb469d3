"""The player of the past by itself: a clock that the test moves, and answers that it gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from tests.browser.chromium import launch

pytestmark = pytest.mark.browser

ASSETS = Path(__file__).resolve().parents[2] / "assets"
# A page without a city: time passes by `step(ms)`; the server cuts steps longer than `stale`, and answers at once
# unless it is silent.
WORLD = """({clock, now, stale, zone}) => {
  const w = window;
  w.world = {clock: clock, now: now, silent: false, most: 1000, everybody: true, asked: [], frame: null};
  performance.now = () => w.world.clock;
  w.requestAnimationFrame = (f) => { w.world.frame = f; };
  w.markaz = {areaIndex: {}, frames: {}, now: () => w.world.now, showPast: () => {},
              publish: (name, value) => { w.markaz.frames[name] = value; },
              settings: () => ({timezone: zone}), day: () => ""};
  w.markaz_live = {};
  const chunk = (from, every, samples) => {
    let head = JSON.stringify({from_ms: from, every_ms: every, samples: samples, known_ms: w.world.now,
      everybody: w.world.everybody, box: [0, 0, 1, 1], ids: ["a"], routes: ["7"], modes: [null], areas: []});
    while ((head.length + 4) % 4) head += " ";
    const bytes = new ArrayBuffer(4 + head.length + 10 * samples);
    new DataView(bytes).setUint32(0, head.length, true);
    new Uint8Array(bytes, 4, head.length).set(new TextEncoder().encode(head));
    return bytes;
  };
  w.fetch = (url) => {
    w.world.asked.push({url: url, at: w.world.clock});
    if (w.world.silent) return new Promise(() => {});
    const query = new URL("http://x" + url).searchParams;
    if (!url.includes("/chunk")) {
      const told = {known_at: new Date(w.world.now).toISOString(), changes: [],
        alarms: [{id: "A", raised_at: new Date(0).toISOString(), announced: true, active: true}]};
      return Promise.resolve({ok: true, json: () => Promise.resolve(told)});
    }
    const every = Number(query.get("every")) * 1000;
    const fit = Math.min(every, stale);
    const samples = Math.min(w.world.most, Math.round(Number(query.get("seconds")) * 1000 / fit));
    const body = chunk(Date.parse(query.get("at")), fit, samples);
    return Promise.resolve({ok: true, arrayBuffer: () => Promise.resolve(body)});
  };
  w.step = async (times, ms, every) => {
    const channel = new MessageChannel();
    const turn = () => new Promise((done) => { channel.port1.onmessage = done; channel.port2.postMessage(0); });
    for (let n = 0; n < times; n++) {
      w.world.clock += ms;
      w.world.now += ms;
      const frame = w.world.frame;
      w.world.frame = null;
      if (frame) frame(w.world.clock);
      await turn();
      await turn();
      if (every) every(n);
    }
  };
}"""
STEPS = {"1": 1, "2": 1, "5": 1, "10": 2, "30": 5, "60": 10, "120": 20}
BEGIN = 1_700_000_000_000 // 2_400_000 * 2_400_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def blank(browser: Any) -> Iterator[Any]:
    page = browser.new_page()
    yield page
    page.close()


def world(page: Any, *, clock: float = 5000, stale: int = 30_000, zone: str = "Asia/Tashkent") -> Any:
    page.goto("about:blank")
    page.evaluate(WORLD, {"clock": clock, "now": BEGIN + 864_000_000, "stale": stale, "zone": zone})
    for name in ("replay.js", "page_replay_times.js"):
        page.add_script_tag(path=str(ASSETS / name))
    return page


def start(page: Any, at: int, speed: int, *, playing: bool) -> None:
    given = {"at": at, "speed": speed, "playing": playing, "steps": STEPS}
    page.evaluate("given => window.markaz.replay.start(given)", given)


def test_the_first_question_is_asked_at_once(blank: Any) -> None:
    """Even on a page that was opened a moment ago."""
    page = world(blank, clock=100)
    start(page, BEGIN, 1, playing=True)
    page.evaluate("() => step(3, 16)")
    assert page.evaluate("() => world.asked[0].at") < 200


def test_a_held_key_asks_for_where_it_is_let_go_and_little_before(blank: Any) -> None:
    page = world(blank)
    start(page, BEGIN, 1, playing=False)
    page.evaluate("() => step(10, 16)")
    page.evaluate("() => { world.silent = true; world.asked = []; }")
    page.evaluate(
        "() => step(120, 16, (n) => { if (n % 2 === 0) markaz.replay.seek(markaz.replay.state().at + 60000); })"
    )
    assert page.evaluate("() => world.asked.length") <= 3, "what the first press asked for"
    page.evaluate("() => { world.silent = false; return step(20, 16); }")
    asked = page.evaluate("() => world.asked.map((one) => one.url)")
    assert len(asked) <= 6
    assert page.evaluate("() => markaz.replay.state().ready")
    assert page.evaluate("() => markaz.replay.state().at") == BEGIN + 60 * 60_000
    assert all("page=" in url for url in asked)


def test_a_single_jump_is_asked_for_at_once(blank: Any) -> None:
    page = world(blank)
    start(page, BEGIN, 1, playing=False)
    page.evaluate("() => step(30, 16)")
    page.evaluate("() => { world.asked = []; markaz.replay.seek(world.now - 50000000); return step(2, 16); }")
    assert page.evaluate("() => world.asked.length") > 0


@pytest.mark.parametrize("playing", [True, False])
def test_alarms_are_known_after_the_speed_was_raised(blank: Any, playing: bool) -> None:
    """A span of alarms of a lower speed is shorter, and does not stand for the longer one that begins with it."""
    page = world(blank)
    start(page, BEGIN + 100_000, 30, playing=playing)
    page.evaluate("() => step(60, 16)")
    page.evaluate("() => markaz.replay.setSpeed(120)")
    page.evaluate("at => { markaz.replay.seek(at); return step(60, 16); }", BEGIN + 1_500_000)
    assert page.evaluate("() => markaz.frames.replay_alarms.known")


@pytest.mark.parametrize("most", [1000, 11])
def test_the_clock_goes_on_where_the_server_takes_shorter_steps(blank: Any, most: int) -> None:
    """Positions are stale after ten seconds, steps at ×120 were twenty; a chunk may be shorter than asked."""
    page = world(blank, stale=10_000)
    page.evaluate("most => { world.most = most; }", most)
    start(page, BEGIN, 120, playing=True)
    page.evaluate("() => step(1000, 16)")
    went_s = (page.evaluate("() => markaz.replay.state().at") - BEGIN) / 1000
    assert went_s == pytest.approx(16 * 120, rel=0.1)


def test_who_is_missing_yet_is_asked_for_again_while_it_plays_on(blank: Any) -> None:
    page = world(blank)
    page.evaluate("() => { world.everybody = false; }")
    start(page, BEGIN, 1, playing=True)
    page.evaluate("() => step(100, 16)")
    first = page.evaluate("() => world.asked.filter((one) => one.url.includes('chunk')).length")
    page.evaluate("() => { world.everybody = true; return step(100, 16); }")
    again = page.evaluate("() => world.asked.filter((one) => one.url.includes('chunk')).length")
    assert again == 2 * first
    page.evaluate("() => step(200, 16)")
    assert page.evaluate("() => world.asked.filter((one) => one.url.includes('chunk')).length") == again
    assert page.evaluate("() => markaz.replay.state().at") == pytest.approx(BEGIN + 6400, abs=200)


def test_a_jump_into_the_rest_of_a_chunk_that_came_shorter_is_played(blank: Any) -> None:
    page = world(blank)
    page.evaluate("() => { world.most = 7; }")
    start(page, BEGIN, 60, playing=False)
    page.evaluate("at => { markaz.replay.seek(at); return step(60, 16); }", BEGIN + 295_000)
    assert page.evaluate("() => markaz.replay.state().ready")


@pytest.mark.parametrize(
    ("zone", "noon", "hours", "begin"),
    [
        ("Asia/Tashkent", "2026-03-29T12:00:00Z", 24, "2026-03-28T19:00:00.000Z"),
        ("Europe/Helsinki", "2026-03-29T09:00:00Z", 23, "2026-03-28T22:00:00.000Z"),
        ("Europe/Helsinki", "2026-10-25T10:00:00Z", 25, "2026-10-24T21:00:00.000Z"),
        ("America/Santiago", "2026-09-06T15:00:00Z", 23, "2026-09-06T04:00:00.000Z"),  # midnight is skipped
        ("Africa/Cairo", "2026-04-24T09:00:00Z", 23, "2026-04-23T22:00:00.000Z"),  # here too
        ("Australia/Lord_Howe", "2026-10-04T02:00:00Z", 23.5, "2026-10-03T13:30:00.000Z"),
    ],
)
def test_a_day_has_the_hours_that_the_citys_clocks_give_it(
    blank: Any, zone: str, noon: str, hours: float, begin: str
) -> None:
    page = world(blank, zone=zone)
    found = page.evaluate(
        """(noon) => { const times = markaz.replayTimes, at = Date.parse(noon), day = times.dayBegin(at);
          return [new Date(day).toISOString(), (times.dayEnd(at) - day) / 3600000,
                  times.fromLocal(times.localText(at)) === at]; }""",
        noon,
    )
    assert found == [begin, hours, True]

"""Incidents as an operator works with them: a thousand alarms of one cause, on a real city in a real browser."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import City, Watched, now

pytestmark = pytest.mark.browser
ALARMS = 1000
ROWS_MAX = 400
HOSTILE = "<img src=x onerror='window.hacked=1'>"
LIMIT = "{network: power, quantity: voltage, unit: V, low: 198, deadband: 2, on_delay_s: 0, off_delay_s: 0}"
NAMED = "localStorage.setItem('markaz.operator', 'anvar')"


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """A feeder has tripped: a thousand meters of a district without voltage."""
    started = City(tmp_path_factory.mktemp("city"), MARKAZ_ALARMS__SENSOR_THRESHOLD__LIMITS=f"[{LIMIT}]")
    try:
        begun = time.monotonic()
        for number in range(ALARMS):
            voltage(started, f"meter-{number:04}")
        assert time.monotonic() - begun < 60
        yield started
    finally:
        started.stop()


def voltage(city: City, meter: str, value: float = 180) -> None:
    reading = {"ts": now(), "quantity": "voltage", "value": value, "unit": "V", "network": "power"}
    city.publish(f"sensor/{meter}/reading", {**reading, "lat": 41.2775, "lon": 69.2045})


def opened(city: City, watched: Watched, path: str = "/?lang=en") -> Any:
    watched.page.add_init_script(NAMED)
    return watched.open(city.url(path))


def incident_of(city: City) -> dict[str, Any]:
    """The largest one, when all alarms are in it."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        listed = city.get("/api/v1/incidents")["incidents"]
        if listed and max(one["joined"] for one in listed) >= ALARMS:
            found: dict[str, Any] = max(listed, key=lambda one: one["joined"])
            return found
        time.sleep(0.3)
    raise AssertionError("the alarms did not become one incident")


def test_a_thousand_alarms_are_one_row_that_unfolds_to_the_newest_of_them(city: City, watched: Watched) -> None:
    name = incident_of(city)["id"]
    page = opened(city, watched)
    row = page.locator(f"[data-incident='{name}']")
    row.wait_for(timeout=10_000)
    words = row.inner_text()
    assert "Power network · Chilonzor" in words
    assert "First out: " in words
    assert page.locator(".alarms [data-alarm]").count() < 10
    row.click()
    page.locator(".alarms .alarm-inside[data-alarm]").nth(49).wait_for(timeout=2_000)
    assert page.locator(".alarms .alarm-inside[data-alarm]").count() == 50
    assert page.locator(".alarms li").count() < ROWS_MAX
    assert "more on the incident's page" in page.locator(".alarm-inside.more").inner_text()
    assert row.get_attribute("aria-expanded") == "true"
    row.press("ArrowLeft")
    page.locator(".alarms .alarm-inside").first.wait_for(state="detached", timeout=2_000)
    assert watched.errors == []


def test_what_joins_while_somebody_points_at_the_list_moves_no_row(city: City, watched: Watched) -> None:
    name = incident_of(city)["id"]
    page = opened(city, watched)
    row = page.locator(f"[data-incident='{name}']")
    row.wait_for(timeout=10_000)
    row.hover()
    row.click()
    page.locator(".alarms .alarm-inside[data-alarm]").nth(49).wait_for(timeout=2_000)
    place, third = row.bounding_box(), page.locator(".alarms .alarm-inside").nth(2).get_attribute("data-alarm")
    known = city.get(f"/api/v1/incidents/{name}?timeline=0")["joined"]
    for number in range(5):
        voltage(city, f"late-{number}")
    page.locator(f"[data-incident='{name}']", has_text=f"of {known + 5:,} alarms").wait_for(timeout=10_000)
    page.wait_for_timeout(1_500)
    assert row.bounding_box() == place
    assert page.locator(".alarms .alarm-inside").nth(2).get_attribute("data-alarm") == third


def test_an_operator_works_an_incident_off_on_its_page(city: City, watched: Watched) -> None:
    name = incident_of(city)["id"]
    page = opened(city, watched)
    page.evaluate("window.stays = true")
    page.locator(f"[data-incident='{name}']").click()
    page.locator(".deeds a", has_text="Open its page").click()
    body = page.locator(f".incident-body[data-incident='{name}']")
    body.wait_for(timeout=10_000)
    assert page.evaluate("window.stays") is True  # no new page was loaded
    assert "Network of a district" in page.locator(".incident-why").inner_text()
    page.locator("[data-status=in_progress]").click()
    page.locator(".incident-body[data-status=in_progress]").wait_for(timeout=5_000)
    page.locator(".checklist input").first.click()
    page.locator(".checklist small", has_text="anvar").wait_for(timeout=5_000)
    page.locator("[data-form=comment] input").fill(HOSTILE)
    page.locator("[data-form=comment] button[type=submit]").click()
    page.locator(".timeline-said", has_text="onerror").wait_for(timeout=5_000)
    page.locator("[data-form=promise] input").fill("the crew is there")
    page.locator("[data-form=promise] button[type=submit]").click()
    page.locator(".promises li", has_text="the crew is there").wait_for(timeout=5_000)
    page.locator("[data-form=attach] input").first.fill("https://a.example/report")
    page.locator("[data-form=attach] button[type=submit]").click()
    assert page.locator(".links a").get_attribute("href") == "https://a.example/report"
    deeds = page.locator(".timeline-deed").evaluate_all("all => all.map(one => one.dataset.deed)")
    assert deeds[:5] == ["attach", "promise", "comment", "check", "status"]
    rises = page.locator(".timeline-alarm[data-action=rise]", has_text="sources").first
    rises.wait_for(timeout=5_000)
    # The map shows where it is, and nothing else.
    points = page.evaluate("window.markaz.frames.focus.points.length")
    assert points == 200
    centre = page.evaluate("(c => [c.lat, c.lng])(window.markaz.leaflet().getCenter())")
    assert centre == pytest.approx([41.2775, 69.2045], abs=0.01)
    assert page.evaluate("window.hacked") is None
    assert watched.errors == []


def test_who_saw_an_older_version_is_told_and_sees_the_new_one(city: City, watched: Watched) -> None:
    made = watched.page.request.post(city.url("/api/v1/incidents"), data={"by": "olim", "title": "A pipe"}).json()
    page = opened(city, watched, f"/incidents/{made['id']}?lang=en")
    page.locator(".incident-body").wait_for(timeout=10_000)
    # Both change it in the same moment: the page has not heard of the other one yet.
    page.evaluate(
        """id => fetch(`/api/v1/incidents/${id}/priority`, {
          method: 'POST', headers: {'Content-Type': 'application/json'},
          body: JSON.stringify({version: 1, by: 'olim', text: 'high'})}).then(() =>
          document.querySelector('[data-status=in_progress]').click())""",
        made["id"],
    )
    page.locator(".alarm-said", has_text="changed meanwhile").wait_for(timeout=5_000)
    page.locator(".incident-head.alarm-high").wait_for(timeout=5_000)
    assert page.locator(".incident-body").get_attribute("data-status") == "open"


def test_what_was_typed_stays_until_it_is_written_down(city: City, watched: Watched) -> None:
    made = watched.page.request.post(city.url("/api/v1/incidents"), data={"by": "olim", "title": "A pipe"}).json()
    page = opened(city, watched, f"/incidents/{made['id']}?lang=en")
    comment = page.locator("[data-form=comment] input")
    comment.wait_for(timeout=10_000)
    page.route("**/api/v1/incidents/*/*", lambda route: route.fulfill(status=503, json={"detail": "lost"}))
    comment.fill("the crew has come")
    comment.press("Enter")
    page.locator(".alarm-said", has_text="No answer").wait_for(timeout=5_000)
    assert comment.input_value() == "the crew has come"
    page.locator("[data-do=title]").click()
    title = page.locator("[data-form=title] input")
    title.fill("A water main")
    title.press("Enter")
    page.wait_for_timeout(500)
    assert title.input_value() == "A water main"
    page.unroute("**/api/v1/incidents/*/*")
    title.press("Enter")
    title.wait_for(state="detached", timeout=5_000)
    comment.press("Enter")
    page.locator(".timeline-said", has_text="the crew has come").wait_for(timeout=5_000)
    page.wait_for_function("document.querySelector('[data-form=comment] input').value === ''", timeout=5_000)


def test_a_chosen_alarm_stays_chosen_while_others_come_and_is_not_sent_when_it_is_gone(
    city: City, watched: Watched
) -> None:
    made = watched.page.request.post(city.url("/api/v1/incidents"), data={"by": "olim", "title": "A pipe"}).json()
    page = opened(city, watched, f"/incidents/{made['id']}?lang=en")
    page.locator(".incident-body").wait_for(timeout=10_000)
    page.evaluate("""() => { window.shown = markaz.frames.alarms; window.show = (ids) => markaz.publish('alarms',
      Object.assign({}, window.shown, {alarms: ids.map(id => ({id: 'overload:' + id, rule: 'overload', version: 1,
        priority: 'low', state: 'unacknowledged', source_kind: 'vehicle', source_id: id, values: {}, route: null,
        district: null, mahalla: null, active: true, raised_ms: 1}))})); }""")

    def options(ids: list[str], wanted: str) -> None:
        """The list has these; shown anew where a frame of the server came between."""
        deadline = time.monotonic() + 5
        while wanted not in page.locator("[data-form=join] select").inner_text():
            assert time.monotonic() < deadline
            page.evaluate("ids => window.show(ids)", ids)

    page.evaluate("ids => window.show(ids)", ["bus-1", "bus-2"])
    choice = page.locator("[data-form=join] select")
    choice.wait_for(timeout=5_000)
    options(["bus-1", "bus-2"], "bus-2")
    choice.select_option("overload:bus-2")
    options(["bus-3", "bus-1", "bus-2"], "bus-3")
    assert choice.input_value() == "overload:bus-2"
    page.evaluate("ids => window.show(ids)", ["bus-3"])
    page.wait_for_timeout(300)
    assert choice.input_value() == "overload:bus-2"
    before = len(watched.requests)
    page.locator("[data-form=join] button[type=submit]").click()
    page.locator("[data-form=join] [role=status]", has_text="choose again").wait_for(timeout=5_000)
    assert [one for one in watched.requests[before:] if one.endswith("/join")] == []


def test_all_its_alarms_are_acknowledged_with_one_key(city: City, watched: Watched) -> None:
    name = incident_of(city)["id"]
    page = opened(city, watched)
    row = page.locator(f"[data-incident='{name}']")
    row.wait_for(timeout=10_000)
    row.press("a")
    page.locator(f"[data-incident='{name}'].incident-seen").wait_for(timeout=15_000)
    assert city.get(f"/api/v1/incidents/{name}?timeline=0")["unacknowledged"] == 0
    row.press("c")
    form = page.locator(f"[data-incident='{name}'] form input")
    form.fill("said from the list")
    form.press("Enter")
    page.locator(f"[data-incident='{name}'] form").wait_for(state="detached", timeout=5_000)
    deadline = time.monotonic() + 5
    while not any(one.get("text") == "said from the list" for one in city.get(f"/api/v1/incidents/{name}")["timeline"]):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_list_of_incidents_leads_to_each_and_a_new_one_can_be_made(city: City, watched: Watched) -> None:
    name = incident_of(city)["id"]
    page = opened(city, watched, "/incidents?lang=en")
    page.locator(f"tr[data-incident='{name}']", has_text="Power network").wait_for(timeout=10_000)
    page.locator("button", has_text="New incident").click()
    page.locator("[data-form=create] input").fill("Told by telephone")
    page.locator("[data-form=create] button[type=submit]").click()
    row = page.locator("tr", has_text="Told by telephone")
    row.wait_for(timeout=10_000)
    row.locator("a").click()
    page.locator(".incident-body h1", has_text="Told by telephone").wait_for(timeout=10_000)
    page.locator("[data-status=closed]").click()
    page.locator("[data-form=close] button[type=submit]").click()
    page.locator(".incident-body[data-status=closed]").wait_for(timeout=5_000)


def test_every_language_has_words_for_the_pages_and_no_key_is_shown(city: City, watched: Watched) -> None:
    name = incident_of(city)["id"]
    for language in ("uz", "ru", "en"):
        for path, part in (("/incidents", ".incidents"), (f"/incidents/{name}", ".incident-body"), ("/", ".alarms")):
            page = opened(city, watched, f"{path}?lang={language}")
            page.locator(f"[data-incident='{name}']").first.wait_for(timeout=10_000)
            words = page.locator(part).inner_text()
            for key in ("incident.", "deed.", "action.", "network.", "do.", "timeline.", "rule.", "alarm."):
                assert key not in words, (language, path)
    assert watched.errors == []

"""The page of systemic problems: an analyst sees why, and accepts one by the form."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import expect

from city.config import load_config
from city.store import Store
from tests.browser.conftest import ROOT, City, Watched
from tests.integration.test_systemic import CAMERA, planted, write

pytestmark = pytest.mark.browser


def test_a_problem_is_looked_at_and_accepted(city: City, watched: Watched) -> None:
    store = Store.of(load_config(ROOT / "config.yaml", {"MARKAZ_REDIS__URL": f"redis://127.0.0.1:{city.redis}/0"}))
    write(store, planted(time.time_ns() // 1_000_000))
    page = watched.open(city.url("/systemic?lang=en"))
    page.locator("[data-do=search]").click()
    row = page.locator(f"[data-problem='{CAMERA}']")
    expect(row).to_contain_text("Camera offline", timeout=60_000)
    row.click()
    detail = page.locator(f"[data-detail='{CAMERA}']")
    expect(detail).to_contain_text("56 alarms of this source")
    expect(page.locator(".systemic-map path.own")).to_have_count(1)
    expect(page.locator(".hours-grid .hour")).to_have_count(168)
    page.locator("[data-do=accept]").click()
    form = page.locator("[data-form=accept]")
    form.locator("input[name=by]").fill("Olim")
    form.locator("input[name=owner]").fill("Depot 3")
    form.locator("input[name=due]").fill("2090-01-31")
    form.locator("button[type=submit]").click()
    expect(row).to_contain_text("accepted")
    expect(detail).to_contain_text("owner Depot 3")
    (kept,) = store.followed()
    assert (kept.id, kept.owner, kept.version) == (CAMERA, "Depot 3", 1)
    # On paper there is this problem alone, without what can be pressed.
    page.emulate_media(media="print")
    expect(page.locator(".systemic-list")).to_be_hidden()
    expect(page.locator("[data-do=comment]")).to_be_hidden()
    expect(page.locator(".systemic-map svg")).to_be_visible()
    expect(detail.locator("h1")).to_be_visible()
    assert page.pdf(prefer_css_page_size=True).count(b"/Type /Page\n") == 1
    page.emulate_media(media="screen")
    # The address shows the same problem to whoever is sent it.
    assert CAMERA.replace(":", "%3A") in page.url
    assert not watched.errors
    store.close()

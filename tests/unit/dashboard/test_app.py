"""The application as one thing."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from city.config import load_config
from dashboard.app import build

ROOT = Path(__file__).parents[3]
NOWHERE = {"MARKAZ_REDIS__URL": "redis://127.0.0.1:1/0", "MARKAZ_MQTT__URL": "mqtt://127.0.0.1:1"}


def first_answer(path: str) -> str:
    """What a server that has just started answers."""
    with TestClient(build(load_config(ROOT / "config.yaml", NOWHERE))) as client:
        return client.get(path).text


@pytest.mark.parametrize("path", ["/", "/wall", "/feeds"])
def test_whichever_page_is_asked_for_first_has_its_scripts(path: str) -> None:
    page = first_answer(path)
    for script in ("live", "map", "page_feeds", "page_rejects", "panels"):
        assert f"/assets/{script}.js" in page


def test_the_scripts_come_after_the_one_that_they_build_on() -> None:
    page = first_answer("/")
    at = [page.index(f"/assets/{script}.js") for script in ("live", "map", "page_feeds", "page_rejects", "panels")]
    assert at == sorted(at)

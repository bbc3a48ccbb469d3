"""History over HTTP: any question, in every form, by page, as a job; refusals say which parameter and why."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

sys.path.insert(0, str(Path(__file__).parents[1] / "city" / "history"))

from small_city import FROM_MS, archived, events

from city.config import load_config
from city.rfc3339 import rfc3339
from dashboard import api_history
from dashboard.analyst import Analyst
from dashboard.problems import add_handlers

ROOT = Path(__file__).parents[3]
SPAN = "from=2026-05-04T17:00:00Z&to=2026-05-04T20:00:00Z"

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("history")
    archived(folder / "small")
    (folder / "small" / "small").rename(folder / "tashkent")
    away = {
        "MARKAZ_HISTORY__URL": str(folder),
        "MARKAZ_REDIS__URL": "redis://127.0.0.1:1/0",
        "MARKAZ_HISTORY__QUERY_WORKERS": "1",
    }
    analyst = Analyst(load_config(ROOT / "config.yaml", away))
    server = FastAPI()
    server.state.analyst = analyst
    add_handlers(server)
    api_history.add_routes(server, analyst)
    yield TestClient(server)
    analyst.stop()


def test_a_series_says_what_it_is_and_where_it_comes_from(client: TestClient) -> None:
    body = client.get(f"/api/v1/history/query?{SPAN}&measure=speed_mean&every=1h").json()
    assert [row["at"] for row in body["data"]] == [rfc3339(FROM_MS + hour * 3_600_000) for hour in range(3)]
    assert (body["measure"], body["unit"], body["every_s"]) == ("speed_mean", "m/s", 3600)
    assert body["origin"]["archived_rows"] == len(events()["position"])
    assert "store" in body["origin"]["live_missing"]
    assert client.get(f"/api/v1/history/query?{body['query']}").json()["data"] == body["data"]


def test_areas_by_kind_and_step(client: TestClient) -> None:
    body = client.get(f"/api/v1/history/areas?kind=district&every=15min&{SPAN}").json()
    assert {row["district"] for row in body["data"]} == {"1726262", "1726277", None}
    assert sum(row["value"] for row in body["data"]) == len(events()["position"])
    assert client.get(f"/api/v1/history/areas?{SPAN}").json()["by"] == "mahalla"


def test_a_vehicles_day_in_order(client: TestClient) -> None:
    body = client.get(f"/api/v1/history/vehicles/01-1001?{SPAN}").json()
    times = [row["measured_at"] for row in body["data"]]
    said = [rfc3339(one.measured_ms) for one in events()["position"] if one.vehicle_id == "01-1001"]  # type: ignore[union-attr]
    assert times == sorted(said)
    cut = client.get(f"/api/v1/history/vehicles/01-1001?{SPAN}&limit=3").json()
    assert cut["cut"] is True
    assert [row["measured_at"] for row in cut["data"]] == times[:3]
    counts = client.get(f"/api/v1/history/vehicles/01-1001?{SPAN}&feed=passengers").json()["data"]
    assert {"boarded", "alighted", "onboard"} <= set(counts[0])


@pytest.mark.parametrize("feed", ["position", "passengers", "trip", "transition"])
@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_pages_follow_each_other_without_a_seam(client: TestClient, feed: str, limit: int) -> None:
    if feed != "trip":
        limit = max(limit, 97)  # a question takes some hundredths of a second
    found: list[Any] = []
    query = f"{SPAN}&feed={feed}&limit={limit}"
    cursor = None
    while True:
        params = {"cursor": cursor} if cursor else {}
        body = client.get(f"/api/v1/history/rows?{query}", params=dict(client_params(query)) | params).json()
        found += body["data"]
        assert len(body["data"]) <= limit
        if (cursor := body["next"]) is None:
            break
    whole = client.get(f"/api/v1/history/rows?{SPAN}&feed={feed}&limit=10000").json()["data"]
    assert found == whole
    assert len(whole) == len(events()[feed])


def test_rows_are_sorted_by_the_server(client: TestClient) -> None:
    query = f"{SPAN}&order=-speed_mps&limit=400"
    first = client.get(f"/api/v1/history/rows?{query}").json()
    second = client.get(f"/api/v1/history/rows?{query}", params=dict(client_params(query)) | {"cursor": first["next"]})
    found = [row["speed_mps"] for row in first["data"] + second.json()["data"]]
    said = [one.speed_mps for one in events()["position"]]  # type: ignore[union-attr]
    known = sorted((speed for speed in said if speed is not None), reverse=True)
    assert found == known + [None] * (len(said) - len(known))


def test_a_total_is_one_number(client: TestClient) -> None:
    (row,) = client.get(f"/api/v1/history/query?{SPAN}&shape=total").json()["data"]
    assert row == {"value": len(events()["position"]), "rows": len(events()["position"])}


def client_params(query: str) -> Iterator[tuple[str, str]]:
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        yield name, value


def test_every_form_has_the_same_rows(client: TestClient) -> None:
    path = f"/api/v1/history/areas?{SPAN}&every=1h"
    rows = client.get(path).json()["data"]
    csv = client.get(path, headers={"Accept": "text/csv"})
    assert csv.headers["content-type"].startswith("text/csv")
    assert pa_csv.read_csv(io.BytesIO(csv.content)).num_rows == len(rows)
    parquet = client.get(f"{path}&format=parquet")
    assert pq.read_table(io.BytesIO(parquet.content))["value"].to_pylist() == [row["value"] for row in rows]
    geojson = client.get(path, headers={"Accept": "application/geo+json"}).json()
    assert geojson["type"] == "FeatureCollection"
    assert [one["properties"]["value"] for one in geojson["features"]] == [row["value"] for row in rows]


def test_places_are_points_with_the_longitude_first(client: TestClient) -> None:
    features = client.get(f"/api/v1/history/vehicles/01-1001?{SPAN}&format=geojson").json()["features"]
    assert all(69 < one["geometry"]["coordinates"][0] < 70 for one in features)
    assert all(41 < one["geometry"]["coordinates"][1] < 42 for one in features)


def test_two_periods_are_told_apart(client: TestClient) -> None:
    query = "from=2026-05-04T17:00:00Z&to=2026-05-04T18:00:00Z&compare_from=2026-05-04T18:00:00Z&every=1h"
    data = client.get(f"/api/v1/history/query?{query}").json()["data"]
    assert [(row["period"], row["at"][11:13]) for row in data] == [(0, "17"), (1, "18")]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (f"query?{SPAN}&measure=weight", "measure"),
        (f"query?{SPAN}&format=xml", "format"),
        (f"query?{SPAN}&format=geojson", "format"),
        (f"rows?{SPAN}&cursor=x", "cursor"),
        ("query", "from"),
        (f"areas?{SPAN}&kind=street", "by"),
        (f"query?{SPAN}&colour=red", "colour"),
    ],
)
def test_a_refusal_is_a_problem_that_names_its_parameter(client: TestClient, path: str, says: str) -> None:
    answer = client.get(f"/api/v1/history/{path}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].startswith(f"{says}: ")


def test_a_job_is_begun_looked_at_and_fetched(client: TestClient) -> None:
    begun = client.post(f"/api/v1/history/jobs?{SPAN}&every=30min&format=csv")
    assert begun.status_code == 202
    place = begun.headers["location"]
    end = time.monotonic() + 60
    while client.get(place).json()["state"] not in {"done", "failed"}:
        assert time.monotonic() < end
    assert client.get(place).json()["progress"] == 1
    assert client.get(f"{place}/answer").text.splitlines()[0] == '"at","value","rows"'
    assert client.delete(place).json()["state"] == "done"
    assert client.get(place).json()["kind"] is None
    assert client.get("/api/v1/history/jobs/none").status_code == 404


def test_what_was_answered_at_once_is_no_job_that_is_kept(client: TestClient) -> None:
    analyst = client.app.state.analyst  # type: ignore[attr-defined]
    before = set(analyst._jobs)
    assert client.get(f"/api/v1/history/query?{SPAN}&every=20min").status_code == 200
    assert client.get(f"/api/v1/history/rows?{SPAN}&cursor=x").status_code == 422
    assert set(analyst._jobs) == before


def test_a_job_that_fails_says_how_as_the_answer_would(client: TestClient) -> None:
    place = client.post(f"/api/v1/history/jobs?{SPAN}&shape=rows&cursor=x").headers["location"]
    end = time.monotonic() + 60
    while (job := client.get(place).json())["state"] not in {"done", "failed"}:
        assert time.monotonic() < end
    assert job["kind"] == "refused"
    answer = client.get(f"{place}/answer")
    assert answer.status_code == job["problem"]["status"] == 422
    assert {name: answer.json()[name] for name in job["problem"]} == job["problem"]
    assert job["detail"].startswith("cursor: ")


def test_what_can_be_asked_is_told(client: TestClient) -> None:
    feeds = {one["feed"]: one for one in client.get("/api/v1/history/measures").json()["feeds"]}
    assert {"measure": "speed_mean", "unit": "m/s", "how": "mean"} in feeds["position"]["measures"]
    assert "mahalla" in feeds["position"]["by"]

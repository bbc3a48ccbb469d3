"""What the transport API takes, refuses and gives; the work itself is played."""

from __future__ import annotations

import csv
import io
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from analysis.transit.diagram import RunWay
from analysis.transit.od import OdEstimate, OdPair, OdRefused
from analysis.transit.study import TransitAnswer, TransitQuestion, What
from analysis.transit.travel import Dwell
from city.config import Config
from city.history.origin import Origin
from city.settings import CityProfile
from dashboard import api_transit, problems
from dashboard.transit_desk import (
    Answered,
    CannotBeMade,
    FileAsked,
    NotAnswered,
    NothingSeen,
    TookTooLong,
    TooManyQuestions,
    TransitDesk,
)

CONFIG = Config(cities={"tashkent": CityProfile(names={"en": "T"}, bounds=(69, 41, 70, 42), timezone="Asia/Tashkent")})
DWELL = Dwell(
    route="7", direction=1, place=0, stop_id="S1", stop_name="Chorsu", count=3, stood=2, mean_s=20.5, p50_s=20, p90_s=25
)
OD = OdEstimate(
    route="7", direction=1, runs=12, coverage=0.9, passengers=100, imbalance=0.02, residual=0.0,
    impossible=0, seed_share=0.1, mean_trip_m=2100,
    pairs=(OdPair(from_place=0, to_place=2, from_stop="S1", to_stop="S3", passengers=40, low=33, high=47),),
)  # fmt: skip
ORIGIN = Origin(engine="duckdb", commit=4, files=2, bytes=99, archived_rows=7, live_rows=1, live_missing="", skipped=())
SPAN = "from=2026-05-04T00:00:00Z&to=2026-05-05T00:00:00Z"


class PlayedDesk(TransitDesk):
    """Answers from a function, in place of a process."""

    def __init__(self, reply: Callable[[TransitQuestion], TransitAnswer]) -> None:
        super().__init__(CONFIG)
        self.asked: list[TransitQuestion] = []
        self.reply = reply

    def ask(self, asked: TransitQuestion, unwanted: threading.Event | None = None) -> Answered:
        self.asked.append(asked)
        return Answered(answer=self.reply(asked), origin=ORIGIN, at_ms=1_767_225_600_000, scheduled=True)


def answer_of(*rows: Dwell | OdEstimate | RunWay, **more: object) -> TransitAnswer:
    fields = {"rows": rows, "runs": 5, "passages": 35, "estimated": 1, "against": 0, **more}
    return TransitAnswer(**fields)  # type: ignore[arg-type]


def client(reply: Callable[[TransitQuestion], TransitAnswer]) -> tuple[TestClient, PlayedDesk]:
    server, desk = FastAPI(), PlayedDesk(reply)
    problems.add_handlers(server)
    api_transit.add_routes(server, CONFIG, desk)
    return TestClient(server), desk


def test_figures_come_with_what_they_rest_on() -> None:
    http, desk = client(lambda _: answer_of(DWELL))
    body = http.get(f"/api/v1/transit/dwell?route=7&direction=1&by=stop,hour&{SPAN}").json()
    assert body["rows"] == [
        {
            "route": "7", "direction": 1, "place": 0, "stop_id": "S1", "stop_name": "Chorsu", "hour": None, "count": 3,
            "stood": 2, "mean_s": 20.5, "p50_s": 20.0, "p90_s": 25.0,
        }
    ]  # fmt: skip
    assert (body["runs"], body["passages"], body["estimated"], body["scheduled"]) == (5, 35, 1, True)
    assert (body["from_at"], body["origin"]["files"]) == ("2026-05-04T00:00:00.000Z", 2)
    (asked,) = desk.asked
    assert (asked.what, asked.route, asked.direction, asked.by_stop, asked.by_hour) == (What.DWELL, "7", 1, True, True)
    assert asked.to_ms - asked.from_ms == 86_400_000


def test_csv_has_a_head_and_a_row_each_also_of_an_estimates_pairs() -> None:
    http, _ = client(lambda _: answer_of(OD))
    given = http.get(f"/api/v1/transit/od?route=7&format=csv&{SPAN}")
    assert given.headers["content-type"].startswith("text/csv")
    (row,) = csv.DictReader(io.StringIO(given.text))
    assert (row["from_stop"], row["to_stop"], row["passengers"], row["low"], row["residual"]) == (
        "S1", "S3", "40", "33", "0.0",
    )  # fmt: skip
    assert row["method"] == "iterative proportional fitting"


def test_a_trip_is_a_row_a_stop_in_csv_and_parquet() -> None:
    way = RunWay(
        route="7", direction=1, vehicle_id="b1", trip=None, first_ms=1000, last_ms=61_000, stops=(0, 1),
        arrivals_s=(-5.0, 60.0), departures_s=(0.0, 80.5), late_s=(None, 12.0), estimated=0,
    )  # fmt: skip
    http, _ = client(lambda _: answer_of(way))
    given = http.get(f"/api/v1/transit/trips?route=7&format=csv&{SPAN}")
    rows = list(csv.DictReader(io.StringIO(given.text)))
    names = ("vehicle_id", "stop", "arrival_ms", "departure_ms", "late_s")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("b1", "0", "-4000", "1000", ""), ("b1", "1", "61000", "81500", "12.0"),
    ]  # fmt: skip
    parquet = http.get(f"/api/v1/transit/trips?route=7&format=parquet&{SPAN}")
    assert parquet.headers["content-type"] == "application/vnd.apache.parquet"
    assert pq.read_table(io.BytesIO(parquet.content))["departure_ms"].to_pylist() == [1000, 81_500]


def test_files_are_sent_once_or_refused_with_what_is_missing_or_that_nothing_was_seen(tmp_path: Path) -> None:
    made = tmp_path / "made.zip"
    made.write_bytes(b"zip")

    class Files(PlayedDesk):
        def file(self, asked: FileAsked, unwanted: threading.Event | None = None) -> Path:
            if asked.kind != "gtfs":
                raise NothingSeen("nothing was observed in that time")
            if asked.agency_url is None:
                raise CannotBeMade("agency_url: it is needed")
            return made

    server = FastAPI()
    problems.add_handlers(server)
    api_transit.add_routes(server, CONFIG, Files(lambda _: answer_of()))
    http = TestClient(server)
    assert http.get(f"/api/v1/transit/tides/stop_visits?route=7&{SPAN}").status_code == 404
    assert http.get(f"/api/v1/transit/tides/anything?route=7&{SPAN}").status_code == 422
    refused = http.get(f"/api/v1/transit/gtfs?route=7&{SPAN}")
    assert (refused.status_code, "agency_url" in refused.json()["detail"]) == (422, True)
    assert http.get(f"/api/v1/transit/gtfs?route=7&agency_url=here&{SPAN}").status_code == 422
    given = http.get(f"/api/v1/transit/gtfs?route=7&agency_url=https://example.org&{SPAN}")
    assert (given.content, given.headers["content-type"]) == (b"zip", "application/zip")
    assert 'filename="observed.zip"' in given.headers["content-disposition"]
    assert not made.exists()


def test_a_refused_estimate_says_why() -> None:
    refused = OdRefused(route="7", direction=1, reason="coverage", value=0.1, needed=0.5)
    http, _ = client(lambda _: answer_of(refused=(refused,), coverage=0.1))
    body = http.get(f"/api/v1/transit/od?route=7&{SPAN}").json()
    assert body["rows"] == []
    assert body["refused"] == [{"route": "7", "direction": 1, "reason": "coverage", "value": 0.1, "needed": 0.5}]


@pytest.mark.parametrize(
    ("query", "word"),
    [
        (f"{SPAN}", "route"),
        ("route=7&from=yesterday&to=2026-05-05T00:00:00Z", "from"),
        ("route=7&from=2026-05-04T00:00:00&to=2026-05-05T00:00:00Z", "from"),
        ("route=7&from=2026-05-05T00:00:00Z&to=2026-05-04T00:00:00Z", "to"),
        ("route=7&from=2026-05-04T00:00:00Z&to=2026-06-05T00:00:00Z", "7 days"),
        (f"route=7&direction=3&{SPAN}", "direction"),
        (f"route=7&by=moon&{SPAN}", "by"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(query: str, word: str) -> None:
    http, desk = client(lambda _: answer_of())
    given = http.get(f"/api/v1/transit/headways?{query}")
    assert given.status_code == 422
    assert given.headers["content-type"] == "application/problem+json"
    assert word in given.json()["detail"]
    assert desk.asked == []


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (NotAnswered("the archive cannot be read"), 503, None),
        (TookTooLong("no answer within 120 s"), 503, "timeout"),
        (TooManyQuestions("16 wait"), 429, "busy"),
    ],
)
def test_what_cannot_be_answered_is_a_problem_of_its_kind(error: Exception, status: int, kind: str | None) -> None:
    def reply(_: TransitQuestion) -> TransitAnswer:
        raise error

    http, _ = client(reply)
    given = http.get(f"/api/v1/transit/load?route=7&{SPAN}")
    assert given.status_code == status
    assert str(error) in given.json()["detail"]
    assert given.json().get("kind") == kind


def test_a_desk_takes_so_many_questions_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    config = CONFIG.model_copy(update={"history": CONFIG.history.model_copy(update={"query_waiting_max": 1})})
    desk = TransitDesk(config)
    begun: list[Future[Answered]] = []

    class Pool:
        def __init__(self, *_: object, **__: object) -> None: ...

        def submit(self, *_: object) -> Future[Answered]:
            begun.append(Future())
            return begun[-1]

        def shutdown(self, **_: object) -> None: ...

    monkeypatch.setattr("dashboard.transit_desk.ProcessPoolExecutor", Pool)
    asked = TransitQuestion(what=What.DWELL, route="7", from_ms=0, to_ms=1)
    threads = [threading.Thread(target=desk.ask, args=(asked,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    while len(begun) < 2:
        time.sleep(0.01)
    with pytest.raises(TooManyQuestions, match="1 questions are waiting"):
        desk.ask(asked)
    for future in begun:
        future.set_result(Answered(answer=answer_of(), origin=ORIGIN, at_ms=0, scheduled=False))
    for thread in threads:
        thread.join(5)
    desk.stop()


@pytest.mark.parametrize(
    "span", ["from=0001-01-01T00:00:00Z&to=0001-01-02T00:00:00Z", "from=9999-12-30T00:00:00Z&to=9999-12-31T00:00:00Z"]
)
def test_times_beyond_any_calendar_are_refused(span: str) -> None:
    http, desk = client(lambda _: answer_of())
    found = http.get(f"/api/v1/transit/dwell?route=7&{span}")
    assert found.status_code == 422
    assert desk.asked == []


def test_travel_times_are_asked_between_any_two_stops() -> None:
    http, desk = client(lambda _: answer_of())
    assert http.get(f"/api/v1/transit/travel-times?route=7&from_stop=S1&to_stop=S5&{SPAN}").status_code == 200
    assert (desk.asked[0].from_stop, desk.asked[0].to_stop) == ("S1", "S5")
    assert http.get(f"/api/v1/transit/travel-times?route=7&from_place=2&to_place=9&{SPAN}").status_code == 200
    assert (desk.asked[1].from_place, desk.asked[1].to_place) == (2, 9)
    for wrong, why in (
        ("travel-times?route=7&from_stop=S1", "to_stop: goes together with from_stop"),
        ("travel-times?route=7&to_place=1", "from_place: goes together with to_place"),
        ("travel-times?route=7&from_place=-1&to_place=1", "from_place"),
        ("travel-times?route=7&from_stop=S1&to_stop=S5&from_place=2&to_place=9", "stops or places"),
        ("dwell?route=7&from_stop=S1&to_stop=S5", "from_stop: is for travel-times only"),
    ):
        found = http.get(f"/api/v1/transit/{wrong}&{SPAN}")
        assert found.status_code == 422
        assert why in found.text
    assert len(desk.asked) == 2

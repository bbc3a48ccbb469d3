"""`markaz rejects` on a real store: what is mended goes in, what is not stays, nothing is lost or told twice."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.transit import gtfs_realtime_pb2 as pb
from servers import Valkey

from city.areas import load_areas
from city.config import Config, load_config
from city.events import Facet
from city.messages import Received, RejectReason
from city.store import Store, StoredReject
from ingest.batch import Batch
from ingest.pipeline import Pipeline
from markaz import rejects
from markaz.replay_rejects import AlreadyReplaying, Replay

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.integration
MINUTE_MS = 60_000


class City:
    """A store, and the command on it; `took` takes messages in as the city's own worker."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.store = Store.of(self.config())

    def config(self, **settings: str) -> Config:
        here = {"MARKAZ_REDIS__URL": self.url, "MARKAZ_MQTT__URL": "mqtt://127.0.0.1:1"}
        return load_config(ROOT / "config.yaml", here | settings)

    def took(self, *messages: Received, **settings: str) -> None:
        config = self.config(**settings)
        pipeline = Pipeline(config, load_areas(config.city_dir), Store.of(config))
        pipeline.resume()
        pipeline.run(Batch(list(messages), now_ms()))

    def run(self, *words: str, **settings: str) -> int:
        return rejects.run(self.config(**settings), arguments(*words))

    def kept(self) -> list[StoredReject]:
        return self.store.rejects(limit=1000)

    def vehicles(self) -> dict[str, int]:
        return {event.key: event.received_ms for event in self.store.latest(Facet.POSITION)}

    def balance(self) -> dict[str, tuple[int, int, int, int]]:
        return {
            count.feed: (count.received, count.stored, count.late, sum(count.rejected.values()))
            for count in self.store.counts()
        }


@pytest.fixture
def city(valkey: Valkey) -> Iterator[City]:
    made = City(valkey.url)
    yield made
    made.store.close()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def arguments(*words: str) -> Namespace:
    parser = ArgumentParser()
    rejects.add_arguments(parser)
    return parser.parse_args(words)


def position(vehicle: str, *, lat: float = 41.3, ago_ms: int = 0, measured_before_ms: int = 0) -> Received:
    """A position that came `ago_ms` ago and was measured so long before it came."""
    came = now_ms() - ago_ms
    body: dict[str, Any] = {"ts": (came - measured_before_ms) / 1000, "lat": lat, "lon": 69.25}
    return Received(f"markaz/v1/tashkent/vehicle/{vehicle}/position", json.dumps(body).encode(), came)


NARROW = {"MARKAZ_INGEST__CHECKS__AREA_MARGIN_M": "0"}
WIDE = {"MARKAZ_INGEST__CHECKS__AREA_MARGIN_M": "100000"}


def test_a_message_that_the_rules_of_now_allow_is_stored_and_leaves_the_rejects(
    city: City, capsys: pytest.CaptureFixture[str]
) -> None:
    outside, hopeless = position("out", lat=41.6), Received("markaz/v1/tashkent/vehicle/x/position", b"{", now_ms())
    city.took(outside, hopeless, **NARROW)
    assert {reject.reason for reject in city.kept()} == {"out_of_area", "not_json"}
    assert city.run("replay", "--all", **WIDE) == 0
    assert city.vehicles() == {"out": outside.received_ms}
    (stays,) = city.kept()
    assert (stays.reason, stays.payload) == ("not_json", b"{")
    told = capsys.readouterr().out
    assert "refused" in told
    assert "not_json" in told
    assert told.endswith("1 stored, 1 refused again, 0 not kept whole\n")


def test_stale_and_future_are_judged_as_at_the_time_of_reception(city: City) -> None:
    """A message of two hours ago that was fresh then is not stale by being replayed now."""
    fresh_then = position("fresh", lat=41.6, ago_ms=120 * MINUTE_MS)
    stale_then = position("stale", ago_ms=120 * MINUTE_MS, measured_before_ms=90 * MINUTE_MS)
    city.took(fresh_then, stale_then, **NARROW)
    city.run("replay", "--all", **WIDE)
    assert city.vehicles() == {"fresh": fresh_then.received_ms}
    assert [reject.reason for reject in city.kept()] == ["stale"]


def test_what_is_newer_by_now_stays_newest_and_the_replayed_one_is_late(city: City) -> None:
    city.took(position("bus", lat=41.6, ago_ms=5 * MINUTE_MS), **NARROW)
    newer = position("bus")
    city.took(newer)
    city.run("replay", "--feed", "vehicle/position", **WIDE)
    assert city.vehicles() == {"bus": newer.received_ms}
    assert city.balance()["vehicle/position"] == (3, 1, 1, 1)
    assert city.kept() == []


def test_a_dry_run_tells_what_would_become_of_each_and_changes_nothing(
    city: City, capsys: pytest.CaptureFixture[str]
) -> None:
    city.took(position("out", lat=41.6), position("old", measured_before_ms=90 * MINUTE_MS), **NARROW)
    kept, balance = city.kept(), city.balance()
    assert city.run("replay", "--all", "--dry-run", **WIDE) == 0
    told = capsys.readouterr().out
    assert "passes" in told
    assert "stale" in told
    assert "1 would be stored, 1 refused again" in told
    assert (city.kept(), city.balance(), city.vehicles()) == (kept, balance, {})


def test_a_run_that_was_killed_before_it_deleted_is_repeated_without_doubling(
    city: City, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    city.took(*(position(f"v{n}", lat=41.6) for n in range(5)), **NARROW)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Store, "delete_rejects", killed)
        with pytest.raises(KeyboardInterrupt):
            city.run("replay", "--all", **WIDE)
    stored, balance = city.vehicles(), city.balance()
    assert len(stored) == 5
    assert city.run("replay", "--all", **WIDE) == 0
    assert capsys.readouterr().out.count("duplicate") == 5
    assert (city.vehicles(), city.balance()) == (stored, balance)
    assert len(city.kept()) == 5, "what was not deleted is still there, once"


def test_a_message_whose_end_was_cut_off_is_told_and_stays(city: City, capsys: pytest.CaptureFixture[str]) -> None:
    city.took(Received("markaz/v1/tashkent/vehicle/x/position", b" " * 70_000, now_ms()))
    assert city.run("replay", "--reason", "too_large") == 0
    assert "cannot be replayed" in capsys.readouterr().out
    assert len(city.kept()) == 1


def test_one_message_with_several_rejects_is_stored_once_and_takes_all_of_them_with_it(city: City) -> None:
    message = position("out", lat=41.6)
    city.took(message, message, **NARROW)
    assert len(city.kept()) == 2
    city.run("replay", "--all", **WIDE)
    assert city.kept() == []
    received, stored, late, rejected = city.balance()["vehicle/position"]
    assert (received, stored, late, rejected) == (3, 1, 0, 2)


def traccar(lat: float, fuel_pct: Any) -> Received:
    body = {
        "position": {
            "deviceId": 7, "fixTime": datetime.now(UTC).isoformat(), "valid": True, "latitude": lat, "longitude": 69.25,
            "attributes": {"fuel": 20, "fuelLevel": fuel_pct},
        },
        "device": {"id": 7, "uniqueId": "tr-7"},
    }  # fmt: skip
    return Received("traccar/positions", json.dumps(body).encode(), now_ms())


def test_of_a_message_with_two_things_in_it_the_mended_one_goes_in_and_the_other_stays(city: City) -> None:
    """The place was outside the city, the fuel is impossible: each has its reject, and one of them is mended."""
    city.took(traccar(41.6, -5), **NARROW)
    assert {(reject.feed, reject.reason) for reject in city.kept()} == {
        ("traccar/position", "out_of_area"),
        ("traccar/fuel", "bad_value"),
    }
    city.run("replay", "--all", **WIDE)
    assert [reject.feed for reject in city.kept()] == ["traccar/fuel"]
    assert len(city.vehicles()) == 1
    city.run("replay", "--all", **WIDE)
    assert [reject.feed for reject in city.kept()] == ["traccar/fuel"]
    assert city.balance()["traccar/position"] == (2, 1, 0, 1)


def gtfs_rt(*vehicles: tuple[str, float]) -> Received:
    feed = pb.FeedMessage()
    feed.header.gtfs_realtime_version = "2.0"
    feed.header.incrementality = pb.FeedHeader.DIFFERENTIAL
    feed.header.timestamp = now_ms() // 1000
    for vehicle, lat in vehicles:
        entity = feed.entity.add(id=vehicle)
        entity.vehicle.vehicle.id = vehicle
        entity.vehicle.timestamp = now_ms() // 1000
        entity.vehicle.position.latitude, entity.vehicle.position.longitude = lat, 69.25
    return Received("gtfs-rt/city", feed.SerializeToString(), now_ms())


def test_a_message_that_was_refused_whole_is_taken_apart_and_only_its_bad_parts_stay(city: City) -> None:
    """No format took the topic then; now one does, and one vehicle of three is far away."""
    city.took(gtfs_rt(("a", 41.3), ("b", 41.31), ("far", 10.0)), MARKAZ_INGEST__TOPICS="{hfp: '/hfp/v2/#'}")
    assert [reject.reason for reject in city.kept()] == ["unknown_topic"]
    city.run("replay", "--all")
    assert set(city.vehicles()) == {"a", "b"}
    (far,) = city.kept()
    assert (far.feed, far.reason) == ("gtfs_rt/vehicle", "out_of_area")
    assert city.balance()["gtfs_rt/vehicle"] == (3, 2, 0, 1)


def test_only_what_was_named_is_touched(city: City) -> None:
    city.took(*(position(f"v{n}", lat=41.6) for n in range(3)), **NARROW)
    chosen = city.kept()[1]
    assert city.run("replay", chosen.entry_id, **WIDE) == 0
    assert len(city.vehicles()) == 1
    assert chosen.entry_id not in {reject.entry_id for reject in city.kept()}


def test_more_messages_than_a_batch_all_go_in_in_the_order_of_their_coming(city: City) -> None:
    begin = now_ms() - 250_000
    city.took(*(position("bus", lat=41.6, ago_ms=now_ms() - begin - n * 1000) for n in range(230)), **NARROW)
    city.run("replay", "--all", **WIDE)
    assert city.kept() == []
    received, stored, late, _ = city.balance()["vehicle/position"]
    assert (received, stored, late) == (460, 230, 0)


def test_two_runs_at_once_are_refused_and_the_next_one_may_begin(
    city: City, capsys: pytest.CaptureFixture[str]
) -> None:
    city.took(position("out", lat=41.6), **NARROW)
    first = Replay(city.config(), city.store, "first")
    assert city.run("replay", "--all", **WIDE) == 1
    assert "another replay" in capsys.readouterr().err
    assert city.vehicles() == {}
    first.close()
    assert city.run("replay", "--all", **WIDE) == 0
    assert len(city.vehicles()) == 1


def test_a_run_that_lost_its_name_to_another_writes_nothing_more(city: City) -> None:
    city.took(position("out", lat=41.6), **NARROW)
    first = Replay(city.config(**WIDE), city.store, "first")
    city.store.release("markaz-tashkent-replay", "first")
    second = Replay(city.config(**WIDE), city.store, "second")
    with pytest.raises(AlreadyReplaying):
        first.store(city.kept())
    assert city.vehicles() == {}
    assert len(city.kept()) == 1
    second.close()


def test_rejects_are_listed_by_feed_reason_and_time(city: City, capsys: pytest.CaptureFixture[str]) -> None:
    city.took(position("a", lat=41.9, ago_ms=120 * MINUTE_MS), position("b", lat=41.9))
    city.took(Received("markaz/v1/tashkent/vehicle/c/fuel", b"\x1b[2J", now_ms()))

    def listed(*words: str) -> list[str]:
        assert city.run("list", *words) == 0
        return capsys.readouterr().out.splitlines()

    assert len(listed()) == 3
    assert [" vehicle/fuel " in line for line in listed("--limit", "1")] == [True]
    assert len(listed("--feed", "vehicle/position")) == 2
    assert ["/b/" in line for line in listed("--since", "1h", "--reason", RejectReason.OUT_OF_AREA)] == [True]
    assert listed("--feed", "nobody") == []


def test_a_message_is_shown_readable_and_raw_and_does_nothing_to_the_terminal(
    city: City, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    payload = '{"ts": "soon", "lat": 1.50, "note": "\u202ecafé"}'.encode()
    city.took(Received("markaz/v1/tashkent/vehicle/\x9b31m/position", payload, now_ms()))
    (kept,) = city.kept()
    assert city.run("show", kept.entry_id) == 0
    shown = capfdbinary.readouterr().out
    assert b'"lat": 1.50' in shown
    assert "café".encode() in shown
    assert b"\\u202ecaf" in shown
    assert "\x9b".encode() not in shown
    assert city.run("show", kept.entry_id, "--raw") == 0
    assert capfdbinary.readouterr().out == payload


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["show", "1-1"], 1, "no such message"),
        (["replay", "1-1"], 1, "no such message"),
        (["replay"], 2, "name ids"),
        (["replay", "--all", "--feed", "case"], 2, "name ids"),
    ],
)
def test_a_wrong_wish_ends_with_one_line(
    city: City, words: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert city.run(*words) == code
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("words", [["list"], ["show", "1-1"], ["replay", "--all"]])
def test_a_store_that_is_away_is_told_in_one_line(
    valkey: Valkey, city: City, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    valkey.kill()
    assert city.run(*words) == 1
    assert "the store does not answer" in capsys.readouterr().err

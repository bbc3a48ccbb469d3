"""The past as it is asked for: from archive and store together without a seam, with the alarms of then."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from fastapi.testclient import TestClient
from servers import Valkey, ValkeyCluster, wait_until

from analysis.alarm_states import apply, transition_of
from city.alarm_store import AlarmCommit, Changed
from city.alarms import Act, Action, Alarm, AlarmPriority, AlarmState, Transition
from city.archive.archive import Archive
from city.archive.columns import batch_of
from city.config import Config, load_config
from city.events import Event, Facet, PassengerCount, VehiclePosition
from city.messages import Reading, Received
from city.store import Store, now_ms
from dashboard.app import build
from dashboard.frames import STALE, UNKNOWN
from dashboard.replay import ReplayDesk
from dashboard.replay_frames import GONE, ChunkHead
from dashboard.replay_process import Replay

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
LONG_AGO = 1_760_000_000_000 // 3_600_000 * 3_600_000


@pytest.fixture
def config(valkey: Valkey, tmp_path: Path) -> Config:
    return load_config(
        ROOT / "config.yaml",
        {
            "MARKAZ_REDIS__URL": valkey.url,
            "MARKAZ_MQTT__URL": "mqtt://127.0.0.1:1",
            "MARKAZ_HISTORY__URL": str(tmp_path / "history"),
        },
    )


@pytest.fixture
def store(config: Config) -> Iterator[Store]:
    opened = Store.of(config)
    yield opened
    opened.close()


def position(vehicle: str, at_ms: int, lon: float, **more: Any) -> VehiclePosition:
    return VehiclePosition(vehicle_id=vehicle, measured_ms=at_ms, received_ms=at_ms, lat=41.3, lon=lon, **more)


def archive(config: Config, *events: Event, cursors: dict[str, str] | None = None, late: bool = False) -> None:
    opened = Archive.open(config.history.url, config.city)
    batches = {
        facet.value: [batch_of(facet.value, chosen, late)]
        for facet in Facet
        if (chosen := [event for event in events if event.facet is facet])
    }
    opened.append(batches, cursors or {})


def write(store: Store, number: int, *events: Event) -> None:
    message = Received("topic", b"{}", now_ms())
    store.commit("test", number, [Reading("vehicle/position", e, message) for e in events], (), now_ms=now_ms())


class Chunk:
    """What assets/replay.js does with the bytes."""

    def __init__(self, body: bytes) -> None:
        (length,) = struct.unpack_from("<I", body)
        assert (4 + length) % 4 == 0, "columns of two bytes begin at an even place"
        self.head = msgspec.json.decode(body[4 : 4 + length], type=ChunkHead)
        shape = (self.head.samples, len(self.head.ids))
        size, at = shape[0] * shape[1], 4 + length
        assert len(body) == at + 10 * size
        self.x, self.y, self.age = (
            np.frombuffer(body, "<u2", size, at + 2 * size * n).reshape(shape) for n in range(3)
        )
        self.bearing, self.load, self.speed, self.flags = (
            np.frombuffer(body, "u1", size, at + 6 * size + size * n).reshape(shape) for n in range(4)
        )

    def lon(self, vehicle: str) -> list[float]:
        x0, _, x1, _ = self.head.box
        row = self.head.ids.index(vehicle)
        return [round((x0 + int(x) / 65535 * (x1 - x0)) * 360 - 180, 4) for x in self.x[:, row]]


def test_an_hour_of_last_year_comes_from_the_archive(config: Config) -> None:
    archive(
        config,
        position("a", LONG_AGO + 5_000, 69.20, speed_mps=10.0, bearing_deg=90.0, route="8", district="1726294"),
        position("a", LONG_AGO + 15_000, 69.21, speed_mps=10.0, route="8", district="1726294"),
        PassengerCount(vehicle_id="a", measured_ms=LONG_AGO - 60_000, received_ms=LONG_AGO, onboard=40, capacity=80),
    )
    chunk = Chunk(Replay(config).chunk(LONG_AGO, 5_000, 12))
    assert chunk.head.ids == ("a",)
    assert chunk.head.routes == ("8",)
    assert bool(chunk.flags[0, 0] & GONE)
    assert chunk.lon("a")[1:4] == pytest.approx([69.20, 69.205, 69.21], abs=2e-5)
    assert list(chunk.load[1:3, 0]) == [50, 50]
    assert list(chunk.speed[1:3, 0]) == [36, 36]
    assert [bool(flags & STALE) for flags in chunk.flags[:, 0]] == [False] * 10 + [True, True]
    (areas,) = chunk.head.areas
    assert areas.at_ms == LONG_AGO, "one a minute"


def transition(alarm: str, at_ms: int, version: int, *, over: bool = False) -> Transition:
    return Transition(
        alarm=alarm, version=version, action=Action.CLEAR if over else Action.RISE, before=AlarmState.NORMAL,
        after=AlarmState.NORMAL if over else AlarmState.UNACKNOWLEDGED, at_ms=at_ms, rule="overload",
        priority=AlarmPriority.LOW, source_kind="vehicle", source_id=alarm,
    )  # fmt: skip


def test_alarms_of_before_the_store_was_begun_anew_come_from_the_archive(config: Config, store: Store) -> None:
    seam = LONG_AGO + 7_200_000
    told = [
        transition("a", LONG_AGO, 1),
        transition("a", LONG_AGO, 2, over=True),
        transition("b", LONG_AGO + 60_000, 1),
        transition("c", seam - 60_000, 1),
        transition("c", seam + 60_000, 1),
    ]
    opened = Archive.open(config.history.url, config.city)
    opened.append({"transition": [batch_of("transition", told, False)]}, {})
    # The store forgot b and c; what happened just before its log begins is in both.
    again = [(f"{seam}-0", told[3]), (f"{seam + 60_000}-0", told[4])]
    store.link.together(
        lambda pipe: [
            pipe.xadd(store.keys.alarm_log(), {"transition": msgspec.json.encode(one)}, id=name) for name, one in again
        ]
    )
    replay = Replay(config)

    def standing(at_ms: int) -> list[str]:
        return [one["id"] for one in replay.alarms(at_ms, at_ms).alarms]

    assert standing(LONG_AGO - 1) == []
    assert standing(seam - 60_001) == ["b"], "the newest first: the log is read on from any moment"
    assert standing(LONG_AGO + 59_999) == []
    assert standing(seam - 1) == ["b"], "of both, the store knows when it was written"
    assert standing(seam) == ["c"]
    span = replay.alarms(seam - 120_000, seam + 120_000)
    assert [one["id"] for one in span.alarms] == ["b"]
    assert [(one.at_ms - seam, one.id, one.alarm is None) for one in span.changes] == [
        (0, "b", True),
        (0, "c", False),
        (60_000, "c", False),
    ]


def test_between_archive_and_store_there_is_no_seam(config: Config, store: Store) -> None:
    """Each event is drawn once, whichever of the two has it, while the archive takes over one batch after another."""
    now = now_ms()
    batches = [[position("a", now - 50_000 + 10_000 * n, 69.20 + 0.01 * n)] for n in range(5)]
    replay = Replay(config)
    wanted = [69.20, 69.21, 69.22, 69.23, 69.24]
    for number, events in enumerate(batches):
        write(store, number, *events)
    assert Chunk(replay.chunk(now - 50_000, 10_000, 5)).lon("a") == pytest.approx(wanted, abs=2e-5)
    partition = store.commits.crc("a") % store.keys.partitions
    cursors = dict.fromkeys(range(store.keys.partitions), "0-0")
    entries = [e.entry_id for e in store.read_events(cursors, block_ms=1) if e.partition == partition]
    for number, entry_id in enumerate(entries):
        archive(config, *batches[number], cursors={str(partition): entry_id})
        assert Chunk(replay.chunk(now - 50_000, 10_000, 5)).lon("a") == pytest.approx(wanted, abs=2e-5)
        looks = [replay.hour(at_ms // 3_600_000 * 3_600_000) for at_ms in {now - 50_000, now}]
        hours = {look.from_ms: look for look in looks}.values()
        assert sum(look.rows for look in hours) == 5, "none is missing and none is doubled"
        assert sum(look.archived for look in hours) == number + 1
    assert Chunk(Replay(config).chunk(now - 50_000, 10_000, 5)).lon("a") == pytest.approx(wanted, abs=2e-5)


def test_what_comes_while_it_is_played_is_seen(config: Config, store: Store) -> None:
    now = now_ms()
    replay = Replay(config)
    assert replay.bounds().first_ms is None
    assert Chunk(replay.chunk(now - 10_000, 1_000, 10)).head.ids == ()
    write(store, 1, position("a", now - 9_000, 69.2))
    assert Chunk(replay.chunk(now - 10_000, 1_000, 10)).head.ids == ("a",)
    assert replay.bounds().first_ms == now - 9_000


def test_a_file_that_cannot_be_read_is_named_and_the_rest_is_played(config: Config) -> None:
    archive(config, position("a", LONG_AGO, 69.2))
    archive(config, position("b", LONG_AGO, 69.3))
    broken, _ = Archive.open(config.history.url, config.city).files("position", LONG_AGO, LONG_AGO + 1)
    Path(broken.url).write_bytes(b"PAR1 no more")
    replay = Replay(config)
    assert Chunk(replay.chunk(LONG_AGO, 1_000, 2)).head.ids == ("b",)
    look = replay.hour(LONG_AGO)
    assert (look.rows, look.skipped) == (1, [broken.url])
    assert Path(broken.url).exists()


def test_the_past_draws_a_vehicle_for_as_long_as_the_live_map_does(config: Config) -> None:
    """Who has been silent since the evening before stands there, grey, until the live map would drop it."""
    hour = 3_600_000
    gone_ms = int(config.live.vehicle_gone_after_s * 1000)
    assert gone_ms > 3 * hour
    archive(config, position("depot", LONG_AGO, 69.2, route="8"), position("other", LONG_AGO + 10, 69.3))
    archive(config, position("other", LONG_AGO + 2 * hour, 69.4), position("other", LONG_AGO + gone_ms, 69.5))
    replay = Replay(config)
    chunk = Chunk(replay.chunk(LONG_AGO + 3 * hour, 1_000, 1))
    assert (chunk.head.ids, chunk.head.routes) == (("depot", "other"), ("8", None))
    assert (chunk.lon("depot"), chunk.lon("other")) == ([69.2], [pytest.approx(69.4, abs=2e-5)])
    assert [bool(flags & STALE) and not flags & GONE for flags in chunk.flags[0]] == [True, True]
    assert int(chunk.age[0, 0]) == 3 * 3600
    assert Chunk(replay.chunk(LONG_AGO + gone_ms, 1_000, 1)).head.ids == ("depot", "other")
    assert Chunk(replay.chunk(LONG_AGO + gone_ms + 1, 1_000, 1)).head.ids == ("other",)


def test_where_a_silence_would_hide_between_moments_there_are_more_of_them(config: Config) -> None:
    archive(config, position("a", LONG_AGO, 69.2))
    quick = config.model_copy(update={"live": config.live.model_copy(update={"vehicle_stale_after_s": 10})})
    head = Chunk(Replay(quick).chunk(LONG_AGO, 20_000, 30)).head
    assert (head.every_ms, head.samples) == (10_000, 60), "the same ten minutes"
    head = Chunk(Replay(quick).chunk(LONG_AGO, 30_000, 100)).head
    assert (head.every_ms, head.samples) == (10_000, 120), "a chunk has no more: the page asks for the rest"


def test_what_came_out_of_order_is_counted_and_not_drawn(config: Config) -> None:
    archive(config, position("a", LONG_AGO, 69.2))
    archive(config, position("b", LONG_AGO + 60_000, 69.3), late=True)
    replay = Replay(config)
    assert Chunk(replay.chunk(LONG_AGO, 10_000, 12)).head.ids == ("a",)
    look = replay.hour(LONG_AGO)
    assert (look.rows, look.late, look.vehicles, look.minutes[:3]) == (2, 1, 2, [1, 1, 0])
    assert replay.hours(LONG_AGO, LONG_AGO + 1) == {LONG_AGO: 2}


def deed(store: Store, before: Alarm | None, alarm: Alarm, act: Act) -> Alarm:
    after = apply(alarm, act)
    commit = AlarmCommit(alarms=[Changed(before, after)], transitions=[transition_of(alarm, after, act)])
    assert not store.commit_alarms(commit, keep_s=3600)
    return after


def test_alarms_are_as_operators_saw_them_then(config: Config, store: Store) -> None:
    raised = Alarm(
        id="overspeed:a", rule="overspeed", priority=AlarmPriority.HIGH, source_kind="vehicle", source_id="a",
        district="1726294",
    )  # fmt: skip
    begun = now_ms()
    alarm = deed(store, None, raised, Act(action=Action.RISE, at_ms=begun, values={"speed_kmh": 95.0}))
    time.sleep(0.05)
    risen = now_ms()
    time.sleep(0.05)
    alarm = deed(store, alarm, alarm, Act(action=Action.ACKNOWLEDGE, at_ms=now_ms(), by="Aziza"))
    time.sleep(0.05)
    seen = now_ms()
    time.sleep(0.05)
    deed(store, alarm, alarm, Act(action=Action.CLEAR, at_ms=now_ms()))
    replay = Replay(config)
    assert replay.alarms(begun - 1000, begun - 500).alarms == []
    (then,) = replay.alarms(risen, risen).alarms
    assert (then["state"], then["acknowledged_by"], then["values"]) == ("unacknowledged", "", {"speed_kmh": 95.0})
    assert then["lat"] is not None, "its district stands for it where the vehicle is not drawn"
    span = replay.alarms(begun - 1000, now_ms() + 1000)
    assert span.alarms == []
    assert [change.alarm and change.alarm["state"] for change in span.changes] == [
        "unacknowledged",
        "acknowledged",
        None,
    ]
    (then,) = replay.alarms(seen, seen).alarms
    assert [(one["action"], one.get("by", "")) for one in then["deeds"]] == [("rise", ""), ("acknowledge", "Aziza")]
    assert replay.alarms(now_ms(), now_ms()).alarms == []


def rfc3339(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat().replace("+00:00", "Z")


def test_the_api_answers_from_a_process_of_its_own(config: Config, valkey: Valkey) -> None:
    if isinstance(valkey, ValkeyCluster):
        pytest.skip("the same as with one server")
    archive(config, position("a", LONG_AGO, 69.2), position("a", LONG_AGO + 10_000, 69.3))
    with TestClient(build(config)) as client:
        wait_until(lambda: "markaz_store_up 1.0" in client.get("/metrics").text, what="the store")
        told = client.get("/api/v1/replay").json()
        assert told["first_at"] == rfc3339(LONG_AGO).replace("Z", ".000Z")
        assert {"speed": 60, "every_s": 10} in told["speeds"]
        at = rfc3339(LONG_AGO)
        answer = client.get("/api/v1/replay/chunk", params={"at": at, "seconds": 20, "every": 5})
        assert answer.headers["content-type"] == "application/octet-stream"
        chunk = Chunk(answer.content)
        assert (chunk.head.from_ms, chunk.head.every_ms, chunk.head.samples) == (LONG_AGO, 5_000, 4)
        assert int(chunk.load[0, 0]) == UNKNOWN
        assert client.get("/api/v1/replay/hour", params={"at": at}).json()["vehicles"] == 1
        hours = client.get("/api/v1/replay/hours", params={"from": at, "to": rfc3339(LONG_AGO + 1000)}).json()["hours"]
        assert [one["positions"] for one in hours] == [2]
        alarms = client.get("/api/v1/replay/alarms", params={"from": at, "to": at}).json()
        assert (alarms["alarms"], alarms["changes"]) == ([], [])
        for path in (
            "chunk?at=yesterday",
            "chunk?at=2026-05-04T00:00:00",  # of which zone?
            f"chunk?at={at}&seconds=7200&every=1",
            f"alarms?from={at}&to=2099-01-01T00:00:00Z",
            f"hours?from={at}&to=2025-01-01T00:00:00Z",
        ):
            refused = client.get(f"/api/v1/replay/{path}")
            assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json"), path
        valkey.kill()
        refused = client.get("/api/v1/replay/chunk", params={"at": at})
        assert (refused.status_code, refused.json()["title"]) == (503, "The store does not answer")


def test_the_process_starts_when_its_page_is_served(config: Config, valkey: Valkey) -> None:
    if isinstance(valkey, ValkeyCluster):
        pytest.skip("the same as with one server")

    async def scenario() -> None:
        desk = ReplayDesk(config)
        try:
            desk.warm()
            assert desk._warming is not None
            await asyncio.wait_for(desk._warming, 30)
            assert desk._pool is not None, "before anybody asked"
            valkey.kill()
            desk.close()
            desk.warm()
            await asyncio.wait_for(desk._warming, 30)
        finally:
            desk.close()

    asyncio.run(scenario())

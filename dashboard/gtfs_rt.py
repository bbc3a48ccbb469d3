"""The live state as GTFS-Realtime 2.0, for journey planners and passenger information.

Each feed is a FULL_DATASET. Alerts are the standing cases that name a part of the network, which
are those that came as alerts. Alarms are not among them: a recogniser's fire or a fuel theft is for the
centre to look at, not for passengers.

Source: gtfs.org/documentation/realtime/reference, and its best practices.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

from fastapi import FastAPI, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from google.protobuf import text_format
from google.transit import gtfs_realtime_pb2 as pb

from city.config import Config
from dashboard.gtfs_rt_feeds import add_alerts, add_vehicles, empty_feed
from dashboard.problems import Problem
from dashboard.screen import Screen

MEDIA_TYPE = "application/x-protobuf"
# "Data within a feed should not be older than 90 seconds" (best practices, Trip Updates and Vehicle Positions).
_FRESH_MS = 90_000
# 8 µs each: the pages' frames must not wait for a whole country's.
_VEHICLES_A_TURN = 500

AsText = Annotated[
    Literal["protobuf", "text"], Query(alias="format", description="`text`: protobuf's text format, for reading")
]


def add_routes(server: FastAPI, config: Config, screen: Screen) -> None:
    """The feeds, each made once a second at most, however many ask."""

    async def make_vehicles(at_ms: int) -> pb.FeedMessage:
        feed = empty_feed(at_ms)
        least_ms = at_ms - max(_FRESH_MS, int(config.live.vehicle_stale_after_s * 1000))
        default, count_ms = config.kpis.capacity_default, at_ms - int(config.kpis.count_stale_after_s * 1000)
        vehicles = list(screen.state.picture.vehicles.values())
        for begin in range(0, len(vehicles), _VEHICLES_A_TURN):
            add_vehicles(feed, vehicles[begin : begin + _VEHICLES_A_TURN], least_ms, count_ms, default)
            await asyncio.sleep(0)
        return feed

    async def make_alerts(at_ms: int) -> pb.FeedMessage:
        feed = empty_feed(at_ms)
        add_alerts(feed, screen.state.picture.cases.standing(at_ms))
        return feed

    vehicle_feed, alert_feed = _Kept(screen, make_vehicles), _Kept(screen, make_alerts)

    @server.get("/gtfs-rt/vehicle-positions.pb", tags=["gtfs-rt"], summary="Vehicles as GTFS-Realtime 2.0")
    async def vehicle_positions(form: AsText = "protobuf") -> Response:
        return await _answer(await vehicle_feed.get(), form)

    @server.get("/gtfs-rt/alerts.pb", tags=["gtfs-rt"], summary="Service alerts as GTFS-Realtime 2.0")
    async def alerts(form: AsText = "protobuf") -> Response:
        return await _answer(await alert_feed.get(), form)


class _Kept:
    """A feed that is made anew when a second has passed."""

    def __init__(self, screen: Screen, make: Callable[[int], Awaitable[pb.FeedMessage]]) -> None:
        self._screen = screen
        self._make = make
        self._at_s = 0
        self._payload = b""
        self._making = asyncio.Lock()

    async def get(self) -> bytes:
        state = self._screen.state
        if not state.read_ms:
            # An empty feed would say that no vehicle runs.
            raise Problem(503, "The store does not answer", "the state of the city has not been read yet")
        async with self._making:
            # A lost store stops this clock: an old timestamp is how a consumer sees that the feed is old.
            at_ms = state.moment_ms()
            if at_ms // 1000 != self._at_s:
                feed = await self._make(at_ms)
                self._payload, self._at_s = feed.SerializeToString(), at_ms // 1000
            return self._payload


async def _answer(payload: bytes, form: str) -> Response:
    if form == "text":
        return Response(await run_in_threadpool(_text, payload), media_type="text/plain; charset=utf-8")
    return Response(payload, media_type=MEDIA_TYPE)


def _text(payload: bytes) -> str:
    return text_format.MessageToString(pb.FeedMessage.FromString(payload), as_utf8=True)

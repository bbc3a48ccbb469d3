"""Whether the process lives, whether what it needs answers, and its own figures."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse, Response
from msgspec import json as msgspec_json
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from city.config import Config
from city.store import now_ms
from dashboard.screen import Screen

_REACH_S = 1.0
# A store heard of within this time is reachable: it is asked at least once a second.
_STORE_HEARD_MS = 3000
_DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}


def add_routes(server: FastAPI, config: Config, screen: Screen) -> None:
    @server.get("/healthz", response_class=PlainTextResponse, tags=["health"], summary="The process is alive")
    async def healthz() -> str:
        return "ok\n"

    @server.get("/readyz", tags=["health"], summary="Every dependency answers: one JSON line each, 503 if one does not")
    async def readyz() -> Response:
        broker = await run_in_threadpool(_reach, config.mqtt.url)
        state = screen.state
        age_ms = now_ms() - state.read_ms
        store_ok = state.store_up and age_ms < _STORE_HEARD_MS
        lines = [
            {
                "part": "store",
                "ok": store_ok,
                "detail": "answers" if store_ok else f"not heard for {age_ms / 1000:.0f} s",
            },
            {"part": "broker", "ok": broker is None, "detail": broker or "accepts connections"},
        ]
        body = b"".join(msgspec_json.encode(line) + b"\n" for line in lines)
        status = 200 if all(line["ok"] for line in lines) else 503
        return Response(body, status_code=status, media_type="application/x-ndjson")

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(screen))

    @server.get("/metrics", tags=["health"], summary="Prometheus text: feeds, entities, pages")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def _reach(url: str) -> str | None:
    """None if the broker's port accepts a connection, else why not."""
    parts = urlsplit(url)
    try:
        with socket.create_connection(
            (parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme, 1883)), timeout=_REACH_S
        ):
            return None
    except OSError as error:
        return f"{parts.hostname}:{parts.port or ''} {error.strerror or error}"


class _Figures(Collector):
    """The feeds' counters live in the store; here they are only told."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> list[Metric]:
        state = self._screen.state
        received = CounterMetricFamily("markaz_feed_messages_received", "Messages received, by feed", labels=["feed"])
        stored = CounterMetricFamily(
            "markaz_feed_messages_stored", "Messages stored as newest, by feed", labels=["feed"]
        )
        late = CounterMetricFamily(
            "markaz_feed_messages_late", "Messages stored though older than known", labels=["feed"]
        )
        rejected = CounterMetricFamily("markaz_feed_messages_rejected", "Messages rejected", labels=["feed", "reason"])
        for feed in (rate.count for rate in state.rates.feeds(now_ms())):
            received.add_metric([feed.feed], feed.received)
            stored.add_metric([feed.feed], feed.stored)
            late.add_metric([feed.feed], feed.late)
            for reason, n in feed.rejected.items():
                rejected.add_metric([feed.feed, reason], n)
        up = GaugeMetricFamily("markaz_store_up", "1 if the store answers", value=float(state.store_up))
        pages = GaugeMetricFamily("markaz_pages_open", "Pages that follow the push", value=self._screen.push.pages)
        skipped = CounterMetricFamily(
            "markaz_push_skipped_frames", "Times a slow page was skipped", value=self._screen.push.skipped
        )
        vehicles = GaugeMetricFamily(
            "markaz_vehicles_known", "Vehicles in the live picture", value=len(state.picture.vehicles)
        )
        cameras = GaugeMetricFamily(
            "markaz_cameras_known", "Cameras in the live picture", value=len(state.picture.cameras)
        )
        return [received, stored, late, rejected, up, pages, skipped, vehicles, cameras]

"""Whether the process lives, and whether what it needs answers."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse, Response
from msgspec import json as msgspec_json

from analysis.detectors.archive_behind import unarchived_s
from city.archive_figures import ArchiveFigures
from city.config import Config
from city.store import now_ms
from dashboard.screen import Screen

_REACH_S = 1.0
# A store heard of within this time is reachable: it is asked at least once a second.
_STORE_HEARD_MS = 3000
# Its figures come every two seconds.
_ARCHIVE_HEARD_S = 30.0
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
        lines: list[dict[str, str | bool]] = [
            {
                "part": "store",
                "ok": store_ok,
                "detail": "answers" if store_ok else f"not heard for {age_ms / 1000:.0f} s",
            },
            {"part": "broker", "ok": broker is None, "detail": broker or "accepts connections"},
        ]
        status = 200 if all(line["ok"] for line in lines) else 503
        if state.archive is not None:
            # Told, but no reason to take this dashboard away: the live screens do not need it.
            lines.append(archive_line(state.archive, now_ms()))
        body = b"".join(msgspec_json.encode(line) + b"\n" for line in lines)
        return Response(body, status_code=status, media_type="application/x-ndjson")


def archive_line(figures: ArchiveFigures, now: int) -> dict[str, str | bool]:
    """Whether what the city says is archived, as a line of `/readyz`."""
    silent_s = (now - figures.at_ms) / 1000
    lag_s = unarchived_s(figures, now)
    if silent_s > _ARCHIVE_HEARD_S:
        detail = f"its writer not heard for {silent_s:.0f} s"
    elif figures.waits_for:
        detail = f"waits for the {'store' if figures.waits_for == 'store' else 'folder'}, {lag_s:.0f} s behind"
    else:
        return {"part": "archive", "ok": True, "detail": f"{lag_s:.0f} s behind"}
    return {"part": "archive", "ok": False, "detail": detail}


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

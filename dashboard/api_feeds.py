"""The HTTP API of what comes in: feeds, ingest workers, rejected messages."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import FastAPI, Path, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from msgspec import to_builtins

from analysis.readable import readable
from analysis.workers import WorkerReport
from city.messages import RejectReason
from city.store import StoreDown, StoredReject, StoreRefused, now_ms
from dashboard.answers import Cursor, Json, json_answer, rfc3339
from dashboard.feed_lines import worker_json
from dashboard.problems import Problem
from dashboard.screen import Screen

T = TypeVar("T")


def add_routes(server: FastAPI, screen: Screen) -> None:
    @server.get("/api/v1/feeds", tags=["city"], summary="What became of every feed's messages since the state began")
    async def feeds() -> Response:
        return json_answer({"as_of": rfc3339(now_ms()), "feeds": to_builtins(screen.feed_lines())})

    @server.get("/api/v1/workers", tags=["city"], summary="The ingest workers, and what they did in the last minute")
    async def workers() -> Response:
        now = now_ms()
        reports = screen.state.workers.reports(screen.state.moment_ms())
        return json_answer({"as_of": rfc3339(now), "workers": [worker_answer(report, now) for report in reports]})

    @server.get(
        "/api/v1/rejects", tags=["city"], summary="Messages that were not stored, newest first, with the reason"
    )
    async def rejects(
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        cursor: Cursor = None,
        feed: Annotated[str | None, Query(description="Only of this feed")] = None,
        reason: Annotated[RejectReason | None, Query(description="Only for this reason")] = None,
        payloads: Annotated[bool, Query(description="With the messages' bytes")] = True,
    ) -> Response:
        try:
            found, following = await _ask(
                lambda: screen.store.find_rejects(limit=limit, before=cursor, feed=feed, reason=reason)
            )
        except StoreRefused:
            raise Problem(422, "A parameter cannot be used", f"cursor: {cursor!r} is not one of this list") from None
        listed = [reject_json(reject, payload=payloads) for reject in found]
        return json_answer({"as_of": rfc3339(now_ms()), "rejects": listed, "next": following})

    @server.get("/api/v1/rejects/{reject_id}", tags=["city"], summary="One rejected message, whole")
    async def reject(reject_id: Annotated[str, Path(max_length=64)]) -> Response:
        try:
            found = await _ask(lambda: screen.store.reject(reject_id))
        except StoreRefused:
            found = None
        if found is None:
            raise Problem(404, "No such reject", f"{reject_id!r} is not kept, or not any more")
        body = {**reject_json(found, payload=True), "readable": to_builtins(readable(found.payload))}
        return json_answer({"as_of": rfc3339(now_ms()), **body})


async def _ask(question: Callable[[], T]) -> T:
    """The store's answer, asked in a thread."""
    try:
        return await run_in_threadpool(question)
    except StoreDown as error:
        raise Problem(503, "The store does not answer", str(error)) from None


def worker_answer(report: WorkerReport, now: int) -> Json:
    worker = worker_json(report, now)
    return {
        **{name: worker[name] for name in ("worker", "state", "connected")},
        "started_at": rfc3339(worker.pop("started_ms")),
        **worker,
    }


def reject_json(reject: StoredReject, *, payload: bool) -> Json:
    found: Json = {
        "id": reject.entry_id,
        "feed": reject.feed,
        "reason": reject.reason,
        "detail": reject.detail,
        "topic": reject.topic,
        "payload_bytes": len(reject.payload),
        "received_at": rfc3339(reject.received_ms),
    }
    if payload:
        found["payload"] = reject.payload.decode("utf-8", "backslashreplace")
        found["payload_base64"] = b64encode(reject.payload).decode("ascii")
    return found

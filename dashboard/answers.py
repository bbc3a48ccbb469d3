"""What every path of the API answers in: JSON, times of RFC 3339, the parameters of a paged list."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import Response
from msgspec import json as msgspec_json

Json = dict[str, Any]
Limit = Annotated[int, Query(ge=1, le=2000, description="Entries a page")]
Cursor = Annotated[str | None, Query(description="`next` of the page before")]


def json_answer(body: Json) -> Response:
    return Response(msgspec_json.encode(body), media_type="application/json")


def rfc3339(ms: int) -> str:
    """Epoch milliseconds as UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""Whether the map of a running dashboard shows the city: asked over HTTP, as anybody could."""

from __future__ import annotations

import json
from contextlib import suppress
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

_PROBE_TIMEOUT_S = 2.0


def lacks(url: str, *, vehicles: bool) -> str | None:
    """What is missing for a live map at `url`, None if nothing is; `vehicles`: one must be there."""
    status, body = _get(f"{url}readyz")
    if status is None:
        return "the dashboard does not answer yet"
    if status != 200:
        return f"not ready: {' '.join(body.split())[:300]}"
    if vehicles:
        status, body = _get(f"{url}api/v1/vehicles?limit=1")
        if status != 200 or not has_items(body):
            return "no vehicle has been seen yet"
    return None


def has_items(body: str) -> bool:
    """Whether a JSON list answer (GeoJSON features, or a named list) holds anything."""
    with suppress(ValueError, AttributeError):
        return any(isinstance(value, list) and value for value in json.loads(body).values())
    return False


def _get(url: str) -> tuple[int | None, str]:
    """HTTP status and body; None when nobody answers."""
    # Never through a proxy of the environment: it is this machine.
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(url, timeout=_PROBE_TIMEOUT_S) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except HTTPError as error:
        with error:
            return error.code, error.read().decode("utf-8", "replace")
    except (OSError, ValueError):
        return None, ""

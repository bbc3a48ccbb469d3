"""What every path of the API answers in: JSON, times of RFC 3339, the parameters of a paged list."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import Response
from msgspec import Struct, to_builtins
from msgspec import json as msgspec_json
from pydantic import AfterValidator, Field, StringConstraints

from city.rfc3339 import rfc3339

__all__ = ["ID_MAX", "By", "Cursor", "Json", "Limit", "as_json", "json_answer", "rfc3339"]

# Letters of an alarm's id: a rule's name and what it watches, which may be two names of the field.
ID_MAX = 400


def _named_person(by: str) -> str:
    # Python's idea of white space, not a pattern's: what strip() leaves is what is written down.
    by = by.strip()
    if not by:
        raise ValueError("a name has a letter at least")
    return by


Json = dict[str, Any]
# Who does it: without the white space around it, and not empty then.
By = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=80),
    AfterValidator(_named_person),
    Field(description="who does it"),
]
Limit = Annotated[int, Query(ge=1, le=2000, description="Entries a page")]
Cursor = Annotated[str | None, Query(description="`next` of the page before")]


def json_answer(body: Json) -> Response:
    return Response(msgspec_json.encode(body), media_type="application/json")


def as_json(value: Struct) -> Json:
    """A Struct as the API tells it: `…_ms` are times there, `…_at` (and `at`) of RFC 3339 here."""
    found: Json = _told(to_builtins(value))
    return found


def _told(value: Any) -> Any:
    if isinstance(value, dict):
        return dict(_named(name, one) for name, one in value.items())
    return [_told(one) for one in value] if isinstance(value, list | tuple) else value


def _named(name: str, value: Any) -> tuple[str, Any]:
    if not name.endswith("_ms"):
        return name, _told(value)
    told = "at" if name == "at_ms" else f"{name.removesuffix('_ms')}_at"
    return told, None if value is None else rfc3339(value)

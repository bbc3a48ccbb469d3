"""Answers as others read them: JSON, CSV, GeoJSON, Parquet, or the Arrow stream that pages draw from.

Written in the process that found the answer, so that the dashboard's own has nothing to do but pass it on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from msgspec import json as msgspec_json
from shapely.geometry import mapping

from analysis.measures import MEASURES
from analysis.questions import Question, QuestionError, Shape, query_of
from city.areas import Areas
from city.history.engines import TooMuch
from city.rfc3339 import rfc3339
from dashboard.analyst_words import Form
from dashboard.answers import Json, as_json
from dashboard.history_answers import Answer
from dashboard.spreadsheet import plain_table

_CHUNK = 10_000
_TIME = "%Y-%m-%dT%H:%M:%SZ"  # %S has the milliseconds with it
_GEOMETRIES_MAX = 20_000
# The dashboard holds an answer as a whole while it passes it on.
BYTES_MAX = 256 << 20


def written(found: Answer, asked: Question, form: Form, areas: Areas) -> bytes:
    """An answer in a form; raises QuestionError where it has none, and TooMuch where it is too long."""
    body = _written(found, asked, form, areas)
    _check_size(len(body))
    return body


def _written(found: Answer, asked: Question, form: Form, areas: Areas) -> bytes:
    if form is Form.ARROW:
        return _arrow(found.table)
    table = with_times(found.table)
    if form is Form.CSV:
        return _csv(table)
    if form is Form.PARQUET:
        # The times as numbers: whoever reads Parquet counts with them.
        return _parquet(found.table)
    head = head_of(found, asked)
    if form is Form.GEOJSON:
        return _geojson(table, asked, head, areas)
    return b"".join([msgspec_json.encode(head)[:-1], b',"data":[', _listed(table, {}), b"]}"])


def head_of(found: Answer, asked: Question) -> Json:
    """What an answer says beside its rows."""
    told = found.told
    measure = MEASURES[asked.feed].get(asked.measure)
    plain = asked.shape in {Shape.ROWS, Shape.TRACK, Shape.ORIGIN}
    return {
        "as_of": rfc3339(told.at_ms),
        "query": query_of(asked),
        "feed": asked.feed,
        "shape": asked.shape,
        "from_at": rfc3339(asked.from_ms),
        "to_at": rfc3339(asked.to_ms),
        "measure": None if plain else asked.measure,
        "unit": None if plain or measure is None else measure.unit,
        "by": asked.by,
        "every_s": asked.every_s,
        "low": told.low,
        "high": told.high,
        "bins": asked.bins if asked.shape is Shape.DISTRIBUTION else None,
        "next": told.next,
        "cut": told.cut,
        "rollup": told.rollup,
        "origin": as_json(told.origin),
    }


def with_times(table: pa.Table) -> pa.Table:
    """Columns of milliseconds as times of RFC 3339: `measured_ms` is `measured_at`, `bucket_ms` is `at`."""
    for at, name in enumerate(table.column_names):
        if name.endswith("_ms"):
            moments = table[name].cast(pa.timestamp("ms", tz="UTC"))
            stem = name.removesuffix("_ms")
            told = "at" if stem == "bucket" else f"{stem}_at"
            table = table.set_column(at, told, pc.strftime(moments, format=_TIME))
    return table


# --- forms ------------------------------------------------------------------------------------------


def _arrow(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return _bytes(sink)


def _csv(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pa_csv.write_csv(plain_table(table), sink)
    return _bytes(sink)


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return _bytes(sink)


def _listed(table: pa.Table, more: Mapping[str, Any]) -> bytes:
    """Rows as JSON objects with commas between them."""
    parts, size = [], 0
    for begin in range(0, table.num_rows, _CHUNK):
        rows = table.slice(begin, _CHUNK).to_pylist()
        parts.append(msgspec_json.encode([{**row, **more} for row in rows] if more else rows)[1:-1])
        size += len(parts[-1])
        _check_size(size)
    return b",".join(parts)


def _check_size(size: int) -> None:
    if size > BYTES_MAX:
        raise TooMuch(f"the answer is longer than {BYTES_MAX >> 20} MB: take a longer step, fewer groups or rows")


def _geojson(table: pa.Table, asked: Question, head: Json, areas: Areas) -> bytes:
    features = _areas(table, asked, areas) if asked.shape is Shape.AREAS else _points(table)
    body = msgspec_json.encode({"type": "FeatureCollection", **head})[:-1]
    return b"".join([body, b',"features":', msgspec_json.encode(features), b"}"])


def _areas(table: pa.Table, asked: Question, areas: Areas) -> list[Json]:
    """A feature an area and step; rows that lie in no area have no geometry."""
    assert asked.by is not None
    if table.num_rows > _GEOMETRIES_MAX:
        raise QuestionError("format", f"more than {_GEOMETRIES_MAX} polygons: take a longer step, or JSON")
    geometries: dict[str, Json] = {}
    features = []
    for row in table.to_pylist():
        code = row[asked.by]
        area = areas.by_code.get(code) if code else None
        if area is not None and code not in geometries:
            geometries[code] = mapping(area.polygon)
        properties = {**row, "names": area.names if area else None}
        features.append(
            {"type": "Feature", "id": code, "geometry": geometries.get(code or ""), "properties": properties}
        )
    return features


def _points(table: pa.Table) -> list[Json]:
    features = []
    for row in table.to_pylist():
        lat, lon = row.pop("lat"), row.pop("lon")
        geometry = None if lat is None or lon is None else {"type": "Point", "coordinates": [lon, lat]}
        features.append({"type": "Feature", "geometry": geometry, "properties": row})
    return features


def _bytes(sink: pa.BufferOutputStream) -> bytes:
    found: bytes = sink.getvalue().to_pybytes()
    return found

"""Feeds declared in `config.yaml`: which fields of a stranger's JSON are which native ones.

What can be wrong with a declaration is found here, at the start. The declarations are carried out
by `ingest.decode.mapping`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from pydantic import Field, field_validator, model_validator

from city.checked import Section, check_braces, check_timezone, check_topic_filter, listed
from city.json_path import parse
from city.units import UNITS, units_like

Scalar = bool | int | float | str | None
Holds = Literal["number", "whole", "text", "flag", "time"]
EPOCHS = ("epoch_s", "epoch_ms")
# Any unit may be read into a sensor's value.
ANY_UNIT = "any"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
# Every part of a date and of a time of day differs from what a pattern without it would give.
_SAMPLE = datetime(2026, 3, 14, 15, 26, 53, tzinfo=UTC)


class Native(NamedTuple):
    """A field of a native message, as far as a declaration needs to know it."""

    holds: Holds
    unit: str | None = None
    required: bool = False


_TIME = Native("time", required=True)
_NUMBER, _WHOLE, _TEXT, _FLAG = Native("number"), Native("whole"), Native("text"), Native("flag")
_PLACE = {"lat": _NUMBER, "lon": _NUMBER}
_NEEDED_TEXT, _NEEDED_NUMBER = Native("text", required=True), Native("number", required=True)

# The native messages' fields (docs/contracts.md); a unit test compares them with their decoder.
NATIVE: Mapping[str, Mapping[str, Native]] = {
    "vehicle/position": {
        "ts": _TIME,
        "lat": _NEEDED_NUMBER,
        "lon": _NEEDED_NUMBER,
        "speed_mps": Native("number", "m/s"),
        "bearing_deg": _NUMBER,
        "route": _TEXT,
        "direction": _WHOLE,
        "trip": _TEXT,
        "odometer_m": Native("number", "m"),
        "ignition": _FLAG,
        "vin": _TEXT,
        "mode": _TEXT,
        "schedule_deviation_s": Native("number", "s"),
    },
    "vehicle/passengers": {
        "ts": _TIME,
        **dict.fromkeys(("in", "out", "onboard", "capacity"), _WHOLE),
        "stop": _TEXT,
        "door": _TEXT,
    },
    "vehicle/fuel": {
        "ts": _TIME,
        "level_l": Native("number", "l"),
        "level_pct": Native("number", "%"),
        "capacity_l": Native("number", "l"),
        "used_l": Native("number", "l"),
        "ignition": _FLAG,
    },
    "camera/event": {
        "ts": _TIME,
        "kind": _NEEDED_TEXT,
        "severity": _TEXT,
        "score": Native("number", "ratio"),
        "zone": _TEXT,
        "plate": _TEXT,
        "snapshot_url": _TEXT,
        "count": _WHOLE,
        "event_id": _TEXT,
        "phase": _TEXT,
    },
    "camera/status": {
        "ts": _TIME,
        "online": Native("flag", required=True),
        "stream_url": _TEXT,
        "name": _TEXT,
        **_PLACE,
    },
    "sensor/reading": {
        "ts": _TIME,
        "quantity": _NEEDED_TEXT,
        "value": Native("number", ANY_UNIT, required=True),
        "unit": _NEEDED_TEXT,
        **_PLACE,
        "network": _TEXT,
    },
    "case": {
        "ts": _TIME,
        "category": _NEEDED_TEXT,
        "status": _NEEDED_TEXT,
        **_PLACE,
        **dict.fromkeys(("address_code", "title", "text", "severity", "agency"), _TEXT),
        "due_at": Native("time"),
        "reporter": _TEXT,
    },
}
# Of each kind one of these sets at least.
_ONE_OF: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "vehicle/passengers": (("in", "out"), ("onboard",)),
    "vehicle/fuel": (("level_l",), ("level_pct",)),
    "case": (("lat", "lon"), ("address_code",)),
}


class FieldSource(Section):
    """Where a native field comes from, and how it becomes one. A text alone is a path."""

    path: str | None = None
    level: int | None = Field(default=None, ge=1)  # of the topic, the first is 1
    value: Scalar = None  # always this
    type: Literal["number", "text"] | None = None  # a number in quotes; a text without
    scale: float | None = None  # times this, before the unit
    unit: str | None = None
    values: Mapping[str, Scalar] | None = None
    time: str | None = None  # epoch_s, epoch_ms or a pattern of strptime
    zone: str | None = None  # of times without an offset
    default: Scalar = None  # for what is missing, null or not among `values`

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, given: Any) -> Any:
        return {"path": given} if isinstance(given, str) else given

    @field_validator("values", mode="before")
    @classmethod
    def _keys_as_text(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        if any(isinstance(key, bool) for key in values):
            raise ValueError("on, off, yes, no, true and false stand in quotes here: to YAML they are two words")
        return {str(key) if isinstance(key, int) else key: value for key, value in values.items()}

    @field_validator("path")
    @classmethod
    def _is_path(cls, path: str | None) -> str | None:
        if path is not None:
            parse(path)
        return path

    @field_validator("zone")
    @classmethod
    def _is_zone(cls, zone: str | None) -> str | None:
        return zone and check_timezone(zone)

    @model_validator(mode="after")
    def _one_source(self) -> FieldSource:
        if [self.path is not None, self.level is not None, "value" in self.model_fields_set].count(True) != 1:
            raise ValueError("exactly one of path, level and value is needed")
        if self.time is not None and self.time not in EPOCHS:
            _check_pattern(self.time, self.zone)
        return self


class FeedMapping(Section):
    """One feed: its topics, what its readings are, and where their fields come from."""

    topics: tuple[str, ...] = Field(min_length=1)
    kind: Literal[
        "vehicle/position",
        "vehicle/passengers",
        "vehicle/fuel",
        "camera/event",
        "camera/status",
        "sensor/reading",
        "case",
    ]
    id: tuple[int | str, ...]  # levels of the topic and paths, joined by "-"
    each: str | None = None  # path of an array whose every item is a reading
    fields: Mapping[str, FieldSource]

    @field_validator("topics", mode="before")
    @classmethod
    def _one_or_many(cls, topics: Any) -> Any:
        return listed(topics)

    @field_validator("topics")
    @classmethod
    def _are_filters(cls, topics: tuple[str, ...]) -> tuple[str, ...]:
        for topic_filter in topics:
            check_topic_filter(check_braces(topic_filter))
        return topics

    @field_validator("id", mode="before")
    @classmethod
    def _parts(cls, given: Any) -> Any:
        parts = given if isinstance(given, list | tuple) else (given,)
        if not parts or any(isinstance(part, bool) or not isinstance(part, int | str) for part in parts):
            raise ValueError("an id is a level of the topic (a number), a path, or a list of them")
        for part in parts:
            if isinstance(part, str):
                parse(part)
            elif part < 1:
                raise ValueError("levels of the topic are counted from 1")
        return tuple(parts)

    @field_validator("each")
    @classmethod
    def _is_path(cls, each: str | None) -> str | None:
        if each is not None:
            parse(each)
        return each

    @model_validator(mode="after")
    def _fits_its_kind(self) -> FeedMapping:
        native = NATIVE[self.kind]
        for name, source in self.fields.items():
            if name not in native:
                raise ValueError(f"fields.{name}: {self.kind} has no such field (it has: {', '.join(native)})")
            _check_source(name, source, native[name])
        missing = [name for name, one in native.items() if one.required and name not in self.fields]
        if missing:
            raise ValueError(f"fields: {self.kind} needs {', '.join(missing)}")
        choices = _ONE_OF.get(self.kind, ())
        if choices and not any(set(choice) <= set(self.fields) for choice in choices):
            raise ValueError(f"fields: {self.kind} needs {' or '.join(' and '.join(choice) for choice in choices)}")
        if ("lat" in self.fields) != ("lon" in self.fields):
            raise ValueError("fields: lat and lon go together")
        self._check_levels()
        return self

    def _check_levels(self) -> None:
        for topic_filter in self.topics:
            levels = topic_filter.split("/")
            if levels[-1] != "#" and self.deepest_level > len(levels):
                raise ValueError(f"{topic_filter} has {len(levels)} levels, not {self.deepest_level}")

    @property
    def deepest_level(self) -> int:
        """The last level of the topic that something is read from; 0 if nothing is."""
        of_id = [part for part in self.id if isinstance(part, int)]
        return max([0, *of_id, *(source.level or 0 for source in self.fields.values())])

    def filters(self, city: str) -> tuple[str, ...]:
        """The topic filters to subscribe to."""
        return tuple(one.format(city=city) for one in self.topics)


def check_names(mappings: Mapping[str, FeedMapping], taken: Collection[str]) -> None:
    """ValueError for a name that is no word, or that is a format's or a feed's."""
    for name in mappings:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r}: a name is 1 to 32 of a-z, 0-9, _ and -, a letter first")
        if name in taken:
            raise ValueError(f"{name!r} is the name of a format or a feed (taken: {', '.join(sorted(taken))})")


def _check_source(name: str, source: FieldSource, native: Native) -> None:
    here = f"fields.{name}"
    if source.unit is not None:
        if native.unit is None:
            raise ValueError(f"{here}.unit: {name} has no unit")
        allowed = list(UNITS) if native.unit == ANY_UNIT else units_like(native.unit)
        if source.unit not in allowed:
            raise ValueError(f"{here}.unit: {source.unit!r} is not one of {', '.join(allowed)}")
    if source.scale is not None and native.holds != "number":
        raise ValueError(f"{here}.scale: {name} is not a measure")
    if (source.time is not None or source.zone is not None) and native.holds != "time":
        raise ValueError(f"{here}: time and zone are for {' and '.join(_times())}")
    fits = {"text": ("text",), "number": ("number", "whole", "time"), None: (native.holds,)}
    if native.holds not in fits[source.type]:
        raise ValueError(f"{here}.type: {name} holds a {native.holds}")
    if native == _TIME and source.path is None and source.level is None:
        raise ValueError(f"{here}: the time of measuring is in the message")
    for key, constant in (("value", source.value), ("default", source.default), *(source.values or {}).items()):
        if constant is not None and not _holds(native.holds, constant):
            raise ValueError(f"{here}.{key}: {name} holds a {native.holds}, not {constant!r}")


def _holds(holds: Holds, constant: object) -> bool:
    if isinstance(constant, bool):
        return holds == "flag"
    if holds in ("number", "whole"):
        return isinstance(constant, int) or (holds == "number" and isinstance(constant, float))
    return holds != "flag" and isinstance(constant, str | int)


def _times() -> list[str]:
    return sorted({name for fields in NATIVE.values() for name, one in fields.items() if one.holds == "time"})


def _check_pattern(pattern: str, zone: str | None) -> None:
    """ValueError unless strptime finds a date and a time of day by it, and an offset or a zone is there."""
    try:
        found = datetime.strptime(_SAMPLE.strftime(pattern), pattern)  # noqa: DTZ007 - whether it has one is asked below
    except ValueError as error:
        raise ValueError(f"time: {pattern!r} is neither {' nor '.join(EPOCHS)} nor a pattern: {error}") from None
    if (found.date(), found.hour) != (_SAMPLE.date(), _SAMPLE.hour):
        raise ValueError(f"time: {pattern!r} does not tell date and time of day")
    if found.tzinfo is None and zone is None:
        raise ValueError(f"time: {pattern!r} has no offset (%z), so a zone is needed")

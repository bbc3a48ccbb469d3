"""Bounds that the formats' wire types share. What is beyond them is refused, never cut."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Lat = Annotated[float, Meta(ge=-90, le=90)]
Lon = Annotated[float, Meta(ge=-180, le=180)]
Bearing = Annotated[float, Meta(ge=0, le=360)]
# Whether a speed is possible is for the checks to say; a negative one is none at all.
Speed = Annotated[float, Meta(ge=0)]
Metres = Annotated[float, Meta(ge=0, le=1e10)]
Litres = Annotated[float, Meta(ge=0, le=1e7)]
Percent = Annotated[float, Meta(ge=0, le=100)]
Share = Annotated[float, Meta(ge=0, le=1)]
Deviation = Annotated[float, Meta(ge=-864000, le=864000)]  # ten days of seconds
Passengers = Annotated[int, Meta(ge=0, le=10000)]
Onboard = Annotated[int, Meta(ge=-10000, le=10000)]  # counters drift below nobody
Capacity = Annotated[int, Meta(ge=1, le=10000)]
Count = Annotated[int, Meta(ge=0, le=1_000_000)]

Word = Annotated[str, Meta(min_length=1, max_length=64)]
Text = Annotated[str, Meta(max_length=256)]
LongText = Annotated[str, Meta(max_length=4096)]
Url = Annotated[str, Meta(max_length=2048)]
# Routes, trips, stops and doors are names, but many senders write them as numbers.
_Number = Annotated[int, Meta(ge=-(10**15), le=10**15)]
Name = Annotated[str, Meta(max_length=256)] | _Number


def name_text(name: str | int | None) -> str | None:
    """A route's, trip's, stop's or door's name as text; an empty one is none."""
    return None if name is None or name == "" else str(name)

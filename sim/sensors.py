"""Electricity meters in the mahallas: where they stand, what they read, and what fails in their network.

Markaz is told of meters alone; the feeders that they hang on are in the truth file only. A meter's id
begins with its feeder's: `meter-1726290-1-07` is the seventh of `feeder-1726290-1`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from msgspec import Struct

from city.areas import Area
from sim.messages import Outgoing, SensorReading, encode, sensor_topic
from sim.network import F64, I64
from sim.truth import Anomaly

QUANTITY, UNIT, NETWORK = "voltage", "V", "electricity"
_METERS_A_FEEDER = 20
# Several meters of one mahalla lie around its inside point, within this share of the way to the border.
_AROUND_SHARE = 0.5
_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))  # spreads points over a disc evenly (Vogel 1979)

READING_EVERY_S = 30.0
# Readings that a change brings: the first at once, the last so much later.
_CHANGE_TOLD_WITHIN_S = 1.5
# An ordinary supply: between the limits of EN 50160 (207 and 253 V) with room to both.
VOLTS_MIN, VOLTS_MAX = 220.0, 235.0
_UNLOADED_V = (230.0, 234.5)
_DROP_AT_PEAK_V = 5.0
_NOISE_V = 0.3

FIRST_TRIP_S = (180.0, 300.0)
_TRIP_EVERY_S = (1200.0, 1800.0)
_TRIP_LASTS_S = (240.0, 480.0)
_FIRST_SAG_S = (360.0, 720.0)
_SAG_EVERY_S = (600.0, 840.0)
_SAG_LASTS_S = 180.0
# Below 198 V (220 V - 10 %) and above 176 V (220 V - 20 %), by more than the noise.
_SAG_V = (180.0, 194.0)


class Meter(Struct, frozen=True):
    """A meter, its place and what it hangs on."""

    sensor_id: str
    feeder: str
    district: str
    lat: float
    lon: float


def place_meters(mahallas: Sequence[Area], count: int, seed: int) -> list[Meter]:
    """`count` meters within mahallas, about twenty neighbours of one district a feeder; the same for the same seed.

    Districts get feeders by the number of their mahallas. None where the city has no mahallas.
    """
    by_district: dict[str, list[Area]] = {}
    for area in mahallas:
        by_district.setdefault(area.district_code or "", []).append(area)
    if not by_district or count <= 0:
        return []
    feeders = max(1, round(count / _METERS_A_FEEDER))
    sizes: dict[str, list[int]] = {district: [] for district in sorted(by_district)}
    for number in range(feeders):
        # The next feeder goes where most mahallas would share one (d'Hondt).
        district = max(sizes, key=lambda one: len(by_district[one]) / (len(sizes[one]) + 1))
        sizes[district].append(count // feeders + (number < count % feeders))
    rng = np.random.default_rng([seed, 3])
    return [
        meter
        for district, of_district in sizes.items()
        if of_district
        for meter in _hang(district, of_district, _places(by_district[district], sum(of_district)), rng)
    ]


def _places(areas: Sequence[Area], wanted: int) -> tuple[F64, F64]:
    """Latitudes and longitudes of `wanted` places or a few more, as many in each area, all inside it."""
    each = -(-wanted // len(areas))
    lat, lon = [], []
    for area in sorted(areas, key=lambda one: one.code):
        inside = area.polygon.representative_point()
        reach_deg = _AROUND_SHARE * area.polygon.boundary.distance(inside)
        for number in range(each):
            away_deg, angle = reach_deg * math.sqrt(number / each), number * _GOLDEN_ANGLE
            lat.append(inside.y + away_deg * math.sin(angle))
            lon.append(inside.x + away_deg * math.cos(angle))
    return np.round(lat, 6), np.round(lon, 6)


def _hang(district: str, sizes: Sequence[int], places: tuple[F64, F64], rng: np.random.Generator) -> list[Meter]:
    """Meters of a district: each feeder begins at the free place farthest to one side and takes the nearest ones."""
    lat, lon = places
    north, east = lat, lon * math.cos(math.radians(float(lat.mean())))
    side = rng.uniform(0.0, 2 * math.pi)
    outward = north * math.sin(side) + east * math.cos(side)
    free = np.arange(len(lat))
    meters = []
    for number, size in enumerate(sizes, start=1):
        start = free[np.argmax(outward[free])]
        away = (north[free] - north[start]) ** 2 + (east[free] - east[start]) ** 2
        taken = free[np.argsort(away, kind="stable")[:size]]
        free = np.setdiff1d(free, taken, assume_unique=True)
        stem = f"{district}-{number}"
        meters += [
            Meter(f"meter-{stem}-{at:02d}", f"feeder-{stem}", district, float(lat[place]), float(lon[place]))
            for at, place in enumerate(taken.tolist(), start=1)
        ]
    return meters


class MeterWatch:
    """What the meters say as time goes on. `stamp` turns simulated seconds into the wire's time."""

    def __init__(
        self, city: str, meters: Sequence[Meter], rng: np.random.Generator, stamp: Callable[[float], str],
        epoch_ms: Callable[[float], int],
    ) -> None:  # fmt: skip
        self._meters = meters
        self._topics = [sensor_topic(city, meter.sensor_id) for meter in meters]
        self._rng = rng
        self._stamp = stamp
        self._epoch_ms = epoch_ms
        self._feeders: dict[str, list[int]] = {}
        for number, meter in enumerate(meters):
            self._feeders.setdefault(meter.feeder, []).append(number)
        self._deck: list[str] = []  # feeders that have yet to trip in this round
        self._unloaded_v: F64 = rng.uniform(*_UNLOADED_V, len(meters))
        self._moment_s: F64 = rng.uniform(0.0, READING_EVERY_S, len(meters))
        self._due_s: F64 = self._moment_s.copy()
        self._dark: I64 = np.array([], dtype=np.int64)
        self._sagging: int | None = None
        self._sag_v = 0.0
        self._started = False
        self._next_trip_s = self._back_s = self._next_sag_s = self._sag_over_s = math.inf

    def step(self, t: float, load_share: float, out: list[Outgoing] | None) -> list[Anomaly]:
        """Everything due by `t` goes to `out` (None: nobody listens); returns what was planted.

        `load_share`: what the city draws, share of the evening's peak.
        """
        if not self._meters:
            return []
        if not self._started:
            self._start(t)
        planted = []
        if self._back_s <= t:
            self._back_s = math.inf
            self._tell_soon(self._dark, t)
            self._dark = self._dark[:0]
        if self._sag_over_s <= t and self._sagging is not None:
            self._sag_over_s = math.inf
            self._tell_soon(np.array([self._sagging]), t)
            self._sagging = None
        if self._next_trip_s <= t:
            self._next_trip_s = t + self._rng.uniform(*_TRIP_EVERY_S)
            planted.append(self._trip(t))
        if self._next_sag_s <= t:
            self._next_sag_s = t + self._rng.uniform(*_SAG_EVERY_S)
            planted += self._sag(t)
        due = np.flatnonzero(self._due_s <= t)
        if len(due):
            self._speak(due, t, load_share, out)
        return planted

    def _start(self, t: float) -> None:
        self._started = True
        self._moment_s += t
        self._due_s += t
        self._next_trip_s = t + self._rng.uniform(*FIRST_TRIP_S)
        self._next_sag_s = t + self._rng.uniform(*_FIRST_SAG_S)

    def _trip(self, t: float) -> Anomaly:
        if not self._deck:
            # Every feeder once before one trips again.
            names = list(self._feeders)
            self._deck = [names[at] for at in self._rng.permutation(len(names))]
        feeder = self._deck.pop()
        lasts_s = self._rng.uniform(*_TRIP_LASTS_S)
        self._dark = np.array(self._feeders[feeder])
        self._back_s = t + lasts_s
        self._tell_soon(self._dark, t)
        return Anomaly(
            kind="feeder_trip",
            entity=feeder,
            start_ms=self._epoch_ms(t),
            end_ms=self._epoch_ms(t + lasts_s),
            numbers={"meters": len(self._dark), "lasts_s": lasts_s},
            detail=self._meters[self._dark[0]].district,
        )

    def _sag(self, t: float) -> list[Anomaly]:
        supplied = np.setdiff1d(np.arange(len(self._meters)), self._dark, assume_unique=True)
        if not len(supplied):
            return []
        self._sagging = int(self._rng.choice(supplied))
        self._sag_v = self._rng.uniform(*_SAG_V)
        self._sag_over_s = t + _SAG_LASTS_S
        self._tell_soon(np.array([self._sagging]), t)
        meter = self._meters[self._sagging]
        planted = Anomaly(
            kind="voltage_sag",
            entity=meter.sensor_id,
            start_ms=self._epoch_ms(t),
            end_ms=self._epoch_ms(t + _SAG_LASTS_S),
            numbers={"volts": self._sag_v, "lasts_s": _SAG_LASTS_S},
            detail=meter.district,
        )
        return [planted]

    def _tell_soon(self, index: I64, t: float) -> None:
        soon_s = t + self._rng.uniform(0.0, _CHANGE_TOLD_WITHIN_S, len(index))
        self._due_s[index] = np.minimum(self._due_s[index], soon_s)

    def _speak(self, due: I64, t: float, load_share: float, out: list[Outgoing] | None) -> None:
        moment = self._moment_s[due]
        # After a change, as after a silence, each goes on at its own moments.
        self._due_s[due] = moment + READING_EVERY_S * (np.floor((t - moment) / READING_EVERY_S) + 1)
        noise = self._rng.normal(0.0, _NOISE_V, len(due))
        volts = np.clip(self._unloaded_v[due] - _DROP_AT_PEAK_V * load_share + noise, VOLTS_MIN, VOLTS_MAX)
        if self._sagging is not None:
            volts = np.where(due == self._sagging, self._sag_v + noise, volts)
        volts[np.isin(due, self._dark)] = 0.0
        if out is None:
            return
        ts = self._stamp(t)
        for number, value in zip(due.tolist(), np.round(volts, 1).tolist(), strict=True):
            meter = self._meters[number]
            reading = SensorReading(ts, QUANTITY, value, UNIT, meter.lat, meter.lon, NETWORK)
            out.append(Outgoing(self._topics[number], encode(reading)))

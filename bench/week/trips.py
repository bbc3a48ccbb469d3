"""One trip of one bus along its line: legs of motion, visits of stops, passengers on board.

A late bus finds more people at its stops and gets later; an early one waits at every sixth stop. So buses bunch by
themselves now and then, as they do.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from msgspec import Struct

from week.lines import Place, Track, moved
from week.timetable import demand, flow_mps

EARLY_MAX_S = 40.0
WAITS_EVERY = 6  # stops


class Leg(Struct, kw_only=True):
    """Motion at one speed, or rest."""

    begin_s: float
    end_s: float
    track: Track | None = None
    from_m: float = 0.0  # along the track
    to_m: float = 0.0
    start: Place = (0.0, 0.0)  # where there is no track
    end: Place = (0.0, 0.0)
    engine: bool = True
    route_shown: bool = True
    trip: Trip | None = None
    way_m: float = 0.0
    odometer_m: float = 0.0  # at its beginning

    @property
    def moves(self) -> bool:
        return self.way_m > 0


class Visit(Struct, frozen=True):
    """A bus at a stop of its line."""

    vehicle_id: str
    stop: int
    at_s: float
    scheduled_s: float
    trip_s: float = 0.0  # when its trip should have begun


class Count(Struct, frozen=True):
    """What the counters say when the doors close."""

    at_s: float
    onboard: int
    stop: int


class Incident(Struct, frozen=True):
    """Something planted into a trip: what, at which link of the line, and how long or large."""

    kind: str  # breakdown, jam, hold, speeding, spurt, crowd, crush
    link: int
    size: float  # seconds, metres a second, or load
    stops: int = 1  # that it lasts


@dataclass
class Trip:
    """A trip as it was driven."""

    track: Track
    vehicle_id: str
    scheduled_s: list[float]
    headway_s: float
    capacity: int
    load_factor: float
    incidents: list[Incident] = field(default_factory=list)
    shift: tuple[float, float, float] | None = None  # metres from, to; metres to the right: a way beside the line
    legs: list[Leg] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)
    stood: list[tuple[float, float]] = field(default_factory=list)  # broken down between stops
    held: list[tuple[float, float]] = field(default_factory=list)  # at a stop
    sped: list[tuple[float, float]] = field(default_factory=list)

    def time_at(self, along_m: float) -> float:
        """When it was so far along the line."""
        leg = next(leg for leg in self.legs if leg.to_m >= along_m and leg.moves)
        return leg.begin_s + (along_m - leg.from_m) / leg.way_m * (leg.end_s - leg.begin_s)

    def drive(self, leaves_s: float, chance: random.Random) -> float:
        """Drive it; when it arrives."""
        at_s, stops, last = leaves_s, self.track.stops_m, len(self.track.stops_m) - 1
        pace = chance.gauss(1.0, 0.03)
        mood = chance.lognormvariate(0.0, 0.12)
        load = 0.0
        for stop, here_m in enumerate(stops):
            self.visits.append(Visit(self.vehicle_id, stop, at_s, self.scheduled_s[stop], self.scheduled_s[0]))
            late_s = at_s - self.scheduled_s[stop]
            load = self._load(stop / last, late_s, at_s, mood, load)
            load = self._crowded(stop, load)
            if stop == last:
                self.counts.append(Count(at_s + 15, 0, stop))
                return at_s
            stays_s = 0.0 if stop == 0 else max(6.0, 8 + 14 * load + chance.expovariate(1 / 6))
            if stop and stop % WAITS_EVERY == 0 and late_s + stays_s < -EARLY_MAX_S:
                stays_s = -EARLY_MAX_S - late_s
            held_s = sum(one.size for one in self.incidents if one.kind == "hold" and one.link == stop)
            if held_s:
                self.held.append((at_s, at_s + stays_s + held_s))
            stays_s += held_s
            if any(one.kind == "speeding" and one.link < stop < one.link + one.stops for one in self.incidents):
                stays_s = 0.0
            if stays_s:
                self._rest(at_s, at_s + stays_s, here_m)
            at_s += stays_s
            self.counts.append(Count(at_s, max(0, round(load * self.capacity)), stop))
            at_s = self._link(at_s, stop, here_m, stops[stop + 1], pace, chance)
        return at_s

    def _load(self, share: float, late_s: float, at_s: float, mood: float, before: float) -> float:
        """Load on leaving a stop at `share` of the way: highest in the middle."""
        middle = max(0.0, 1 - abs(share - 0.5) * 1.9)
        waited = 1 + min(1.0, max(-0.5, late_s / self.headway_s))
        wish = middle**0.7 * demand(at_s) * self.load_factor * mood * waited
        load = 0.45 * before + 0.55 * wish
        # Into a full bus only some more squeeze themselves.
        return load if load < 1.05 else 1.05 + 0.35 * (load - 1.05)

    def _crowded(self, stop: int, load: float) -> float:
        for one in self.incidents:
            if one.kind in ("crowd", "crush") and one.link <= stop < one.link + one.stops:
                return one.size
        return load

    def _rest(self, begin_s: float, end_s: float, at_m: float) -> None:
        self.legs.append(Leg(begin_s=begin_s, end_s=end_s, track=self.track, from_m=at_m, to_m=at_m, trip=self))

    def _move(self, begin_s: float, from_m: float, to_m: float, speed_mps: float) -> float:
        end_s = begin_s + (to_m - from_m) / speed_mps
        self.legs.append(
            Leg(
                begin_s=begin_s, end_s=end_s, track=self.track, from_m=from_m, to_m=to_m, trip=self, way_m=to_m - from_m
            )
        )
        return end_s

    def _link(self, at_s: float, stop: int, from_m: float, to_m: float, pace: float, chance: random.Random) -> float:
        """From a stop to the next; when it is there."""
        speed_mps = flow_mps(at_s) * pace * chance.lognormvariate(0.0, 0.12)
        here = [one for one in self.incidents if one.link == stop]
        for one in self.incidents:
            if one.kind == "speeding" and one.link <= stop < one.link + one.stops:
                self.sped.append((at_s, at_s + (to_m - from_m) / one.size))
                return self._move(at_s, from_m, to_m, one.size)
        spurt = next((one for one in here if one.kind == "spurt"), None)
        if spurt is not None and to_m - from_m > 300:
            # Eight to twelve seconds out of the middle of the link.
            fast_m = min(to_m - from_m - 40, spurt.size * chance.uniform(8, 12))
            at_s = self._move(at_s, from_m, from_m + 20, speed_mps)
            at_s = self._move(at_s, from_m + 20, from_m + 20 + fast_m, spurt.size)
            return self._move(at_s, from_m + 20 + fast_m, to_m, speed_mps)
        stands_s = chance.uniform(5, 45) if chance.random() < 0.35 else 0.0
        for one in here:
            if one.kind in ("breakdown", "jam"):
                stands_s = max(stands_s, one.size)
        if not stands_s or to_m - from_m < 60:
            return self._move(at_s, from_m, to_m, speed_mps)
        light_m = from_m + chance.uniform(0.4, 0.6) * (to_m - from_m)
        at_s = self._move(at_s, from_m, light_m, speed_mps * 1.25)
        if any(one.kind == "breakdown" for one in here):
            self.stood.append((at_s, at_s + stands_s))
        self._rest(at_s, at_s + stands_s, light_m)
        return self._move(at_s + stands_s, light_m, to_m, speed_mps * 1.25)


def beside(place: Place, trip: Trip, along_m: float) -> Place:
    """A place on the line moved to the way that the bus took beside it."""
    if trip.shift is None:
        return place
    from_m, to_m, side_m = trip.shift
    if not from_m < along_m < to_m:
        return place
    ramp_m = max(80.0, abs(side_m))
    off_m = side_m * min(1.0, (along_m - from_m) / ramp_m, (to_m - along_m) / ramp_m)
    north, east = trip.track.across(from_m, to_m)
    return moved(place, off_m * north, off_m * east)

"""Who passed which stop of a line when, and the headways between them.

Headway, bunching and gap as in TCRP Report 100 (Transit Capacity and Quality of Service Manual) and TIDES
`stop_visits`: the time between two vehicles of one route and direction at one stop, held against the scheduled one.
Stops that a vehicle passed between two fixes get a time between those of the stops around; passages may be told in
any order.
"""

from __future__ import annotations

from itertools import pairwise
from statistics import median

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.detector import City
from city.events import VehiclePosition

# The usual headway is the median of those between so many passages of a stop.
KEPT = 6
USUAL_MIN = 3
# A vehicle that is at a stop again after less has not left it.
SAME_S = 1_200
# So many stops are filled in between two seen ones; a longer jump is another trip, or a line that crosses itself.
SKIPPED_MAX = 6
# A timetable that lets two vehicles go at once has no headway there.
SCHEDULED_MIN_S = 60.0
# HFP tells the stop that a vehicle is at; `due` does too before it is there.
AT_STOP = frozenset({"vp", "arr", "ars", "pas", "dep"})


class Passage(Struct, frozen=True, array_like=True, gc=False):
    """One vehicle at one stop. In seconds: a line has hundreds of them to keep."""

    vehicle_id: str
    at_s: int  # epoch seconds
    ahead_s: int | None = None  # of its schedule

    @property
    def scheduled_s(self) -> int | None:
        """When it should have been there."""
        return None if self.ahead_s is None else self.at_s + self.ahead_s


Passages = dict[str, tuple[Passage, ...]]  # stop → the last ones by time, KEPT at most


class Seen(Struct, frozen=True):
    """A headway: of a vehicle, from the one before it."""

    vehicle_id: str
    leader_id: str
    stop_id: str
    at_ms: int
    headway_s: float
    usual_s: float  # scheduled where both vehicles tell their deviation, else usual here
    scheduled: bool

    @property
    def share(self) -> float:
        """The headway over the usual one."""
        return self.headway_s / self.usual_s


def stop_of(position: VehiclePosition, city: City, within_m: float) -> str | None:
    """The stop that a vehicle is at, None between stops and at a line's first and last one, where vehicles wait."""
    route, direction = position.route, position.direction
    if route is None or direction is None:
        return None
    if position.stop is not None and position.kind in AT_STOP:
        return position.stop
    stop = city.routes.stop_at(route, direction, position.lat, position.lon, within_m)
    if stop is None:
        return None
    return None if city.routes.is_end(route, direction, stop.stop_id) else stop.stop_id


def take(
    passages: Passages, position: VehiclePosition, stop_id: str, city: City, break_after_s: float
) -> tuple[Passages, list[Seen]]:
    """The passages with that of a vehicle at a stop, and the headways that it makes. The same object if it is known."""
    vehicle_id, at_s = position.vehicle_id, position.measured_ms // 1000
    if _find(passages, stop_id, vehicle_id, at_s) is not None:
        return passages, []
    ahead_s = position.schedule_deviation_s
    new = Passage(vehicle_id, at_s, None if ahead_s is None else round(ahead_s))
    added = [*_between(passages, position, stop_id, new, city), (stop_id, new)]
    passages, seen = dict(passages), []
    for at_stop, passage in added:
        before = passages.get(at_stop, ())
        after = tuple(sorted((*before, passage), key=lambda one: one.at_s))[-KEPT:]
        passages[at_stop] = after
        if passage in after:
            place = after.index(passage)
            # Told late it also shortens the headway of the one behind it.
            for follower in after[place : place + 2]:
                seen += _headway(after, after.index(follower), at_stop, break_after_s)
    return passages, seen


def _find(passages: Passages, stop_id: str, vehicle_id: str, at_s: int) -> Passage | None:
    for passage in reversed(passages.get(stop_id, ())):
        if passage.vehicle_id == vehicle_id and abs(at_s - passage.at_s) < SAME_S:
            return passage
    return None


def _between(
    passages: Passages, position: VehiclePosition, stop_id: str, new: Passage, city: City
) -> list[tuple[str, Passage]]:
    """The passages of the stops since the last one where the vehicle was seen, by the metres between them."""
    stops = city.routes.stops(position.route or "", position.direction or 0)
    here = city.routes.order(position.route or "", position.direction or 0).get(stop_id, 0)
    for at in range(here - 1, max(0, here - 1 - SKIPPED_MAX), -1):
        last = _find(passages, stops[at].stop_id, new.vehicle_id, new.at_s)
        if last is None:
            continue
        way_m, span_s = stops[here].along_m - stops[at].along_m, new.at_s - last.at_s
        if way_m <= 0 or span_s <= 0:
            return []
        filled = []
        for stop in stops[at + 1 : here]:
            share = (stop.along_m - stops[at].along_m) / way_m
            filled.append((stop.stop_id, replace(new, at_s=last.at_s + round(span_s * share))))
        return filled
    return []


def _headway(passages: tuple[Passage, ...], place: int, stop_id: str, break_after_s: float) -> list[Seen]:
    """The headway of the passage at `place`, if what it is held against is known."""
    if place == 0:
        return []
    leader, passage = passages[place - 1], passages[place]
    headway_s, usual_s, scheduled = passage.at_s - leader.at_s, None, True
    if passage.scheduled_s is not None and leader.scheduled_s is not None:
        usual_s = float(passage.scheduled_s - leader.scheduled_s)
    if usual_s is None or usual_s < SCHEDULED_MIN_S:
        gaps_s = [b.at_s - a.at_s for a, b in pairwise(passages[:place])]
        usual = [gap_s for gap_s in gaps_s if gap_s <= break_after_s]
        if len(usual) < USUAL_MIN:
            return []
        usual_s, scheduled = median(usual), False
    # After hours without a vehicle the service begins anew.
    if headway_s > break_after_s or usual_s <= 0 or usual_s > break_after_s or passage.vehicle_id == leader.vehicle_id:
        return []
    return [Seen(passage.vehicle_id, leader.vehicle_id, stop_id, passage.at_s * 1000, headway_s, usual_s, scheduled)]

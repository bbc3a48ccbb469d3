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
SAME_MS = 1_200_000
# So many stops are filled in between two seen ones; a longer jump is another trip, or a line that crosses itself.
SKIPPED_MAX = 6
# A timetable that lets two vehicles go at once has no headway there.
SCHEDULED_MIN_S = 60.0
# HFP tells the stop that a vehicle is at; `due` does too before it is there.
AT_STOP = frozenset({"vp", "arr", "ars", "pas", "dep"})


class Passage(Struct, frozen=True, array_like=True, gc=False):
    """One vehicle at one stop."""

    vehicle_id: str
    ms: int
    scheduled_ms: int | None = None


Passages = dict[str, tuple[Passage, ...]]  # stop → the last ones by time, KEPT at most


class Seen(Struct, frozen=True):
    """A headway: of a vehicle, from the one before it."""

    vehicle_id: str
    leader_id: str
    stop_id: str
    at_ms: int
    headway_s: float
    usual_s: float  # scheduled where both vehicles tell their deviation, else usual here


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
    stops = city.routes.stops(route, direction)
    return None if stop.stop_id in (stops[0].stop_id, stops[-1].stop_id) else stop.stop_id


def take(
    passages: Passages, position: VehiclePosition, stop_id: str, city: City, break_after_s: float
) -> tuple[Passages, list[Seen]]:
    """The passages with that of a vehicle at a stop, and the headways that it makes. The same object if it is known."""
    vehicle_id, at_ms = position.vehicle_id, position.measured_ms
    if _find(passages, stop_id, vehicle_id, at_ms) is not None:
        return passages, []
    ahead_s = position.schedule_deviation_s
    new = Passage(vehicle_id, at_ms, None if ahead_s is None else at_ms + int(ahead_s * 1000))
    added = [*_between(passages, position, stop_id, new, city), (stop_id, new)]
    passages, seen = dict(passages), []
    for at_stop, passage in added:
        before = passages.get(at_stop, ())
        after = tuple(sorted((*before, passage), key=lambda one: one.ms))[-KEPT:]
        passages[at_stop] = after
        if passage in after:
            place = after.index(passage)
            # Told late it also shortens the headway of the one behind it.
            for follower in after[place : place + 2]:
                seen += _headway(after, after.index(follower), at_stop, break_after_s)
    return passages, seen


def _find(passages: Passages, stop_id: str, vehicle_id: str, at_ms: int) -> Passage | None:
    for passage in reversed(passages.get(stop_id, ())):
        if passage.vehicle_id == vehicle_id and abs(at_ms - passage.ms) < SAME_MS:
            return passage
    return None


def _between(
    passages: Passages, position: VehiclePosition, stop_id: str, new: Passage, city: City
) -> list[tuple[str, Passage]]:
    """The passages of the stops since the last one where the vehicle was seen, by the metres between them."""
    stops = city.routes.stops(position.route or "", position.direction or 0)
    here = next((at for at, stop in enumerate(stops) if stop.stop_id == stop_id), 0)
    for at in range(here - 1, max(0, here - 1 - SKIPPED_MAX), -1):
        last = _find(passages, stops[at].stop_id, new.vehicle_id, new.ms)
        if last is None:
            continue
        way_m, span_ms = stops[here].along_m - stops[at].along_m, new.ms - last.ms
        if way_m <= 0 or span_ms <= 0:
            return []
        filled = []
        for stop in stops[at + 1 : here]:
            ms = last.ms + int(span_ms * (stop.along_m - stops[at].along_m) / way_m)
            scheduled_ms = None if new.scheduled_ms is None else ms + new.scheduled_ms - new.ms
            filled.append((stop.stop_id, replace(new, ms=ms, scheduled_ms=scheduled_ms)))
        return filled
    return []


def _headway(passages: tuple[Passage, ...], place: int, stop_id: str, break_after_s: float) -> list[Seen]:
    """The headway of the passage at `place`, if what it is held against is known."""
    if place == 0:
        return []
    leader, passage = passages[place - 1], passages[place]
    headway_s = (passage.ms - leader.ms) / 1000
    usual_s = None
    if passage.scheduled_ms is not None and leader.scheduled_ms is not None:
        usual_s = (passage.scheduled_ms - leader.scheduled_ms) / 1000
    if usual_s is None or usual_s < SCHEDULED_MIN_S:
        gaps_s = [(b.ms - a.ms) / 1000 for a, b in pairwise(passages[:place])]
        usual = [gap_s for gap_s in gaps_s if gap_s <= break_after_s]
        if len(usual) < USUAL_MIN:
            return []
        usual_s = median(usual)
    # After hours without a vehicle the service begins anew.
    if headway_s > break_after_s or usual_s <= 0 or usual_s > break_after_s or passage.vehicle_id == leader.vehicle_id:
        return []
    return [Seen(passage.vehicle_id, leader.vehicle_id, stop_id, passage.ms, headway_s, usual_s)]

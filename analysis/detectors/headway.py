"""What bunching and gaps have in common: a headway that is out of bounds at several stops in a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors import passages
from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Change, Finding
from analysis.detectors.passages import Passages, Seen
from analysis.detectors.spell import Values
from city.events import VehiclePosition
from city.rules.transport import Bunching, Gap

Settings = TypeVar("Settings", Bunching, Gap)
# The mean headway of an hour is known from an earlier day with so many (a bus has one at each stop), and follows the
# last so many.
HOUR_KNOWN, HOUR_COUNTS = 15, 400
HOUR_MS, DAY_HOURS = 3_600_000, 24
# Vehicles of one line whose headway is watched at once.
PAIRS_MAX = 32


class Pair(Struct, frozen=True, array_like=True, gc=False):
    """A vehicle and the one before it, while their headway is out of bounds."""

    leader_id: str
    stops: int  # in a row
    seen_ms: int


class Usual(Struct, frozen=True, array_like=True, gc=False):
    """The usual headway of a line without a timetable at an hour of the day."""

    mean_s: float = 0.0
    count: int = 0  # headways that it is the mean of, up to HOUR_COUNTS
    day: int = 0  # since 1970, of the last one
    days: int = 0  # that had any, up to two


class HeadwayState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One direction of one route."""

    route: str
    direction: int
    passages: Passages = {}
    pairs: dict[str, Pair] = {}  # by the vehicle behind
    hours: dict[int, Usual] = {}  # by hour of the day (UTC)
    raised_ms: int | None = None
    values: Values = {}

    @property
    def waits(self) -> bool:
        """Whether time alone can change it."""
        return bool(self.pairs)


def line_key(position: VehiclePosition) -> str | None:
    """Route and direction; None for a vehicle without, or that is only on its way to them (HFP)."""
    if position.route is None or position.direction is None:
        return None
    if position.kind and position.kind.startswith("upcoming/"):
        return None
    return f"{position.route}|{position.direction}"


def detector(
    name: str,
    out_of_bounds: Callable[[Seen, Settings], bool],
    back: Callable[[Seen, Settings], bool],
    usual_of: Callable[[float, float], float],
) -> Detector:
    """The rule `name`: when a headway is out of bounds, and when back in them.

    `usual_of` says which of two usual headways it is held against: that of the last vehicles, and that of this hour.
    """

    def step(
        state: HeadwayState | None, position: VehiclePosition, rule: Settings, city: City
    ) -> tuple[HeadwayState | None, list[Finding]]:
        stop_id = passages.stop_of(position, city, rule.stop_within_m)
        if stop_id is None:
            return state, []
        known = state or HeadwayState(route=position.route or "", direction=position.direction or 0)
        after, seen = passages.take(known.passages, position, stop_id, city, rule.break_after_s)
        if after is known.passages:
            return state, []
        known = replace(known, passages=after)
        found: list[Finding] = []
        for one in seen:
            if not one.scheduled:
                known, one = _by_hour(known, one, usual_of)  # noqa: PLW2901 - the same headway
            if one.usual_s >= rule.usual_min_s and out_of_bounds(one, rule):
                known, more = _more(name, known, one, position, rule, city)
                found += more
            elif back(one, rule) and one.vehicle_id in known.pairs:
                pairs = {vehicle: pair for vehicle, pair in known.pairs.items() if vehicle != one.vehicle_id}
                known, more = _fewer(name, replace(known, pairs=pairs), one.at_ms, rule, position)
                found += more
        return known, found

    def tick(state: HeadwayState, now_ms: int, rule: Settings, city: City) -> tuple[HeadwayState, list[Finding]]:
        after_ms = int(rule.clear_after_s * 1000)
        if now_ms < city.watching_since_ms + after_ms:
            return state, []
        pairs = {vehicle: pair for vehicle, pair in state.pairs.items() if now_ms < pair.seen_ms + after_ms}
        if len(pairs) == len(state.pairs):
            return state, []
        last_ms = max(pair.seen_ms for pair in state.pairs.values()) + after_ms
        return _fewer(name, replace(state, pairs=pairs), last_ms, rule, None)

    return Detector(rule=name, state=HeadwayState, takes=(VehiclePosition,), key=line_key, step=step, tick=tick)


def _by_hour(state: HeadwayState, seen: Seen, usual_of: Callable[[float, float], float]) -> tuple[HeadwayState, Seen]:
    """A headway without a timetable against the usual one of its hour too, which is learnt from it.

    A few vehicles are a rough measure, and in the evening, when every second one goes home, an old one.
    """
    day, hour = divmod(seen.at_ms // HOUR_MS, DAY_HOURS)
    usual = state.hours.get(hour, Usual())
    count = min(usual.count + 1, HOUR_COUNTS)
    # One long gap must not become the measure.
    headway_s = min(seen.headway_s, 3 * seen.usual_s)
    days = min(2, usual.days + (day != usual.day))
    learnt = Usual(round(usual.mean_s + (headway_s - usual.mean_s) / count, 1), count, day, days)
    state = replace(state, hours=state.hours | {hour: learnt})
    # Services change within an hour: what is usual in the next one is no surprise either.
    known = [
        one.mean_s
        for one in (learnt, state.hours.get((hour + 1) % DAY_HOURS, Usual()))
        if one.count >= HOUR_KNOWN and one.days + (one.day != day) >= 2
    ]
    return state, replace(seen, usual_s=usual_of(seen.usual_s, max(known))) if known else seen


def _more(
    name: str, state: HeadwayState, seen: Seen, position: VehiclePosition, rule: Bunching | Gap, city: City
) -> tuple[HeadwayState, list[Finding]]:
    """A headway out of bounds: an alarm at the `confirm_stops`th stop in a row."""
    pair = state.pairs.get(seen.vehicle_id)
    in_a_row = pair.stops + 1 if pair is not None and pair.leader_id == seen.leader_id else 1
    others = {vehicle: one for vehicle, one in state.pairs.items() if vehicle != seen.vehicle_id}
    pairs = dict(list(others.items())[-PAIRS_MAX + 1 :])
    state = replace(state, pairs=pairs | {seen.vehicle_id: Pair(seen.leader_id, in_a_row, seen.at_ms)})
    if in_a_row < rule.confirm_stops or (state.raised_ms is not None and in_a_row > rule.confirm_stops):
        return state, []
    stops = city.routes.stops(state.route, state.direction)
    values: Values = {
        "headway_min": round(seen.headway_s / 60, 1),
        "usual_min": round(seen.usual_s / 60, 1),
        "vehicle": seen.vehicle_id,
        "leader": seen.leader_id,
        "stop": next((stop.name for stop in stops if stop.stop_id == seen.stop_id and stop.name), seen.stop_id),
        "route": state.route,
        "direction": state.direction,
    }
    at_ms = max(seen.at_ms, state.raised_ms or 0)
    change = Change.RAISE if state.raised_ms is None else Change.UPDATE
    state = replace(state, values=values, raised_ms=at_ms if state.raised_ms is None else state.raised_ms)
    return state, [_finding(name, state, change, at_ms, position)]


def _fewer(
    name: str, state: HeadwayState, at_ms: int, rule: Bunching | Gap, position: VehiclePosition | None
) -> tuple[HeadwayState, list[Finding]]:
    """The alarm ends with the last pair that made it."""
    if state.raised_ms is None or any(pair.stops >= rule.confirm_stops for pair in state.pairs.values()):
        return state, []
    found = _finding(name, state, Change.CLEAR, max(at_ms, state.raised_ms), position)
    return replace(state, raised_ms=None, values={}), [found]


def _finding(name: str, state: HeadwayState, change: Change, at_ms: int, position: VehiclePosition | None) -> Finding:
    return Finding(
        rule=name,
        change=change,
        source_kind="route",
        source_id=state.route,
        key=f"{state.route}|{state.direction}",
        raised_ms=at_ms if state.raised_ms is None else state.raised_ms,
        at_ms=at_ms,
        values=state.values,
        lat=position.lat if position else None,
        lon=position.lon if position else None,
        district=position.district if position else None,
        mahalla=position.mahalla if position else None,
        route=state.route,
    )

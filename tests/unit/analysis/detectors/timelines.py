"""Detectors played as the engine plays them: things seen and ticks in, findings out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Change, Finding
from analysis.detectors.seen import WorkerSeen
from analysis.geometry import METRES_PER_DEGREE
from analysis.picture import Picture
from analysis.routes import Routes
from city.events import CameraEvent, CameraStatus, Event, FuelReading, SensorReading, VehiclePosition
from city.messages import Histogram, WorkerFigures
from city.routes import Line, Stop, way_back
from city.rules.rule import Rule

S = 1000
HOUR_S, DAY_S = 3600, 86_400


class Timeline:
    """One detector with the states of all its keys."""

    def __init__(
        self,
        detector: Detector,
        rule: Rule,
        *,
        watching_s: int = 0,
        restarts: bool = False,
        routes: Routes | None = None,
    ) -> None:
        self.detector, self.rule, self.restarts = detector, rule, restarts
        self.city = City(Picture(), routes or Routes(), 80, watching_s * S)
        self.states: dict[str, Any] = {}
        self.found: list[Finding] = []

    def see(self, seen: Any) -> list[Finding]:
        """Show one thing, an event to the picture first."""
        if isinstance(seen, Event):
            self.city.picture.apply(seen)
        if not isinstance(seen, self.detector.takes):
            return []
        key = self.detector.key(seen)
        return (
            [] if key is None else self._keep(key, self.detector.step(self.states.get(key), seen, self.rule, self.city))
        )

    def tick(self, now_s: float) -> list[Finding]:
        """Let the time come to `now_s`."""
        found = []
        for key, state in list(self.states.items()):
            if state.waits and self.detector.tick is not None:
                found += self._keep(key, self.detector.tick(state, int(now_s * S), self.rule, self.city))
        return found

    def _keep(self, key: str, answer: tuple[Any, Sequence[Finding]]) -> list[Finding]:
        state, findings = answer
        if self.restarts and state is not None:
            state = msgspec.json.decode(msgspec.json.encode(state), type=self.detector.state)
        self.states[key] = state
        if state is None:
            del self.states[key]
        for one in findings:
            assert (one.rule, one.key) == (self.detector.rule, key)
        self.found += findings
        stands = [one for one in self.found if one.key == key and one.change is not Change.UPDATE]
        assert all(one.change is not two.change for one, two in pairwise(stands)), "no alternation"
        standing = bool(stands) and stands[-1].change is Change.RAISE
        assert standing == (state is not None and state.raised_ms is not None), "the state does not know its alarm"
        if standing:
            assert state.raised_ms == stands[-1].raised_ms
        return list(findings)


def play(
    detector: Detector,
    rule: Rule,
    moments: Iterable[Any],
    *,
    watching_s: int = 0,
    routes: Routes | None = None,
) -> list[Finding]:
    """What is found of things seen and ticks (numbers: seconds); the same with a restart after each, or all doubled."""
    moments = list(moments)
    plays = []
    for restarts, times in ((False, 1), (True, 1), (False, 2)):
        timeline = Timeline(detector, rule, watching_s=watching_s, restarts=restarts, routes=routes)
        for moment in moments:
            for _ in range(times):
                if isinstance(moment, int | float):
                    timeline.tick(moment)
                else:
                    timeline.see(moment)
        plays.append([one for one in timeline.found if times == 1 or one.change is not Change.UPDATE])
    assert plays[0] == plays[1], "a restart changes what is found"
    assert [one for one in plays[0] if one.change is not Change.UPDATE] == plays[2], (
        "a doubled event changes what is found"
    )
    return plays[0]


def changes(found: Iterable[Finding]) -> list[tuple[str, float]]:
    """(what, second) of each finding."""
    return [(one.change.value, one.at_ms / S) for one in found]


def reading(at_s: float, value: float, *, unit: str = "bar", sensor: str = "s1", **more: Any) -> SensorReading:
    """A sensor's pressure."""
    given = {"quantity": "pressure", "network": "water", "district": "1726262", "mahalla": "1726262001"} | more
    received_s = given.pop("received_s", at_s)
    return SensorReading(
        sensor_id=sensor, value=value, unit=unit, measured_ms=int(at_s * S), received_ms=int(received_s * S), **given
    )


def camera_event(at_s: float, kind: str = "car", **more: Any) -> CameraEvent:
    """A camera's event, a new object each time."""
    received_s = more.pop("received_s", at_s)
    given = {"camera_id": "cam", "event_id": f"e{at_s}", "phase": "new"} | more
    return CameraEvent(kind=kind, measured_ms=int(at_s * S), received_ms=int(received_s * S), **given)


def camera_status(at_s: float, online: bool, **more: Any) -> CameraStatus:
    """Whether the camera is reachable."""
    return CameraStatus(camera_id="cam", measured_ms=int(at_s * S), received_ms=int(at_s * S), online=online, **more)


def position(at_s: float, **more: Any) -> VehiclePosition:
    """A bus of route 7 on the street east of ROUTE's beginning: `east_m` along it, `north_m` beside it."""
    given = {"vehicle_id": "bus", "route": "7", "direction": 1, "speed_mps": 8.0} | more
    received_s = given.pop("received_s", at_s)
    lat = 41.3 + given.pop("north_m", 0.0) / METRES_PER_DEGREE
    lon = 69.2 + given.pop("east_m", 0.0) / (METRES_PER_DEGREE * math.cos(math.radians(41.3)))
    return VehiclePosition(measured_ms=int(at_s * S), received_ms=int(received_s * S), lat=lat, lon=lon, **given)


def street(*, stops: int = 11, apart_m: float = 1000.0) -> Routes:
    """Route 7: a straight street to the east with a stop every `apart_m`, there and back."""
    places = [position(0, east_m=apart_m * number) for number in range(stops)]
    out = Line(
        route="7",
        direction=1,
        points=tuple((place.lat, place.lon) for place in places),
        stops=tuple(
            Stop(stop_id=f"s{number}", name=f"Stop {number}", lat=place.lat, lon=place.lon, along_m=apart_m * number)
            for number, place in enumerate(places)
        ),
        begins="West",
        ends="East",
        length_m=apart_m * (stops - 1),
    )
    return Routes([out, way_back(out)])


def fuel(at_s: float, level_l: float | None, **more: Any) -> FuelReading:
    """A bus's fuel level."""
    given = {"vehicle_id": "bus"} | more
    return FuelReading(measured_ms=int(at_s * S), received_ms=int(at_s * S), level_l=level_l, **given)


def worker(now_s: int, *, at_s: float | None = None, connected: bool = True) -> WorkerSeen:
    """A worker's figures, old ones where `at_s` says so."""
    nothing = Histogram(bounds=(1.0,), counts=(0, 0), total=0)
    figures = WorkerFigures(
        worker="w1", started_ms=0, at_ms=int((now_s if at_s is None else at_s) * S), connected=connected, received=0,
        redelivered=0, batches=0, queued=0, in_flight=0, batch_messages=nothing, store_s=nothing, lag_s=nothing,
        arrivals={},
    )  # fmt: skip
    return WorkerSeen(figures=figures, now_ms=now_s * S)

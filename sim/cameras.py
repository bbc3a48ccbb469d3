"""Cameras at stops and crossings: where they stand, what they recognise, when they fail."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable

import numpy as np
from msgspec import Struct

from sim.messages import CameraEvent, CameraStatus, Outgoing, camera_topics, encode
from sim.network import Network
from sim.truth import Anomaly

# Share of cameras at crossings, while there are crossings enough.
_CROSSING_SHARE = 0.3
_EVENTS_PER_CAMERA_S = 1 / 45
_KINDS = ("person", "car", "crowd", "violation")
_KIND_SHARES = (0.46, 0.43, 0.06, 0.05)
_ALERT_KINDS = ("accident", "smoke", "fire")
_ALERT_SHARES = (0.6, 0.25, 0.15)
_ALERT_EVERY_S = 300.0  # over all cameras
_FIRST_ALERT_S = (75.0, 150.0)
_ALERT_LASTS_S = (90.0, 300.0)
_OFFLINE_SHARE = 0.03
_OUTAGE_MEAN_S = 1200.0
_OUTAGE_MIN_S = 60.0
_STATUS_EVERY_S = 300.0
# Statuses of the whole city are told within seconds, not in one burst.
_STATUSES_A_STEP = 8
_ZONES = ("bus_lane", "crossing", "stop_line", "pavement")
_PLATE_LETTERS = "ABCDEFGHJKLMNOPQRSTUVXYZ"


class Camera(Struct, frozen=True):
    """A camera and its place."""

    camera_id: str
    name: str
    lat: float
    lon: float


def place_cameras(network: Network, count: int, seed: int) -> list[Camera]:
    """`count` cameras at stops and crossings, the same for the same seed."""
    rng = np.random.default_rng([seed, 2])
    stops = {stop.stop_id: stop for line in network.lines for stop in line.stops}
    at_stops = [(stop.name or stop.stop_id, stop.lat, stop.lon) for _, stop in sorted(stops.items())]
    at_crossings = []
    for crossing in network.crossings:
        near = min(stops.values(), key=lambda s: (s.lat - crossing.lat) ** 2 + (s.lon - crossing.lon) ** 2)
        at_crossings.append((f"{near.name} · {' × '.join(crossing.routes)}", crossing.lat, crossing.lon))
    wanted = min(int(count * _CROSSING_SHARE), len(at_crossings))
    order = [at_crossings[i] for i in rng.permutation(len(at_crossings))[:wanted]]
    order += [at_stops[i] for i in rng.permutation(len(at_stops))]
    cameras = []
    for number in range(count):
        name, lat, lon = order[number % len(order)]
        # A second camera at one place looks from the other side of the street.
        around = number // len(order)
        cameras.append(Camera(f"cam-{number + 1:04d}", name, round(lat + 0.00015 * around, 6), round(lon, 6)))
    return cameras


class CameraWatch:
    """What the cameras say as time goes on. `stamp` turns simulated seconds into the wire's time."""

    def __init__(
        self, city: str, cameras: list[Camera], rng: np.random.Generator, stamp: Callable[[float], str],
        epoch_ms: Callable[[float], int],
    ) -> None:  # fmt: skip
        self._cameras = cameras
        self._topics = [camera_topics(city, camera.camera_id) for camera in cameras]
        self._rng = rng
        self._stamp = stamp
        self._epoch_ms = epoch_ms
        self.online = [True] * len(cameras)
        self._repairs: list[tuple[float, int]] = []  # (time, camera)
        self._endings: list[tuple[float, int, int, str, str]] = []  # (time, number, camera, kind, event id)
        self._tell: deque[int] = deque()
        self._events = 0
        self._started = False
        self._next_event_s = self._next_break_s = self._next_alert_s = self._next_status_s = float("inf")
        self._status_turn = 0

    def announce(self) -> None:
        """Say every camera's status soon: at the start, and to a broker that may have lost them."""
        self._tell = deque(range(len(self._cameras)))

    def step(self, t: float, activity: float, out: list[Outgoing] | None) -> list[Anomaly]:
        """Everything due by `t` goes to `out` (None: nobody listens); returns what was planted."""
        if not self._cameras:
            return []
        planted = [] if self._started else self._start(t)
        while self._next_event_s <= t:
            self._next_event_s += self._wait(1 / (_EVENTS_PER_CAMERA_S * len(self._cameras) * activity))
            self._ordinary_event(t, out)
        while self._next_alert_s <= t:
            self._next_alert_s += max(self._wait(_ALERT_EVERY_S), 20.0)
            planted += self._alert(t, out)
        while self._endings and self._endings[0][0] <= t:
            _, _, camera, kind, event_id = heapq.heappop(self._endings)
            self._say(camera, self._event(t, kind, event_id, severity="alert", phase="end"), out)
        while self._next_break_s <= t:
            self._next_break_s += self._wait(self._break_every_s())
            camera = int(self._rng.integers(len(self._cameras)))
            if self.online[camera]:
                planted.append(self._break(camera, t))
        while self._repairs and self._repairs[0][0] <= t:
            _, camera = heapq.heappop(self._repairs)
            self.online[camera] = True
            self._tell_soon(camera)
        while self._next_status_s <= t:
            self._next_status_s += _STATUS_EVERY_S / len(self._cameras)
            self._status_turn = (self._status_turn + 1) % len(self._cameras)
            self._tell_soon(self._status_turn)
        for _ in range(min(len(self._tell), _STATUSES_A_STEP) if out is not None else 0):
            self._say_status(self._tell.popleft(), t, out)
        return planted

    def _start(self, t: float) -> list[Anomaly]:
        self._started = True
        self._next_event_s = t
        self._next_alert_s = t + self._rng.uniform(*_FIRST_ALERT_S)
        self._next_break_s = t + self._wait(self._break_every_s())
        self._next_status_s = t + 5.0
        broken = np.flatnonzero(self._rng.random(len(self._cameras)) < _OFFLINE_SHARE)
        planted = [self._break(int(camera), t) for camera in broken]
        self.announce()
        return planted

    def _tell_soon(self, camera: int) -> None:
        # Twice in one step would be two statuses of one time, of which Markaz takes one.
        if camera not in self._tell:
            self._tell.append(camera)

    def _break_every_s(self) -> float:
        # In balance, the share of cameras offline is outage / (outage + time between two failures).
        return _OUTAGE_MEAN_S * (1 - _OFFLINE_SHARE) / _OFFLINE_SHARE / len(self._cameras)

    def _break(self, camera: int, t: float) -> Anomaly:
        lasts_s = _OUTAGE_MIN_S + self._wait(_OUTAGE_MEAN_S - _OUTAGE_MIN_S)
        self.online[camera] = False
        self._tell_soon(camera)
        heapq.heappush(self._repairs, (t + lasts_s, camera))
        return Anomaly(
            kind="camera_offline",
            entity=self._cameras[camera].camera_id,
            start_ms=self._epoch_ms(t),
            end_ms=self._epoch_ms(t + lasts_s),
            numbers={"lasts_s": lasts_s},
        )

    def _ordinary_event(self, t: float, out: list[Outgoing] | None) -> None:
        rng = self._rng
        camera = int(rng.integers(len(self._cameras)))
        kind = _KINDS[int(rng.choice(len(_KINDS), p=_KIND_SHARES))]
        score, many, zone = float(rng.uniform(0.6, 0.99)), int(rng.poisson(18)), int(rng.integers(len(_ZONES)))
        letters, digits = rng.integers(len(_PLATE_LETTERS), size=3), int(rng.integers(1000))
        if not self.online[camera]:
            return
        event = self._event(t, kind, self._event_id(t), score=score)
        if kind == "crowd":
            event.count = 8 + many
        elif kind == "violation":
            event.zone = _ZONES[zone]
            first, second, third = (_PLATE_LETTERS[int(i)] for i in letters)
            event.plate = f"01{first}{digits:03d}{second}{third}"
        self._say(camera, event, out)

    def _alert(self, t: float, out: list[Outgoing] | None) -> list[Anomaly]:
        rng = self._rng
        camera = int(rng.choice(np.flatnonzero(self.online))) if any(self.online) else None
        kind = _ALERT_KINDS[int(rng.choice(len(_ALERT_KINDS), p=_ALERT_SHARES))]
        score, lasts_s = float(rng.uniform(0.75, 0.99)), float(rng.uniform(*_ALERT_LASTS_S))
        if camera is None:
            return []
        event_id = self._event_id(t)
        self._say(camera, self._event(t, kind, event_id, severity="alert", score=score), out)
        heapq.heappush(self._endings, (t + lasts_s, self._events, camera, kind, event_id))
        planted = Anomaly(
            kind="camera_alert",
            entity=self._cameras[camera].camera_id,
            start_ms=self._epoch_ms(t),
            end_ms=self._epoch_ms(t + lasts_s),
            numbers={"score": score},
            detail=kind,
        )
        return [planted]

    def _event_id(self, t: float) -> str:
        self._events += 1
        return f"{self._epoch_ms(t)}-{self._events}"

    def _event(
        self, t: float, kind: str, event_id: str, *, severity: str = "info", phase: str = "new", score: float = 0.9
    ) -> CameraEvent:
        return CameraEvent(self._stamp(t), kind, severity, event_id, phase, round(score, 2))

    def _say(self, camera: int, event: CameraEvent, out: list[Outgoing] | None) -> None:
        if out is not None and self.online[camera]:
            out.append(Outgoing(self._topics[camera][0], encode(event)))

    def _say_status(self, number: int, t: float, out: list[Outgoing] | None) -> None:
        camera = self._cameras[number]
        status = CameraStatus(self._stamp(t), self.online[number], camera.lat, camera.lon, camera.name)
        if out is not None:
            out.append(Outgoing(self._topics[number][1], encode(status), retain=True))

    def _wait(self, mean_s: float) -> float:
        return float(self._rng.exponential(mean_s))

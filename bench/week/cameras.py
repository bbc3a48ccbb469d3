"""Cameras through the week: what they recognise, and what goes wrong with them."""

from __future__ import annotations

import random

from city.events import CameraEvent, CameraStatus, Event
from week.truth import DAY_S, HOUR_S, Truth, TruthBook, ms

STATUS_EVERY_S = 600.0
# Share of the busiest hour's events by hour of the day.
BUSY = (0.12, 0.08, 0.06, 0.06, 0.08, 0.15, 0.4, 0.8, 1.0, 0.9, 0.8, 0.8, 0.85, 0.85, 0.8, 0.8, 0.85, 0.95, 1.0, 0.85,
        0.6, 0.45, 0.3, 0.2)  # fmt: skip
LEARNS_DAYS = 3  # what it usually tells nobody knows before
ORDINARY = ("car", "person", "violation")


class Camera:
    """One camera; its troubles are drawn at the beginning."""

    def __init__(self, number: int, days: int, truths: TruthBook, chance: random.Random) -> None:
        self.camera_id, self._chance, self._truths = f"cam-{number:03d}", chance, truths
        self._busiest = chance.choice((15.0, 45.0, 60.0, 90.0))
        self._scores = chance.random() < 0.85
        self._offline: list[tuple[float, float]] = []
        self._silent: list[tuple[float, float]] = []
        self._frozen: list[tuple[float, float]] = []
        self._storms: list[tuple[float, float, float]] = []  # events a minute
        self._alerts: list[tuple[float, float, str, int | None, bool]] = []
        self._next_status_s = chance.uniform(0, STATUS_EVERY_S)
        self._objects = 0
        self._taken: list[tuple[float, float]] = []
        for day in range(days):
            self._plan(day)

    def _plan(self, day: int) -> None:
        chance, midnight = self._chance, day * DAY_S
        if day >= LEARNS_DAYS and chance.random() < 0.06 and self._busiest >= 45:
            begin_s = midnight + chance.uniform(8, 12) * HOUR_S
            span = self._free(begin_s, chance.uniform(4, 7) * HOUR_S)
            if span and chance.random() < 0.5:
                self._silent.append(span)
                self._true("camera_frozen", span, label="silent")
            elif span and self._scores:
                self._frozen.append(span)
                self._true("camera_frozen", span, label="repeats")
        if chance.random() < 0.1 and (span := self._anywhere(midnight, chance.uniform(300, 6 * HOUR_S))):
            self._offline.append(span)
            self._true("camera_offline", span, slack_s=60)
        if chance.random() < 0.3 and (span := self._anywhere(midnight, chance.uniform(4, 20))):
            self._offline.append(span)  # it starts anew: nobody's business
        if chance.random() < 0.05 and (span := self._anywhere(midnight, chance.uniform(180, 900))):
            storm = chance.random() < 0.6
            self._storms.append((*span, chance.uniform(200, 600) if storm else chance.uniform(30, 70)))
            if storm:
                self._true("camera_storm", span, slack_s=120)
        for kind in ("fire", "smoke", "accident", "crowd"):
            if chance.random() >= 0.02:
                continue
            begin_s = midnight + chance.uniform(0, DAY_S - HOUR_S)
            span = (begin_s, begin_s + chance.uniform(60, 1200))
            if any(begin < span[1] + 1800 and end > span[0] - 1800 for begin, end in (*self._offline, *self._silent)):
                continue
            people = None
            if kind == "crowd":
                people = chance.choice((chance.randint(10, 40), chance.randint(65, 400)))
            ends = chance.random() < 0.7
            self._alerts.append((*span, kind, people, ends))
            if people is None or people > 50:
                key = f"{self.camera_id}|{kind}"
                self._truths.add(
                    Truth(rule="camera_alert", key=key, start_s=span[0], end_s=span[1], label=kind, slack_s=60)
                )

    def _true(self, rule: str, span: tuple[float, float], label: str = "", slack_s: float = 900.0) -> None:
        self._truths.add(
            Truth(rule=rule, key=self.camera_id, start_s=span[0], end_s=span[1], label=label, slack_s=slack_s)
        )

    def _anywhere(self, midnight: float, lasts_s: float) -> tuple[float, float] | None:
        return self._free(midnight + self._chance.uniform(0, DAY_S), lasts_s)

    def _free(self, begin_s: float, lasts_s: float) -> tuple[float, float] | None:
        """One trouble at a time."""
        span = (begin_s, begin_s + lasts_s)
        if any(begin < span[1] + HOUR_S and end > span[0] - HOUR_S for begin, end in self._taken):
            return None
        self._taken.append(span)
        return span

    # --- what it says -----------------------------------------------------------------------------

    def window(self, begin_s: float, end_s: float) -> list[Event]:
        """Everything of one hour."""
        chance = self._chance
        found: list[Event] = []
        while self._next_status_s < end_s:
            at_s, self._next_status_s = self._next_status_s, self._next_status_s + STATUS_EVERY_S
            if not _within(self._offline, at_s):
                found.append(self._status(at_s, online=True))
        for from_s, to_s in self._offline:
            if begin_s <= from_s < end_s:
                found.append(self._status(from_s, online=False))
            if begin_s <= to_s < end_s:
                found.append(self._status(to_s, online=True))
        wish = self._busiest * BUSY[int(begin_s % DAY_S // HOUR_S)] * (0.7 if begin_s // DAY_S % 7 >= 5 else 1.0)
        events = max(0, round(chance.gauss(wish, wish**0.5)))
        for _ in range(events):
            found += self._object(chance.uniform(begin_s, end_s), end_s)
        for from_s, to_s, a_minute in self._storms:
            at_s = max(begin_s, from_s)
            while at_s < min(end_s, to_s):
                found += self._object(at_s, end_s)
                at_s += 60 / a_minute
        for from_s, to_s, kind, people, ends in self._alerts:
            found += self._alert(from_s, to_s, kind, people, ends, begin_s, end_s)
        return found

    def _object(self, at_s: float, end_s: float) -> list[Event]:
        if _within(self._offline, at_s) or _within(self._silent, at_s):
            return []
        chance = self._chance
        self._objects += 1
        if _within(self._frozen, at_s):
            kind, score, zone = "car", 0.8125, "street"
        else:
            kind, score, zone = chance.choice(ORDINARY), round(chance.uniform(0.5, 0.99), 3), "street"
        name = f"{self.camera_id}-{self._objects}"
        told = score if self._scores else None
        found: list[Event] = [self._event(at_s, kind, name, "new", told, zone)]
        if chance.random() < 0.4 and at_s + 9 < end_s:
            found.append(self._event(at_s + chance.uniform(2, 8), kind, name, "end", told, zone))
        return found

    def _alert(
        self, from_s: float, to_s: float, kind: str, people: int | None, ends: bool, begin_s: float, end_s: float
    ) -> list[Event]:
        found: list[Event] = []
        name, at_s, phase = f"{self.camera_id}-{kind}-{from_s:.0f}", from_s, "new"
        while at_s < to_s:
            if begin_s <= at_s < end_s:
                found.append(self._event(at_s, kind, name, phase, 0.9, None, people))
            at_s, phase = at_s + 20, "update"
        if ends and begin_s <= to_s < end_s:
            found.append(self._event(to_s, kind, name, "end", 0.9, None, people))
        return found

    def _event(
        self, at_s: float, kind: str, name: str, phase: str, score: float | None, zone: str | None,
        count: int | None = None,
    ) -> CameraEvent:  # fmt: skip
        return CameraEvent(
            measured_ms=ms(at_s), received_ms=ms(at_s) + 300, camera_id=self.camera_id, kind=kind, event_id=name,
            phase=phase, score=score, zone=zone, count=count,
        )  # fmt: skip

    def _status(self, at_s: float, *, online: bool) -> CameraStatus:
        return CameraStatus(
            measured_ms=ms(at_s), received_ms=ms(at_s) + 300, camera_id=self.camera_id, online=online, lat=41.3,
            lon=69.28, district="1726269", mahalla=None,
        )  # fmt: skip


def _within(spans: list[tuple[float, float]], at_s: float) -> bool:
    return any(begin <= at_s < end for begin, end in spans)

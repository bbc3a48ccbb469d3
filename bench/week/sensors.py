"""Sensors of four utility networks in three districts, and what goes wrong with them."""

from __future__ import annotations

import math
import random

from msgspec import Struct

from city.events import Event, SensorReading
from week.truth import DAY_S, HOUR_S, Truth, TruthBook, ms


class Kind(Struct, frozen=True, kw_only=True):
    """What the sensors of a network measure."""

    network: str
    quantity: str
    unit: str
    usual: float
    daily: float  # swings by so much through the day
    noise: float
    step: float
    beyond: float | None  # clearly out of bounds …
    hover: float | None  # … and right at the bound
    hover_noise: float = 0.0


KINDS = (
    Kind(network="electricity", quantity="voltage", unit="V", usual=230, daily=6, noise=1.2, step=0.1, beyond=258, hover=253.6, hover_noise=2),  # noqa: E501
    Kind(network="water", quantity="pressure", unit="bar", usual=4, daily=0.3, noise=0.04, step=0.01, beyond=1.2, hover=1.95, hover_noise=0.1),  # noqa: E501
    Kind(network="gas", quantity="pressure", unit="kPa", usual=3, daily=0.2, noise=0.03, step=0.01, beyond=1.3, hover=1.78, hover_noise=0.05),  # noqa: E501
    Kind(network="heat", quantity="temperature", unit="°C", usual=65, daily=5, noise=0.3, step=0.5, beyond=None, hover=None),  # noqa: E501
)  # fmt: skip
DISTRICTS = {"1726262": ("1726262001", "1726262002"), "1726264": ("1726264001", "1726264002"),
             "1726266": ("1726266001", "1726266002")}  # fmt: skip
OF_EACH = 8  # sensors of a network in a district, half of them in each mahalla


class Trouble(Struct, frozen=True):
    """What a sensor says wrongly, or what is wrong at it."""

    kind: str  # beyond, hover, spike, leap, flat, missing, hole, dead
    begin_s: float
    end_s: float
    size: float = 0.0


class Sensor:
    """One sensor; its troubles are drawn at the beginning."""

    def __init__(
        self, kind: Kind, number: int, district: str, days: int, truths: TruthBook, chance: random.Random
    ) -> None:
        self.kind, self.district, self._chance, self._truths = kind, district, chance, truths
        self.mahalla = DISTRICTS[district][number % 2]
        self.sensor_id = f"{kind.network}-{district}-{number}"
        self.every_s = 60.0 if number % 4 < 2 else 300.0
        self._next_s = chance.uniform(0, self.every_s)
        self._wave = 0.0
        self._held: float | None = None
        self.troubles: list[Trouble] = []
        for day in range(days):
            self._plan(day)

    def _plan(self, day: int) -> None:
        chance, midnight = self._chance, day * DAY_S
        draw = (
            ("beyond", 0.03, chance.uniform(600, 5400)),
            ("hover", 0.02, chance.uniform(2400, 7200)),
            ("spike", 0.1, 0.9 * self.every_s),
            ("leap", 0.03, chance.uniform(2400, 5400)),
            ("flat", 0.02 if day >= 2 else 0.0, chance.uniform(14, 30) * HOUR_S),
            ("missing", 0.03, chance.uniform(3, 20) * HOUR_S),
            ("hole", 0.1, chance.uniform(300, 1200)),
        )
        for kind, share, lasts_s in draw:
            if chance.random() < share:
                self.add(
                    Trouble(kind, *self._span(midnight + chance.uniform(0, DAY_S), lasts_s), chance.uniform(1.7, 2.4))
                )

    def _span(self, begin_s: float, lasts_s: float) -> tuple[float, float]:
        return begin_s, begin_s + lasts_s

    def add(self, trouble: Trouble) -> None:
        """One at a time, and none of which the network knows nothing."""
        kind, day_s = self.kind, 2 * HOUR_S
        if any(one.begin_s < trouble.end_s + day_s and one.end_s > trouble.begin_s - day_s for one in self.troubles):
            return
        if trouble.kind in ("beyond", "hover") and kind.beyond is None:
            return
        if trouble.kind == "leap" and kind.network != "water":
            return
        self.troubles.append(trouble)
        often = self.every_s == 60
        falls = kind.network == "water" and trouble.kind in ("beyond", "hover", "dead")
        if trouble.kind in ("beyond", "hover") or (trouble.kind == "dead" and kind.beyond is not None):
            self._true("sensor_threshold", trouble, label=trouble.kind)
        if trouble.kind == "spike" and not often:
            # One reading is all that there is for five minutes.
            self._true("sensor_threshold", trouble, must=False)
        if trouble.kind == "leap" or falls:
            self._true("sensor_rate", trouble, must=often and trouble.kind == "leap")
        if trouble.kind == "flat":
            self._true("sensor_flat", trouble, slack_s=2 * self.every_s)
        if trouble.kind == "missing" or (trouble.kind == "dead" and kind.beyond is None):
            self._true("sensor_missing", trouble, slack_s=2 * self.every_s)

    def _true(self, rule: str, trouble: Trouble, *, must: bool = True, label: str = "", slack_s: float = 600) -> None:
        key = f"{self.sensor_id}|{self.kind.quantity}"
        self._truths.add(
            Truth(
                rule=rule,
                key=key,
                start_s=trouble.begin_s,
                end_s=trouble.end_s,
                must=must,
                label=label,
                slack_s=slack_s,
            )
        )

    def window(self, begin_s: float, end_s: float) -> list[Event]:
        """Everything measured in a time."""
        found: list[Event] = []
        while self._next_s < end_s:
            at_s = self._next_s
            self._next_s += self.every_s * self._chance.uniform(0.97, 1.03)
            value = self._value(at_s)
            if value is None:
                continue
            found.append(
                SensorReading(
                    measured_ms=ms(at_s), received_ms=ms(at_s) + 800, sensor_id=self.sensor_id,
                    quantity=self.kind.quantity, value=value, unit=self.kind.unit, lat=41.3, lon=69.25,
                    network=self.kind.network, district=self.district, mahalla=self.mahalla,
                )
            )  # fmt: skip
        return found

    def _value(self, at_s: float) -> float | None:
        kind, chance = self.kind, self._chance
        self._wave = 0.9 * self._wave + chance.gauss(0, 0.45 * kind.noise)
        value = kind.usual + kind.daily * math.sin(2 * math.pi * at_s / DAY_S) + self._wave
        trouble = next((one for one in self.troubles if one.begin_s <= at_s < one.end_s), None)
        if trouble is None or trouble.kind != "flat":
            self._held = None
        if trouble is not None:
            if trouble.kind in ("missing", "hole") or (trouble.kind == "dead" and kind.beyond is None):
                return None
            if trouble.kind == "flat":
                self._held = self._scaled(value) if self._held is None else self._held
                return self._held
            if trouble.kind == "dead":
                value = 0.0
            elif trouble.kind == "beyond":
                value = (kind.beyond or 0.0) + self._wave
            elif trouble.kind == "hover":
                value = (kind.hover or 0.0) + chance.uniform(-1, 1) * kind.hover_noise
            elif trouble.kind == "spike":
                value *= 3
            elif trouble.kind == "leap":
                # Down within three minutes, and slowly up again.
                value -= trouble.size * min(1.0, (at_s - trouble.begin_s) / 150, (trouble.end_s - at_s) / 1500)
        return self._scaled(value)

    def _scaled(self, value: float) -> float:
        return round(round(value / self.kind.step) * self.kind.step, 3)


def all_sensors(days: int, truths: TruthBook, chance: random.Random) -> list[Sensor]:
    """The sensors of all networks, some of which fail in a whole district."""
    sensors = [
        Sensor(kind, number, district, days, truths, random.Random(chance.random()))
        for kind in KINDS
        for district in DISTRICTS
        for number in range(OF_EACH)
    ]
    for day in range(days):
        for kind in KINDS:
            if chance.random() < 0.25:
                _fail(
                    kind,
                    chance.choice(tuple(DISTRICTS)),
                    day * DAY_S + chance.uniform(1, 20) * HOUR_S,
                    sensors,
                    truths,
                    chance,
                )
    return sensors


def _fail(
    kind: Kind, district: str, at_s: float, sensors: list[Sensor], truths: TruthBook, chance: random.Random
) -> None:
    """A feeder trips, a main bursts: all sensors of a district within five minutes."""
    there = [one for one in sensors if one.kind is kind and one.district == district]
    end_s = at_s + chance.uniform(2.5, 5) * HOUR_S
    begins = {one.sensor_id: at_s + chance.uniform(0, 300) for one in there}
    dead = []
    for one in there:
        before = len(one.troubles)
        one.add(Trouble("dead", begins[one.sensor_id], end_s))
        if len(one.troubles) > before:
            dead.append(one)
    for area in (district, *DISTRICTS[district]):
        rule = "network_failure" if area == district else "network_failure_local"
        hit = [one for one in dead if area in (one.district, one.mahalla)]
        enough = len(hit) >= (6 if area == district else 3)
        truths.add(
            Truth(rule=rule, key=f"{kind.network}|{area}", start_s=at_s, end_s=end_s, must=enough, slack_s=1_800)
        )

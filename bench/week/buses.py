"""One bus through the week: what it drives and what befalls it. What it says of that is in `tellings`."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from week import grown
from week.lines import Place, Track, apart_m
from week.tanks import Flow, Gauge, Tank
from week.timetable import SERVICE_S, cycle_s, scheduled_s
from week.trips import Incident, Leg, Trip, Visit, beside
from week.truth import DAY_S, HOUR_S, MINUTE_S, Truth, TruthBook

SIZES_L = (4.0, 8.0, 12.0, 20.0, 40.0, 80.0)
# Of a trip: what may befall it, and how often.
BEFALLS = (
    ("breakdown", 0.004),
    ("jam", 0.05),
    ("hold", 0.005),
    ("speeding", 0.005),
    ("spurt", 0.02),
    ("crowd", 0.006),
    ("crush", 0.02),
    ("detour", 0.006),
    ("sidestep", 0.012),
    ("silent", 0.005),
    ("tunnel", 0.03),
)
THEFT_A_DAY = 0.3  # of a vehicle that is robbed at all


@dataclass(frozen=True)
class Service:
    """A route's buses."""

    there: Track
    back: Track
    depot: Place
    buses: int
    tells_schedule: bool
    busy: float  # load factor of its fullest stretch in the busiest hour
    electric: bool

    @property
    def headway_s(self) -> float:
        return cycle_s(self.there, self.back) / self.buses


@dataclass
class Bus:
    """A bus, its week so far, and how its devices are."""

    vehicle_id: str
    number: int  # of its route's
    service: Service
    truths: TruthBook
    chance: random.Random
    robbed: bool
    tank: Tank = field(init=False)
    capacity: int = field(init=False)
    parked_every_s: float = field(init=False)
    sleeps: bool = field(init=False)
    tells_speed: bool = field(init=False)
    tells_ignition: bool = field(init=False)
    tells_capacity: bool = field(init=False)
    legs: list[Leg] = field(default_factory=list)
    trips: list[Trip] = field(default_factory=list)  # of the day
    visits: list[Visit] = field(default_factory=list)  # of the day
    mutes: list[tuple[float, float]] = field(default_factory=list)
    odometer_m: float = 0.0

    def __post_init__(self) -> None:
        chance = self.chance
        self.capacity = chance.choice((80, 90, 105))
        self.sleeps = chance.random() < 0.2
        self.parked_every_s = 60.0 if self.sleeps or chance.random() < 0.6 else 600.0
        self.tells_speed, self.tells_ignition = chance.random() < 0.88, chance.random() < 0.85
        self.tells_capacity = chance.random() < 0.8
        if not self.tells_capacity:
            self.capacity = 80  # as the city takes it to be
        self.odometer_m = chance.uniform(20, 400) * 1e6 / 1e3
        gauge = Gauge(
            unit=chance.choices(("litres", "percent", "both"), (70, 20, 10))[0],
            road_l=9.0 if chance.random() < 0.4 else chance.uniform(2, 6),
            rest_l=2.0 if chance.random() < 0.4 else chance.uniform(0.2, 0.6),
            manner=chance.choice(("scattered", "waves", "slopes")),
            step_l=chance.choice((0.1, 0.1, 0.5, 1.0)),
        )
        capacity_l = chance.choice((200.0, 250.0, 300.0))
        level_l = capacity_l * chance.uniform(0.4, 0.95)
        self.tank = Tank(capacity_l, level_l, chance.uniform(0.3, 0.38) / 1000, gauge, random.Random(chance.random()))
        self.tank.odometer_m = self.odometer_m

    # --- a day ------------------------------------------------------------------------------------

    def plan(self, day: int) -> None:
        """Drive a day: legs without a hole until the next midnight."""
        begins_s = self.legs[-1].end_s if self.legs else 0.0
        end_s = (day + 1) * DAY_S
        tracks, starts_s, last_s = self._departures(day)
        self.legs = self.legs[-1:]
        self.trips, self.visits = [], []
        depot, chance = self.service.depot, self.chance
        drive_s = apart_m(depot, tracks[0].at(0.0)) / 8.0
        out_s = max(begins_s + 60, starts_s - drive_s - chance.uniform(60, 240))
        warm_s = chance.uniform(180, 480)
        night = (begins_s, max(begins_s + 30, out_s - warm_s))
        self._park(*night, engine=False)
        self._park(night[1], out_s, engine=True)
        # Half of the drivers set the route in the depot, where that is near.
        shown = self.number % 2 == 0 and drive_s * 8 < 3000
        at_s = self._transfer(out_s, depot, tracks[0].at(0.0), shown=shown)
        scheduled, robbed = starts_s, False
        service, turn = self.service, 0
        while scheduled < last_s:
            track = tracks[turn % 2]
            theft = self._theft_here(day) if turn and not robbed and at_s < last_s - 2 * HOUR_S else None
            leaves_s = max(scheduled, at_s + (150 if turn else 20)) + chance.expovariate(1 / 15)
            if theft is not None:
                leaves_s = max(leaves_s, at_s + theft[2] + 600)
                robbed = True
            self._layover(at_s, leaves_s, track, theft)
            trip = Trip(
                track,
                self.vehicle_id,
                scheduled_s(track, scheduled),
                service.headway_s,
                self.capacity,
                service.busy,
                self._befall(track),
            )
            self._beside(trip)
            at_s = trip.drive(leaves_s, chance)
            self.trips.append(trip)
            self.visits += trip.visits
            self.legs += trip.legs
            self._tell_of(trip)
            grown.overloads(trip, self.truths)
            turn += 1
            scheduled += cycle_s(service.there, service.back) / 2
        back_shown = chance.random() < 0.1
        in_s = self._transfer(at_s + 120, tracks[(turn - 1) % 2].at(1e9), depot, shown=back_shown, after=at_s)
        if back_shown:
            self._true("off_route", at_s, in_s, must=False, label="on its way to the depot")
        self._evening(in_s, max(end_s, in_s + 600), robbed)
        if day and not robbed:
            self._at_night(night)
        self._count_metres()
        if service.tells_schedule:
            grown.delays(self.vehicle_id, self.visits, self.truths)

    def _departures(self, day: int) -> tuple[tuple[Track, Track], float, float]:
        """The two tracks in the order of the day, its first departure, and when the last one must have been."""
        service = self.service
        cycle = cycle_s(service.there, service.back)
        offset_s = self.number * service.headway_s
        first_s = day * DAY_S + SERVICE_S[0] + offset_s
        # Every second bus goes home after the evening's peak.
        last_s = day * DAY_S + (SERVICE_S[1] - 1.2 * HOUR_S if self.number % 2 else 20.5 * HOUR_S)
        if offset_s >= cycle / 2:
            return (service.back, service.there), first_s - cycle / 2, last_s
        return (service.there, service.back), first_s, last_s

    def _park(self, begin_s: float, end_s: float, *, engine: bool) -> None:
        depot = self.service.depot
        if end_s > begin_s:
            self.legs.append(
                Leg(begin_s=begin_s, end_s=end_s, start=depot, end=depot, engine=engine, route_shown=False)
            )

    def _transfer(self, begin_s: float, start: Place, end: Place, *, shown: bool, after: float | None = None) -> float:
        if after is not None and begin_s > after:
            self.legs.append(Leg(begin_s=after, end_s=begin_s, start=start, end=start, route_shown=False))
        way_m = apart_m(start, end)
        leg = Leg(begin_s=begin_s, end_s=begin_s + way_m / 8, start=start, end=end, route_shown=shown, way_m=way_m)
        self.legs.append(leg)
        return leg.end_s

    def _layover(self, at_s: float, leaves_s: float, track: Track, theft: tuple[float, float, float] | None) -> None:
        off = theft is not None or self.chance.random() < 0.6
        place = track.at(0.0)
        self.legs.append(Leg(begin_s=at_s, end_s=leaves_s, start=place, end=place, engine=not off))
        if theft is not None:
            _, litres, lasts_s = theft
            begin_s = at_s + self.chance.uniform(200, 300)
            self._steal(begin_s, lasts_s, litres, "terminal")

    # --- what befalls it --------------------------------------------------------------------------

    def _befall(self, track: Track) -> list[Incident]:
        chance, links = self.chance, len(track.stops_m) - 1
        found = []
        for kind, share in BEFALLS[:7]:
            if chance.random() >= share:
                continue
            link = chance.randint(2, links - 4)
            size, stops = {
                "breakdown": (chance.uniform(720, 1800), 1),
                "jam": (chance.uniform(60, 300), 1),
                "hold": (chance.uniform(700, 1500), 1),
                "speeding": (chance.uniform(22.5, 27), chance.randint(4, 6)),
                "spurt": (chance.uniform(20.5, 23), 1),
                "crowd": (chance.uniform(1.35, 1.6), chance.randint(7, 14)),
                "crush": (chance.uniform(1.22, 1.4), 1),
            }[kind]
            found.append(Incident(kind, link, size, stops))
        return found

    def _beside(self, trip: Trip) -> None:
        chance, track = self.chance, trip.track
        for kind, share in BEFALLS[7:9]:
            if trip.shift is None and chance.random() < share and track.length_m > 8000:
                from_m = chance.uniform(2000, track.length_m - 5500)
                to_m = from_m + (chance.uniform(2500, 3500) if kind == "detour" else chance.uniform(600, 1500))
                side_m = chance.choice((-1, 1)) * (
                    chance.uniform(450, 900) if kind == "detour" else chance.uniform(50, 85)
                )
                trip.shift = (from_m, to_m, side_m)

    def _tell_of(self, trip: Trip) -> None:
        chance, legs = self.chance, trip.legs
        begin_s, end_s = legs[0].begin_s, legs[-1].end_s
        for kind, share in BEFALLS[9:]:
            if chance.random() < share:
                from_s = chance.uniform(begin_s + 300, max(begin_s + 300, end_s - 2500))
                lasts_s = chance.uniform(720, 2400) if kind == "silent" else chance.uniform(40, 180)
                self.mutes.append((from_s, from_s + lasts_s))
                if kind == "silent":
                    self._true("vehicle_silent", from_s, from_s + lasts_s)
                if lasts_s > 90:
                    self._unseen(trip, from_s, from_s + lasts_s)
        muted = [one for one in self.mutes if one[0] < end_s and one[1] > begin_s and one[1] - one[0] > 240]
        if trip.shift is not None and abs(trip.shift[2]) > 200:
            from_s, to_s = trip.time_at(trip.shift[0]), trip.time_at(trip.shift[1])
            far = trip.track.away_m(beside(trip.track.at(sum(trip.shift[:2]) / 2), trip, sum(trip.shift[:2]) / 2))
            self._true("off_route", from_s, to_s, must=far > 320 and not _meet(muted, from_s, to_s))
        for from_s, to_s in trip.stood:
            self._true("long_stop", from_s, to_s, must=not _meet(muted, from_s, to_s))
        for from_s, to_s in (*trip.stood, *trip.held):
            # The engine runs, and the driver can do nothing about it.
            self._true("idling", from_s, to_s, must=False)
        if trip.sped:
            from_s, to_s = trip.sped[0][0], trip.sped[-1][1]
            clear = to_s - from_s >= 60 and self.tells_speed and not _meet(muted, from_s, to_s)
            self._true("overspeed", from_s, to_s, must=clear, slack_s=120)

    def _unseen(self, trip: Trip, from_s: float, to_s: float) -> None:
        """Without a timetable a bus that is not heard is a gap: nobody can tell it from one that is not there."""
        track = trip.track
        key, slack_s = f"{track.route}|{track.direction}", 3 * self.service.headway_s
        self.truths.add(Truth(rule="gap", key=key, start_s=from_s, end_s=to_s, must=False, slack_s=slack_s))

    def _true(
        self, rule: str, start_s: float, end_s: float, *, must: bool = True, label: str = "", slack_s: float = 900.0
    ) -> None:
        self.truths.add(
            Truth(rule=rule, key=self.vehicle_id, start_s=start_s, end_s=end_s, must=must, label=label, slack_s=slack_s)
        )

    # --- its tank ---------------------------------------------------------------------------------

    def _theft_here(self, day: int) -> tuple[float, float, float] | None:
        """(when, litres, seconds) of a theft at this terminal, rarely."""
        if not self.robbed or self.chance.random() > THEFT_A_DAY / 20 or not day:
            return None
        litres = self._size(used_l=100)
        return None if litres is None else (0.0, litres, litres / self.chance.uniform(0.06, 0.5))

    def _size(self, used_l: float = 0.0) -> float | None:
        litres = self.chance.choice(SIZES_L)
        return litres if self.tank.level_l > litres + used_l + 35 else None

    def _at_night(self, night: tuple[float, float]) -> None:
        if not self.robbed or self.chance.random() > THEFT_A_DAY or night[1] - night[0] < 3 * HOUR_S:
            return
        litres = self._size()
        if litres is None:
            return
        lasts_s = litres / self.chance.choice((0.5, 0.2, 0.06, 0.03))
        begin_s = self.chance.uniform(night[0] + 1.2 * HOUR_S, night[1] - HOUR_S - lasts_s)
        self._steal(begin_s, lasts_s, litres, "asleep" if self.sleeps else "night", wakes_s=night[1])

    def _steal(self, begin_s: float, lasts_s: float, litres: float, where: str, wakes_s: float = 0.0) -> None:
        self.tank.flows.append(Flow(begin_s, begin_s + lasts_s, -litres))
        end_s = wakes_s if where == "asleep" else begin_s + lasts_s
        # A gauge that is out then tells of nothing, or only afterwards.
        apart = [one for one in self.tank.dropouts if one[0] > end_s + HOUR_S or one[1] < begin_s - HOUR_S]
        self.tank.dropouts = apart
        # What was stolen looks like burned for as long as it takes to drive 200 km.
        self._true("excessive_use", begin_s, end_s, must=False, slack_s=2 * DAY_S)
        pace = "slow" if litres / lasts_s < 0.1 else "fast"
        self._true("fuel_drop", begin_s, end_s, label=f"{litres:.0f} l|{where}|{pace}", slack_s=3600)

    def _evening(self, in_s: float, end_s: float, robbed: bool) -> None:
        """At the depot: the engine runs on, now and then for too long; a low tank is filled."""
        chance, tank = self.chance, self.tank
        lasts_s = chance.uniform(120, 360)
        if chance.random() < 0.04:
            lasts_s = chance.uniform(1500, 3600)
            clear = self.tells_ignition
            self._true("idling", in_s, in_s + lasts_s, must=clear)
        off_s = min(in_s + lasts_s, end_s - 30)
        self._park(in_s, off_s, engine=True)
        self._park(off_s, end_s, engine=False)
        self._faults(in_s, robbed)
        if self.service.electric:
            return
        way_m = sum(leg.way_m for leg in self.legs[1:])
        left_l = tank.level_l - way_m * tank.use_l_m - 12
        if left_l > 0.38 * tank.capacity_l:
            return
        manner = chance.choices(("full", "partly", "twice"), (60, 25, 15))[0]
        full_l = 0.95 * tank.capacity_l - left_l
        parts = {"full": [full_l], "partly": [chance.uniform(40, 70)], "twice": [chance.uniform(35, 50), full_l / 2]}
        at_s = off_s + chance.uniform(240, 600)
        for litres in parts[manner]:
            tank.flows.append(Flow(at_s, at_s + litres, litres))
            out = [end for begin, end in tank.dropouts if begin < at_s + litres + 900 and end > at_s - 900]
            # What two refuels in one dropout, or around one, look like is anybody's guess.
            # Two within a reading or two are one.
            clear = not out and (self.parked_every_s < 300 or manner != "twice")
            self._true("refuel", at_s, max([at_s + litres, *out]), label=manner, must=clear, slack_s=5400)
            at_s += litres + chance.uniform(600, 1200)

    def _faults(self, in_s: float, robbed: bool) -> None:
        """Dropouts to 0 and a gauge that hangs, of the day that was driven."""
        chance, tank = self.chance, self.tank
        day_s = self.legs[1].begin_s
        if robbed:
            return
        if chance.random() < 0.15:
            begin_s = chance.uniform(day_s + 5 * HOUR_S, in_s)
            tank.dropouts.append((begin_s, begin_s + chance.uniform(3 * MINUTE_S, 40 * MINUTE_S)))
        if chance.random() < 0.012:
            begin_s = chance.uniform(day_s + 5 * HOUR_S, in_s)
            tank.dropouts.append((begin_s, begin_s + chance.choice((3, 8, 26)) * HOUR_S))
        if chance.random() < 0.02:
            roads = [leg for leg in self.legs if leg.moves and leg.end_s - leg.begin_s > 20]
            one, other = sorted(chance.sample(range(len(roads)), 2))
            # It comes loose where it is shaken.
            tank.stuck.append((roads[one].begin_s + 5, roads[other].begin_s + 5))
            # All that it did not show was burned at once, to who only sees the gauge.
            self._true("excessive_use", *tank.stuck[-1], must=False, slack_s=2 * DAY_S)

    def _count_metres(self) -> None:
        for leg in self.legs[1:] if self.legs[0].odometer_m else self.legs:
            leg.odometer_m = self.odometer_m
            self.odometer_m += leg.way_m


def _meet(spans: list[tuple[float, float]], begin_s: float, end_s: float) -> bool:
    return any(begin < end_s and end > begin_s for begin, end in spans)

"""The fleet in motion: all vehicles' state in arrays, and one step of their driving.

A bus speeds up and brakes within bounds, keeps below the limit, the traffic and its driver's
habit, and comes to rest at its next target (signal, stop, terminal) by a safe-speed rule after
Krauß (1998). What happens at a target is for `sim.service`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from sim.network import F64, I64, Network
from sim.registry import VehiclePapers
from sim.traffic import BLOCK_M, FREE_SPEED_MPS, SPEED_MAX_MPS

DRIVING, DWELLING, HELD, LAYOVER = 0, 1, 2, 3

ACCELERATION_MPS2 = 1.0  # standing passengers fall above about 1.2
BRAKING_MPS2 = 1.1
_ARRIVED_M = 0.1
# Drivers drift around their own pace: correlation time and spread of the speed share.
_MOOD_TIME_S = 60.0
_MOOD_SIGMA = 0.027
_MOOD_MIN, _MOOD_MAX = 0.4, 1.15


@dataclass(slots=True)
class Fleet:
    """State of every vehicle, one array element each. Times are simulated seconds since the start."""

    line: I64  # index of its line in the network
    target: I64  # flat index of what it drives to, or stands at
    at_m: F64  # metres along the line
    speed_mps: F64
    phase: I64  # DRIVING, DWELLING, HELD or LAYOVER
    until_s: F64  # when the standing ends
    since_s: F64  # when the standing began
    odometer_m: F64
    driver: F64  # the driver's habit: share of the possible speed
    mood: F64  # passing deviations from it
    planned_mps: F64  # mean speed of the timetable of this trip, stops included
    trip_start_s: F64  # scheduled departure of this trip
    onboard: I64
    boarded: I64  # since the last passengers message
    alighted: I64
    passengers_due_s: F64  # when the next passengers message is due
    fuel_due_s: F64
    level_l: F64
    used_l: F64  # burned since the vehicle was new
    refuelled_l: F64  # since the start of the simulation, as is stolen_l
    stolen_l: F64
    pump_left_l: F64  # still to be filled in at the terminal
    theft_left_l: F64  # still to be taken
    theft_lps: F64

    @property
    def size(self) -> int:
        return len(self.line)

    def arrays(self) -> dict[str, F64 | I64]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


# What shifts when the zero of the clock is moved.
TIME_FIELDS = ("until_s", "since_s", "trip_start_s", "passengers_due_s", "fuel_due_s")


def fresh_fleet(network: Network, papers: list[VehiclePapers], at_s: float, rng: np.random.Generator) -> Fleet:
    """A fleet in mid-service: spread over its routes unevenly, tanks partly used."""
    size = len(papers)
    route = np.array([p.route for p in papers])
    rank, per_route = _ranks(route)
    length_m = network.length_m[2 * route]
    # Where on the round trip: evenly, then pushed about by up to a third of the headway.
    share = ((rank + rng.uniform(-0.33, 0.33, size)) / per_route[route]) % 1.0
    way_m = share * 2 * length_m
    line = 2 * route + (way_m >= length_m)
    at_m = np.clip(np.where(way_m >= length_m, way_m - length_m, way_m), 0.0, length_m - 2 * _ARRIVED_M)
    tank_l = np.array([p.tank_l for p in papers])
    zeros, none = np.zeros(size), np.zeros(size, np.int64)
    return Fleet(
        line=line,
        target=np.array([network.target_after(int(n), float(m)) for n, m in zip(line, at_m, strict=True)]),
        at_m=at_m,
        speed_mps=zeros.copy(),
        phase=none.copy(),
        until_s=np.full(size, at_s),
        since_s=np.full(size, at_s),
        odometer_m=np.round(rng.uniform(20e6, 400e6, size)),
        driver=np.clip(rng.normal(1.0, 0.05, size), 0.85, 1.1),
        mood=np.clip(rng.normal(1.0, 0.12, size), _MOOD_MIN, _MOOD_MAX),
        planned_mps=np.ones(size),
        trip_start_s=np.full(size, at_s),
        onboard=none.copy(),
        boarded=none.copy(),
        alighted=none.copy(),
        passengers_due_s=zeros.copy(),
        fuel_due_s=zeros.copy(),
        level_l=tank_l * rng.uniform(0.3, 0.95, size),
        used_l=np.where(tank_l > 0, rng.uniform(5e3, 1.5e5, size), 0.0),
        refuelled_l=zeros.copy(),
        stolen_l=zeros.copy(),
        pump_left_l=zeros.copy(),
        theft_left_l=zeros.copy(),
        theft_lps=zeros.copy(),
    )


class Motion:
    """Moves a fleet over its network."""

    def __init__(self, network: Network, fleet: Fleet, blocks: tuple[F64, F64], rng: np.random.Generator) -> None:
        self._network = network
        self._fleet = fleet
        self._first_block, self._block_share = blocks
        self._rng = rng

    def step(self, index: I64, dt_s: float, speed_share: float) -> tuple[F64, list[int]]:
        """Drive vehicles `index` for `dt_s` (at most 1 s): (metres driven by each, those that arrived)."""
        fleet = self._fleet
        driving = fleet.phase[index] == DRIVING
        at_m, speed, line = fleet.at_m[index], fleet.speed_mps[index], fleet.line[index]
        mood = fleet.mood[index]
        noise = self._rng.standard_normal(len(index))
        mood += (1 - mood) * (dt_s / _MOOD_TIME_S) + _MOOD_SIGMA * np.sqrt(dt_s) * noise
        np.clip(mood, _MOOD_MIN, _MOOD_MAX, out=mood)
        block = self._block_share[(self._first_block[line] + at_m // BLOCK_M).astype(np.int64)]
        wish = np.minimum(FREE_SPEED_MPS * speed_share * block * fleet.driver[index] * mood, SPEED_MAX_MPS)
        gap = self._network.target_m[fleet.target[index]] - at_m
        slack = BRAKING_MPS2 * dt_s
        safe = np.sqrt(slack**2 + 2 * BRAKING_MPS2 * np.maximum(gap, 0.0)) - slack
        new = np.minimum(np.minimum(speed + ACCELERATION_MPS2 * dt_s, np.maximum(wish, speed - slack)), safe)
        moved = np.where(driving, np.minimum((speed + new) / 2 * dt_s, gap), 0.0)
        arrived = driving & (gap - moved < _ARRIVED_M)
        moved[arrived] = gap[arrived]
        fleet.at_m[index] = at_m + moved
        fleet.speed_mps[index] = np.where(driving & ~arrived, new, 0.0)
        fleet.odometer_m[index] += moved
        fleet.mood[index] = mood
        return moved, index[arrived].tolist()


def _ranks(route: I64) -> tuple[I64, I64]:
    """(each vehicle's number within its route, vehicles by route)."""
    per_route = np.bincount(route)
    rank = np.zeros(len(route), np.int64)
    for number in range(len(per_route)):
        mine = np.flatnonzero(route == number)
        rank[mine] = np.arange(len(mine))
    return rank, per_route

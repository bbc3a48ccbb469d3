"""Tanks: burning by distance and idling, refuelling when low, and now and then a theft."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from sim.fleet import LAYOVER, Fleet
from sim.network import F64, I64, Flags

IDLE_LPS = 2.2 / 3600  # a warm diesel of a 12 m bus at rest
EMPTY_L_PER_M = 0.27 / 1000
FULL_EXTRA_L_PER_M = 0.07 / 1000  # with all places taken
REFUEL_BELOW_SHARE = 0.18
REFUEL_TO_SHARE = 0.95
PUMP_LPS = 1.5
# The float moves with the bus; at rest it nearly lies still.
SLOSH_DRIVING_L = 0.5
SLOSH_STANDING_L = 0.15

THEFT_MEAN_EVERY_S = 450.0  # over a fleet of 300
_THEFT_FLEET = 300
_THEFT_MIN_L, _THEFT_MAX_L = 15.0, 60.0
_THEFT_MIN_S, _THEFT_MAX_S = 30.0, 90.0
_LEFT_IN_TANK_L = 20.0
# The bus has stood for so long before and stays for so long after: several readings on either side.
STANDING_BEFORE_S = 30.0
STANDING_AFTER_S = 60.0
_FIRST_THEFT_S = (40.0, 60.0)


class Theft(Struct, frozen=True):
    """Fuel drawn from a standing vehicle."""

    vehicle: int
    start_s: float
    end_s: float
    litres: float


def burn(fleet: Fleet, index: I64, moved_m: F64, dt_s: float, *, capacity: F64, ignition: Flags) -> None:
    """Take from the tanks what `dt_s` seconds of driving and idling burn, pump and thieves move."""
    load = np.minimum(fleet.onboard[index] / capacity, 1.5)
    wish = moved_m * (EMPTY_L_PER_M + FULL_EXTRA_L_PER_M * load) + np.where(ignition, IDLE_LPS * dt_s, 0.0)
    level = fleet.level_l[index]
    used = np.minimum(wish, level)
    pumped = np.minimum(fleet.pump_left_l[index], PUMP_LPS * dt_s)
    stolen = np.minimum(fleet.theft_left_l[index], fleet.theft_lps[index] * dt_s)
    fleet.level_l[index] = level - used + pumped - stolen
    fleet.used_l[index] += used
    fleet.refuelled_l[index] += pumped
    fleet.pump_left_l[index] -= pumped
    fleet.stolen_l[index] += stolen
    fleet.theft_left_l[index] -= stolen


def gauge_l(level_l: F64, moving: Flags, tank_l: F64, rng: np.random.Generator) -> F64:
    """What the sensor says, in litres: the level with slosh, within the tank."""
    slosh = rng.uniform(-1.0, 1.0, len(level_l)) * np.where(moving, SLOSH_DRIVING_L, SLOSH_STANDING_L)
    return np.clip(level_l + slosh, 0.0, tank_l)


def refuel_if_low(fleet: Fleet, vehicle: int, tank_l: float) -> float:
    """Begin to fill a vehicle that stands at its terminal; returns the seconds that it takes."""
    if tank_l <= 0 or fleet.level_l[vehicle] >= REFUEL_BELOW_SHARE * tank_l:
        return 0.0
    fleet.pump_left_l[vehicle] = REFUEL_TO_SHARE * tank_l - fleet.level_l[vehicle]
    return float(fleet.pump_left_l[vehicle]) / PUMP_LPS


class Thieves:
    """Plants thefts: the first within a minute, then at random."""

    def __init__(self, tank_l: F64, rng: np.random.Generator) -> None:
        self._tank_l = tank_l
        self._rng = rng
        motors = int(np.count_nonzero(tank_l))
        self._mean_s = THEFT_MEAN_EVERY_S * _THEFT_FLEET / max(motors, _THEFT_FLEET)
        self._next_s = float(rng.uniform(*_FIRST_THEFT_S)) if motors else np.inf

    def step(self, fleet: Fleet, t: float) -> Theft | None:
        """The theft that begins at `t`, already applied to the fleet; mostly None."""
        if t < self._next_s:
            return None
        victims = np.flatnonzero(
            (fleet.phase == LAYOVER)
            & (t - fleet.since_s >= STANDING_BEFORE_S)
            & (fleet.level_l >= _THEFT_MIN_L + _LEFT_IN_TANK_L)
            & (fleet.pump_left_l <= 0)
            & (fleet.theft_left_l <= 0)
            & (self._tank_l > 0)
        )
        if not len(victims):
            self._next_s = t + 1.0
            return None
        self._next_s = t + max(1.0, float(self._rng.exponential(self._mean_s)))
        vehicle = int(self._rng.choice(victims))
        most = min(_THEFT_MAX_L, float(fleet.level_l[vehicle]) - _LEFT_IN_TANK_L)
        litres = float(self._rng.uniform(_THEFT_MIN_L, most))
        lasts_s = float(self._rng.uniform(_THEFT_MIN_S, _THEFT_MAX_S))
        fleet.theft_left_l[vehicle] = litres
        fleet.theft_lps[vehicle] = litres / lasts_s
        # The driver is away: the bus does not leave before several readings have shown the loss.
        fleet.until_s[vehicle] = max(fleet.until_s[vehicle], t + lasts_s + STANDING_AFTER_S)
        return Theft(vehicle, t, t + lasts_s, litres)

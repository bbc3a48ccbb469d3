"""What a vehicle does when it stands: open doors at stops, wait at signals, rest at terminals."""

from __future__ import annotations

import numpy as np

from sim.fleet import DRIVING, DWELLING, HELD, LAYOVER, Fleet
from sim.fuel import refuel_if_low
from sim.network import F64, I64, SIGNAL, STOP, Flags, Network
from sim.passengers import Crowds, alighting, dwell_s, room, usual_onboard
from sim.registry import VehiclePapers
from sim.traffic import FREE_SPEED_MPS, Daytime

# What the timetable allows for a stop and for a red signal, braking and getting away included.
_PLANNED_STOP_S = 26.0
_PLANNED_SIGNAL_S = 36.0
PLANNED_LAYOVER_S = 360.0
_LAYOVER_MIN_S = 90.0
_LAYOVER_MAX_S = 900.0
# A bus later than this gets a new departure time from the control room.
_REPLAN_LATE_S = 600.0
_RED_SHARE = 0.45
_RED_MIN_S, _RED_MAX_S = 5.0, 45.0
_ENGINE_OFF_AFTER_S = 20.0
_ENGINE_ON_BEFORE_S = 15.0
# A count is sent at each departure, and after so long without one, so that no vehicle falls silent.
PASSENGERS_EVERY_S = 120.0


class Timetable:
    """The times that the buses are meant to keep."""

    def __init__(self, network: Network, blocks: tuple[F64, F64]) -> None:
        first, share = blocks
        ends = [*first[1:].astype(int).tolist(), len(share)]
        # On an empty road: every stretch at its own speed.
        mean_share = [1 / float(np.mean(1 / share[int(a) : b])) for a, b in zip(first, ends, strict=True)]
        self._length_m = network.length_m
        self._free_s: F64 = network.length_m / (FREE_SPEED_MPS * np.array(mean_share))
        kinds = np.split(network.target_kind, network.first_target[1:])
        stops = np.array([np.count_nonzero(line == STOP) for line in kinds])
        signals = np.array([np.count_nonzero(line == SIGNAL) for line in kinds])
        self._halts_s: F64 = stops * _PLANNED_STOP_S + signals * _RED_SHARE * _PLANNED_SIGNAL_S

    def way_s(self, speed_share: float) -> F64:
        """Planned seconds from end to end, by line, at this share of the free speed."""
        return self._free_s / speed_share + self._halts_s

    def mps(self, speed_share: float) -> F64:
        """Planned mean speed by line, stops and signals included."""
        return self._length_m / self.way_s(speed_share)

    def headways_s(self, papers: list[VehiclePapers], speed_share: float) -> F64:
        """Expected seconds between two vehicles, by line."""
        per_route = np.bincount([p.route for p in papers], minlength=len(self._length_m) // 2)
        round_trip_s = self.way_s(speed_share).reshape(-1, 2).sum(axis=1) + 2 * PLANNED_LAYOVER_S
        return np.repeat(round_trip_s / np.maximum(per_route, 1), 2)


class Service:
    """Brings vehicles from one target to the next."""

    def __init__(
        self,
        network: Network,
        papers: list[VehiclePapers],
        fleet: Fleet,
        *,
        crowds: Crowds,
        daytime: Daytime,
        timetable: Timetable,
        rng: np.random.Generator,
    ) -> None:
        self._network = network
        self._papers = papers
        self._fleet = fleet
        self._crowds = crowds
        self._daytime = daytime
        self._timetable = timetable
        self._rng = rng
        self.stop_at: list[str | None] = [None] * len(papers)  # where the last count was made

    def begin(self, at_s: float) -> None:
        """People on board and a timetable for a fresh fleet."""
        fleet, network = self._fleet, self._network
        length_m = network.length_m[fleet.line]
        capacity = np.array([float(p.capacity) for p in self._papers])
        mean = usual_onboard(fleet.at_m / length_m, capacity, self._daytime.demand_share(at_s))
        fleet.onboard[:] = np.minimum(self._rng.poisson(mean), capacity.astype(np.int64))
        fleet.planned_mps[:] = self._timetable.mps(self._daytime.speed_share(at_s))[fleet.line]
        ahead_s = self._rng.normal(-60.0, 90.0, fleet.size)
        fleet.trip_start_s[:] = at_s + ahead_s - fleet.at_m / fleet.planned_mps

    def arrive(self, vehicle: int, t: float) -> None:
        """A vehicle has come to rest at its target."""
        fleet, network = self._fleet, self._network
        target = int(fleet.target[vehicle])
        kind = network.target_kind[target]
        fleet.since_s[vehicle] = t
        if kind == SIGNAL:
            fleet.phase[vehicle] = HELD
            fleet.until_s[vehicle] = t + self._rng.uniform(_RED_MIN_S, _RED_MAX_S)
        elif kind == STOP:
            fleet.phase[vehicle] = DWELLING
            alighted = self._alight(vehicle, target)
            boarded = self._board(vehicle, target, t)
            fleet.until_s[vehicle] = t + dwell_s(boarded, alighted)
        else:
            self._turn_round(vehicle, target, t)

    def leave_if_due(self, t: float, index: I64) -> None:
        """Let those of `index` go that have stood long enough."""
        fleet = self._fleet
        due = index[(fleet.phase[index] != DRIVING) & (fleet.until_s[index] <= t)]
        for vehicle in due.tolist():
            phase = fleet.phase[vehicle]
            if phase == LAYOVER:
                # The trip begins where the way back ended: its terminal's crowd boards now.
                target = int(fleet.target[vehicle])
                self._board(vehicle, target, t)
                self._skip_green(vehicle, int(self._network.first_target[fleet.line[vehicle]]))
            else:
                self._skip_green(vehicle, int(fleet.target[vehicle]) + 1)
            if phase != HELD:
                fleet.passengers_due_s[vehicle] = t
            fleet.phase[vehicle] = DRIVING

    def ignition(self, t: float, index: I64) -> Flags:
        """Whether each vehicle's engine (or traction) is on."""
        fleet = self._fleet
        resting = (fleet.phase[index] == LAYOVER) & (t - fleet.since_s[index] > _ENGINE_OFF_AFTER_S)
        off: Flags = resting & (fleet.until_s[index] - t > _ENGINE_ON_BEFORE_S)
        return ~off

    def schedule_deviation_s(self, t: float, index: I64) -> F64:
        """Seconds ahead (+) of or behind (-) the timetable."""
        fleet = self._fleet
        ahead = fleet.trip_start_s[index] + fleet.at_m[index] / fleet.planned_mps[index] - t
        # Who waits for the departure is not ahead of it.
        deviation: F64 = np.where(fleet.phase[index] == LAYOVER, np.minimum(ahead, 0.0), ahead)
        return deviation

    def _turn_round(self, vehicle: int, target: int, t: float) -> None:
        fleet, network = self._fleet, self._network
        self._alight(vehicle, target, everybody=True)
        fleet.passengers_due_s[vehicle] = t
        line = int(fleet.line[vehicle])
        planned_arrival_s = fleet.trip_start_s[vehicle] + network.length_m[line] / fleet.planned_mps[vehicle]
        start_s = float(planned_arrival_s) + PLANNED_LAYOVER_S
        rest_s = _LAYOVER_MIN_S + self._rng.uniform(0.0, 60.0)
        if not t - _REPLAN_LATE_S <= start_s <= t + _LAYOVER_MAX_S:
            start_s = t + PLANNED_LAYOVER_S
        fuel_s = refuel_if_low(fleet, vehicle, self._papers[vehicle].tank_l)
        fleet.until_s[vehicle] = max(start_s, t + rest_s, t + fuel_s + 10.0)
        fleet.line[vehicle] = line ^ 1
        fleet.at_m[vehicle] = 0.0
        fleet.trip_start_s[vehicle] = start_s
        fleet.planned_mps[vehicle] = self._timetable.mps(self._daytime.speed_share(t))[line ^ 1]
        fleet.phase[vehicle] = LAYOVER

    def _alight(self, vehicle: int, target: int, *, everybody: bool = False) -> int:
        fleet = self._fleet
        onboard = int(fleet.onboard[vehicle])
        way_share = float(fleet.at_m[vehicle] / self._network.length_m[fleet.line[vehicle]])
        alighted = onboard if everybody else alighting(onboard, way_share, self._rng)
        fleet.onboard[vehicle] -= alighted
        fleet.alighted[vehicle] += alighted
        self._count_at(vehicle, target)
        return alighted

    def _board(self, vehicle: int, target: int, t: float) -> int:
        fleet = self._fleet
        waiting = self._crowds.waiting(target, t, self._daytime.demand_share(t))
        boarded = min(waiting, room(int(fleet.onboard[vehicle]), self._papers[vehicle].capacity))
        self._crowds.board(target, t, waiting, boarded)
        fleet.onboard[vehicle] += boarded
        fleet.boarded[vehicle] += boarded
        self._count_at(vehicle, target)
        return boarded

    def _count_at(self, vehicle: int, target: int) -> None:
        stop = self._network.target_stop[target]
        self.stop_at[vehicle] = stop.stop_id if stop else None

    def _skip_green(self, vehicle: int, target: int) -> None:
        """Head for the next target, past signals that will be green."""
        while self._network.target_kind[target] == SIGNAL and self._rng.random() >= _RED_SHARE:
            target += 1
        self._fleet.target[vehicle] = target

"""The fleet's papers: garage numbers, VINs, capacities, tanks and the route that each vehicle serves."""

from __future__ import annotations

import re

import numpy as np
from msgspec import Struct

from sim.network import Line

# Capacity (seats and standing places) and tank of the types in service, with their share of the fleet.
_TYPES = ((95, 250.0, 0.55), (85, 200.0, 0.30), (140, 350.0, 0.15))
_VIN_CHARS = "0123456789ABCDEFGHJKLMNPRSTUVWXYZ"
_VIN_VALUES = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", [*range(1, 9), *range(1, 6), 7, 9, *range(2, 10)], strict=True))
_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


class VehiclePapers(Struct, frozen=True):
    """What never changes of a vehicle."""

    vehicle_id: str  # garage number: depot, serial
    vin: str
    route: int  # index of its route
    mode: str
    capacity: int
    tank_l: float  # 0 for trolleybuses


def register(lines: list[Line], vehicles: int, seed: int) -> list[VehiclePapers]:
    """The papers of the first `vehicles` vehicles of the city.

    A larger fleet holds the smaller one: numbers, VINs and routes stay what they were. Routes
    get vehicles by their length.
    """
    routes = lines[::2]
    lengths = np.array([line.length_m for line in routes])
    given = np.zeros(len(routes))
    serials: dict[str, int] = {}
    papers = []
    rng = np.random.default_rng([seed, 1])
    for number in range(vehicles):
        # The route that is shortest of vehicles for its length comes next.
        route = int(np.argmax(lengths / (given + 0.5)))
        given[route] += 1
        depot = depot_number(routes[route].operator)
        serials[depot] = serial = serials.get(depot, 1000) + 1
        capacity, tank_l, _ = _TYPES[int(rng.choice(len(_TYPES), p=[share for _, _, share in _TYPES]))]
        mode = routes[route].mode
        papers.append(
            VehiclePapers(
                vehicle_id=f"{depot}-{serial}",
                vin=vin(number),
                route=route,
                mode=mode,
                capacity=capacity,
                tank_l=0.0 if mode == "trolleybus" else tank_l,
            )
        )
    return papers


def depot_number(operator: str) -> str:
    """Two digits of the depot named in an operator's name, 00 where there is none."""
    found = re.search(r"\d+", operator)
    return f"{int(found.group()):02d}" if found else "00"


def vin(serial: int) -> str:
    """A vehicle identification number with a right check digit (ISO 3779, 49 CFR 565.15)."""
    year = "LMNPRST"[serial % 7]
    front, back = "NS1BUS12", f"{year}T{serial:06d}"
    return front + vin_check_digit(f"{front}0{back}") + back


def vin_check_digit(vin_: str) -> str:
    """The ninth character that a 17-character VIN ought to have."""
    total = sum(
        weight * (int(char) if char.isdigit() else _VIN_VALUES[char])
        for char, weight in zip(vin_, _VIN_WEIGHTS, strict=True)
    )
    return "X" if total % 11 == 10 else str(total % 11)

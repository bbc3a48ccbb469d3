"""Units that senders use, and what they are in those of Markaz."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple


class Unit(NamedTuple):
    """`amount` of it is amount × factor + offset of its quantity's first unit."""

    quantity: str
    factor: float
    offset: float = 0.0


# The first unit of a quantity is the one that a sensor's value is turned into.
UNITS: Mapping[str, Unit] = {
    "m/s": Unit("speed", 1),
    "km/h": Unit("speed", 1 / 3.6),
    "mph": Unit("speed", 0.44704),
    "kn": Unit("speed", 1852 / 3600),
    "m": Unit("length", 1),
    "km": Unit("length", 1000),
    "mi": Unit("length", 1609.344),
    "ft": Unit("length", 0.3048),
    "l": Unit("volume", 1),
    "ml": Unit("volume", 0.001),
    "m3": Unit("volume", 1000),
    "gal": Unit("volume", 3.785411784),  # US liquid gallon
    "gal_uk": Unit("volume", 4.54609),
    "ratio": Unit("share", 1),
    "%": Unit("share", 0.01),
    "s": Unit("time", 1),
    "ms": Unit("time", 0.001),
    "min": Unit("time", 60),
    "h": Unit("time", 3600),
    # A schedule's deviation is positive ahead of it; many senders count the delay.
    "s_late": Unit("time", -1),
    "min_late": Unit("time", -60),
    "C": Unit("temperature", 1),
    "F": Unit("temperature", 5 / 9, -32 * 5 / 9),
    "K": Unit("temperature", 1, -273.15),
    "bar": Unit("pressure", 1),
    "mbar": Unit("pressure", 0.001),
    "Pa": Unit("pressure", 1e-5),
    "kPa": Unit("pressure", 0.01),
    "psi": Unit("pressure", 0.0689475729),
}


def units_like(unit: str) -> list[str]:
    """All units of the same quantity."""
    return [name for name, one in UNITS.items() if one.quantity == UNITS[unit].quantity]


def first_like(unit: str) -> str:
    """The first unit of the same quantity."""
    return units_like(unit)[0]


def converter(given: str, wanted: str) -> Callable[[float], float]:
    """A function from amounts of one unit to those of another of the same quantity."""
    from_, to = UNITS[given], UNITS[wanted]
    factor, offset = from_.factor / to.factor, (from_.offset - to.offset) / to.factor
    return lambda amount: amount * factor + offset

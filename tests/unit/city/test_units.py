"""Units: known amounts, and there and back again."""

from __future__ import annotations

import pytest

from city.units import UNITS, converter, first_like, units_like


@pytest.mark.parametrize(
    ("amount", "given", "wanted", "expected"),
    [
        (36, "km/h", "m/s", 10),
        (10, "kn", "m/s", 5.144444),
        (100, "mph", "m/s", 44.704),
        (1.5, "km", "m", 1500),
        (1, "mi", "m", 1609.344),
        (1, "ft", "m", 0.3048),
        (1, "gal", "l", 3.785412),
        (1, "gal_uk", "l", 4.54609),
        (2, "m3", "l", 2000),
        (0.25, "ratio", "%", 25),
        (80, "%", "ratio", 0.8),
        (3, "min", "s", 180),
        (3, "min_late", "s", -180),
        (212, "F", "C", 100),
        (0, "K", "C", -273.15),
        (-40, "C", "F", -40),
        (250, "kPa", "bar", 2.5),
        (14.5037738, "psi", "bar", 1),
    ],
)
def test_known_amounts(amount: float, given: str, wanted: str, expected: float) -> None:
    assert converter(given, wanted)(amount) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_comes_back_from_its_quantitys_first(unit: str) -> None:
    first = first_like(unit)
    assert unit in units_like(first)
    assert (UNITS[first].factor, UNITS[first].offset) == (1, 0)
    assert converter(first, unit)(converter(unit, first)(12.5)) == pytest.approx(12.5)

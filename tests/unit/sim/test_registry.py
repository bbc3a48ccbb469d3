"""Garage numbers and VINs."""

from __future__ import annotations

from collections import Counter

from sim.network import Network
from sim.registry import depot_number, register, vin, vin_check_digit


def test_check_digit_of_the_worked_example_in_the_regulation() -> None:
    """1M8GDM9AXKP042788 is the example of 49 CFR 565.15."""
    assert vin_check_digit("1M8GDM9AXKP042788") == "X"
    assert vin_check_digit("11111111111111111") == "1"


def test_vins_are_valid_and_unique() -> None:
    vins = [vin(serial) for serial in range(500)]
    assert len(set(vins)) == 500
    for text in vins:
        assert len(text) == 17
        assert not set(text) & set("IOQ")
        assert text[8] == vin_check_digit(text)


def test_a_larger_fleet_holds_the_smaller_one(network: Network) -> None:
    assert register(network.lines, 2000, 1)[:300] == register(network.lines, 300, 1)


def test_ids_are_unique_and_name_the_depot(network: Network) -> None:
    papers = register(network.lines, 3000, 1)
    assert len({p.vehicle_id for p in papers}) == 3000
    for p in papers:
        assert p.vehicle_id.startswith(depot_number(network.lines[2 * p.route].operator) + "-")


def test_routes_get_vehicles_by_their_length(network: Network) -> None:
    per_route = Counter(p.route for p in register(network.lines, 1000, 1))
    per_km = [per_route[r] / network.length_m[2 * r] * 1000 for r in range(14)]
    assert max(per_km) / min(per_km) < 1.1


def test_only_trolleybuses_have_no_tank(network: Network) -> None:
    papers = register(network.lines, 300, 1)
    assert {p.mode for p in papers} == {"bus", "trolleybus"}
    assert all((p.tank_l == 0) == (p.mode == "trolleybus") for p in papers)


def test_an_operator_without_a_number_is_depot_00() -> None:
    assert depot_number("Toshshahartransxizmat") == "00"
    assert depot_number('LLC "5-avtobus saroyi"') == "05"

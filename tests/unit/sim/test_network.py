"""The road under the buses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely

from sim.network import SIGNAL, TERMINAL, Network, NoRoutesError, load_network


def test_every_route_gives_a_way_there_and_a_way_back(network: Network) -> None:
    assert len(network.lines) == 28
    for out, back in zip(network.lines[::2], network.lines[1::2], strict=True):
        assert (out.route_ref, out.direction, back.direction) == (back.route_ref, 1, 2)
        assert back.lat == out.lat[::-1]
        assert [s.stop_id for s in back.stops] == [s.stop_id for s in reversed(out.stops)]
        assert back.stops[0].along_m == pytest.approx(out.length_m - out.stops[-1].along_m)


def test_a_point_of_the_way_back_is_the_mirrored_point_of_the_way_there(network: Network) -> None:
    at_m = np.array([1234.5])
    there = network.locate(np.array([4]), at_m)
    back = network.locate(np.array([5]), network.length_m[4] - at_m)
    assert back.lat[0] == pytest.approx(there.lat[0], abs=1e-9)
    assert back.lon[0] == pytest.approx(there.lon[0], abs=1e-9)
    assert (back.bearing_deg[0] - there.bearing_deg[0]) % 360 == pytest.approx(180, abs=0.1)


def test_located_points_lie_on_their_line_from_end_to_end(network: Network) -> None:
    for number, line in enumerate(network.lines):
        shape = shapely.LineString(list(zip(line.lon, line.lat, strict=True)))
        at_m = np.linspace(0, line.length_m, 200)
        places = network.locate(np.full(200, number), at_m)
        assert shapely.distance(shape, shapely.points(places.lon, places.lat)).max() < 1e-9
        assert (places.lon[0], places.lat[0]) == pytest.approx((line.lon[0], line.lat[0]))
        assert (places.lon[-1], places.lat[-1]) == pytest.approx((line.lon[-1], line.lat[-1]))


def test_bearing_is_the_direction_of_travel_clockwise_from_north(cross: Network) -> None:
    places = cross.locate(np.array([0, 1, 2, 3]), np.full(4, 100.0))
    assert places.bearing_deg.tolist() == pytest.approx([90, 270, 0, 180], abs=0.1)


def test_targets_go_along_the_line_and_end_at_its_terminal(network: Network) -> None:
    ends = [*network.first_target[1:].tolist(), len(network.target_m)]
    for line, first, end in zip(network.lines, network.first_target.tolist(), ends, strict=True):
        along = network.target_m[first:end]
        assert (np.diff(along) >= 30 - 1e-6).all()
        assert along[-1] == line.length_m
        assert (network.target_kind[first:end] == TERMINAL).tolist() == [False] * (end - first - 1) + [True]


def test_where_two_roads_cross_stands_a_signal_of_both(cross: Network) -> None:
    assert [crossing.routes for crossing in cross.crossings] == [("EW", "NS")]
    assert np.count_nonzero(cross.target_kind == SIGNAL) == 4


def test_some_routes_are_driven_by_trolleybuses_and_13t_is_not(network: Network) -> None:
    modes = {line.route_ref: line.mode for line in network.lines}
    assert sorted(ref for ref, mode in modes.items() if mode == "trolleybus") == ["23", "6"]
    assert modes["13T"] == "bus"


def test_a_city_without_routes_says_so_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(NoRoutesError, match=r"bus_routes\.geojson: no such file") as caught:
        load_network(tmp_path)
    assert "\n" not in str(caught.value)

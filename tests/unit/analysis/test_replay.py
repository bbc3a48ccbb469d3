"""Played again, a vehicle is where it was; where nobody knows, it does not move."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.indicators import AreaIndicators, indicators
from analysis.kpis import KpiSettings
from analysis.picture import Picture
from analysis.replay import (
    HOUR_MS,
    PlaySettings,
    Samples,
    area_indicators,
    fitted,
    mercator,
    minutes_of,
    sample,
    step_s,
)
from analysis.replay_tracks import CountRows, Counts, PositionRows, Tracks, Words
from city.events import PassengerCount, VehiclePosition

NOON = 1_780_000_000_000 // HOUR_MS * HOUR_MS
SETTINGS = PlaySettings(
    gone_after_ms=HOUR_MS, stale_after_ms=30_000, count_stale_after_ms=1_800_000, capacity_default=80
)
AREAS = ("d1", "d2", "m1", "m2")


def position(
    vehicle: str,
    at_s: float,
    lat: float = 41.0,
    lon: float = 69.0,
    *,
    speed_mps: float | None = None,
    occupancy_pct: float | None = None,
    district: str | None = None,
    mahalla: str | None = None,
    route: str | None = None,
) -> VehiclePosition:
    at_ms = NOON + round(at_s * 1000)
    return VehiclePosition(
        vehicle_id=vehicle,
        measured_ms=at_ms,
        received_ms=at_ms,
        lat=lat,
        lon=lon,
        speed_mps=speed_mps,
        occupancy_pct=occupancy_pct,
        district=district,
        mahalla=mahalla,
        route=route,
    )


def words(values: Sequence[str | None]) -> Words:
    names = tuple(sorted({value for value in values if value is not None}, reverse=True))
    codes = [-1 if value is None else names.index(value) for value in values]
    return Words(codes=np.array(codes, dtype=np.int32), names=names)


def numbers(values: Sequence[float | None]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def tracks(*events: VehiclePosition, late: Sequence[bool] | None = None) -> Tracks:
    rows = PositionRows(
        vehicle=words([e.vehicle_id for e in events]),
        measured_ms=np.array([e.measured_ms for e in events], dtype=np.int64),
        late=np.array(late or [False] * len(events), dtype=np.bool_),
        lat_e7=np.array([round(e.lat * 1e7) for e in events], dtype=np.int32),
        lon_e7=np.array([round(e.lon * 1e7) for e in events], dtype=np.int32),
        speed_mps=numbers([e.speed_mps for e in events]),
        bearing_deg=numbers([e.bearing_deg for e in events]),
        occupancy_pct=numbers([e.occupancy_pct for e in events]),
        route=words([e.route for e in events]),
        mode=words([e.mode for e in events]),
        district=words([e.district for e in events]),
        mahalla=words([e.mahalla for e in events]),
    )
    return Tracks.of(rows, AREAS)


def counts(*events: PassengerCount) -> Counts:
    rows = CountRows(
        vehicle=words([e.vehicle_id for e in events]),
        measured_ms=np.array([e.measured_ms for e in events], dtype=np.int64),
        late=np.zeros(len(events), dtype=np.bool_),
        onboard=numbers([e.onboard for e in events]),
        capacity=numbers([e.capacity for e in events]),
    )
    return Counts.of(rows)


def played(parts: Sequence[Tracks], from_s: float, every_s: float, count: int) -> Samples:
    return sample(parts, [], NOON + round(from_s * 1000), round(every_s * 1000), count, SETTINGS)


def lon_of(samples: Samples, vehicle: str) -> list[float]:
    row = samples.ids.index(vehicle)
    return [round(float(x) * 360 - 180, 6) for x in samples.x[:, row]]


def flags_of(samples: Samples, vehicle: str, name: str) -> list[bool]:
    return [bool(one) for one in getattr(samples, name)[:, samples.ids.index(vehicle)]]


def test_between_two_positions_a_vehicle_moves_evenly() -> None:
    samples = played([tracks(position("a", 0, lon=69.0), position("a", 10, lon=69.1))], 0, 2.5, 5)
    assert lon_of(samples, "a") == [69.0, 69.025, 69.05, 69.075, 69.1]
    assert flags_of(samples, "a", "stale") == [False] * 5


def test_over_a_silence_it_stays_grows_old_and_then_appears_where_it_was_heard_again() -> None:
    heard = tracks(position("a", 0, lon=69.0), position("a", 100, lon=69.5), position("a", 105, lon=69.6))
    samples = played([heard], 0, 20, 6)
    assert lon_of(samples, "a") == [69.0, 69.0, 69.0, 69.0, 69.0, 69.5]
    assert flags_of(samples, "a", "stale") == [False, False, True, True, True, False]
    assert flags_of(samples, "a", "jumped") == [True, False, False, False, False, True]


def test_a_vehicle_that_falls_silent_still_moves_to_its_last_place() -> None:
    heard = tracks(position("a", 0, lon=69.0), position("a", 15, lon=69.3), position("a", 200, lon=70.0))
    samples = played([heard], 0, 10, 3)
    assert lon_of(samples, "a") == [69.0, 69.2, 69.3]
    assert flags_of(samples, "a", "jumped") == [True, False, False]


def test_a_silence_just_as_long_as_is_fresh_is_none() -> None:
    assert lon_of(played([tracks(position("a", 0, lon=69.0), position("a", 30, lon=69.3))], 0, 10, 3), "a") == [
        69.0,
        69.1,
        69.2,
    ]
    assert lon_of(played([tracks(position("a", 0, lon=69.0), position("a", 30.001, lon=69.3))], 0, 10, 3), "a") == [
        69.0,
        69.0,
        69.0,
    ]


def test_it_is_drawn_from_its_first_position_until_it_was_silent_too_long() -> None:
    samples = played([tracks(position("a", 10), position("b", -3590))], 0, 20, 2)
    assert samples.ids == ("a", "b")
    assert flags_of(samples, "a", "gone") == [True, False]
    assert flags_of(samples, "b", "gone") == [False, True]
    assert played([tracks(position("a", 10))], 10 + HOUR_MS / 1000 + 1, 20, 2).ids == ()


def test_what_came_out_of_order_is_not_drawn() -> None:
    heard = tracks(
        position("a", 0, lon=69.0), position("a", 5, lon=75.0), position("a", 10, lon=69.1), late=[False, True, False]
    )
    assert lon_of(played([heard], 0, 5, 3), "a") == [69.0, 69.05, 69.1]
    assert heard.late == 1


def test_the_route_is_the_last_one_that_is_shown() -> None:
    heard = tracks(position("a", 0, route="1"), position("a", 10, route="2"), position("a", 60, route="3"))
    assert played([heard], 0, 10, 2).routes == ("2",)
    assert played([heard], 0, 10, 1).routes == ("1",)


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(-200, 400), st.integers(0, 1000)),
        min_size=1,
        max_size=40,
        unique_by=lambda one: one[:2],
    ),
    st.lists(st.integers(0, 2), min_size=40, max_size=40),
)
def test_it_does_not_matter_which_part_a_position_lies_in(heard: list[tuple[str, int, int]], split: list[int]) -> None:
    """Archive, hour before and store: wherever the seam is, the same is played."""
    events = [position(vehicle, at_s, lon=69 + e / 1e4) for vehicle, at_s, e in heard]
    whole = played([tracks(*events)], 0, 10, 12)
    parts = [[e for e, part in zip(events, split, strict=False) if part == n] for n in range(3)]
    cut = played([tracks(*part) for part in parts if part], 0, 10, 12)
    assert cut.ids == whole.ids
    for name in ("x", "age_ms", "gone", "stale", "jumped"):
        np.testing.assert_array_equal(getattr(cut, name), getattr(whole, name), err_msg=name)


@given(
    st.lists(
        st.tuples(st.integers(-3700, 130), st.integers(0, 10_000)),
        min_size=1,
        max_size=30,
        unique_by=lambda one: one[0],
    )
)
def test_it_is_what_a_plain_search_finds(heard: list[tuple[int, int]]) -> None:
    samples = played([tracks(*(position("a", at_s, lon=69 + e / 1e5) for at_s, e in heard))], 0, 10, 12)
    ordered = sorted(heard)
    for at in range(12):
        now_s = at * 10
        before = [one for one in ordered if one[0] <= now_s]
        behind = [one for one in ordered if one[0] > now_s]
        if not before or now_s - before[-1][0] > 3600:
            assert not samples.ids or samples.gone[at, 0]
            continue
        (t0, e0), (t1, e1) = before[-1], behind[0] if behind else (10**9, 0)
        moved = (now_s - t0) / (t1 - t0) * (e1 - e0) if t1 - t0 <= 30 else 0.0
        assert float(samples.x[at, 0]) * 360 - 180 == pytest.approx(69 + (e0 + moved) / 1e5, abs=1e-7)
        assert samples.stale[at, 0] == (t1 - t0 > 30 and now_s - t0 > 30)


def test_areas_are_as_the_live_map_had_them() -> None:
    """The same city told to the live map's own picture."""
    said = [
        position("a", 0, speed_mps=10, district="d1", mahalla="m1"),
        position("b", 1, speed_mps=0.1, district="d1", mahalla="m1"),
        position("c", -300, speed_mps=9, district="d1", mahalla="m2"),  # silent since
        position("d", 2, speed_mps=5, occupancy_pct=50, district="d2", mahalla="m2"),
        position("e", 3, district="d2"),
    ]
    counted = [
        PassengerCount(vehicle_id="a", measured_ms=NOON - 60_000, received_ms=NOON, onboard=40, capacity=100),
        PassengerCount(vehicle_id="b", measured_ms=NOON - 2_000_000, received_ms=NOON, onboard=99),  # long ago
        PassengerCount(vehicle_id="e", measured_ms=NOON - 5_000, received_ms=NOON, onboard=-3),
    ]
    picture = Picture()
    for event in (*said, *counted):
        picture.apply(event)
    now_ms = NOON + 10_000
    live = indicators(
        picture, [], now_ms, KpiSettings(vehicle_stale_after_s=30, camera_stale_after_s=60, capacity_default=80)
    )
    samples = sample([tracks(*said)], [counts(*counted)], now_ms, 1000, 1, SETTINGS)
    again = area_indicators(samples, 0, len(AREAS), SETTINGS)
    for code, found in zip(AREAS, again, strict=True):
        wanted = live.get(code, AreaIndicators())
        assert found.vehicles == wanted.vehicles, code
        assert found.moving == wanted.moving
        assert found.onboard == wanted.onboard
        assert found.load == (None if wanted.load is None else pytest.approx(wanted.load, rel=1e-3))
        assert found.speed_kmh == (None if wanted.speed_kmh is None else pytest.approx(wanted.speed_kmh, rel=1e-3))


def test_nothing_at_all_is_an_empty_city() -> None:
    samples = played([], 0, 1, 3)
    assert samples.ids == ()
    assert area_indicators(samples, 0, 2, SETTINGS) == [AreaIndicators(), AreaIndicators()]


def test_steps_are_fit_for_the_speed_and_hide_no_silence() -> None:
    assert [step_s(speed) for speed in (1, 10, 60, 120)] == [1, 2, 10, 20]
    assert max(step_s(speed) for speed in range(1, 1000)) * 1000 <= SETTINGS.stale_after_ms


@given(st.integers(500, 30_000), st.integers(1, 120), st.integers(100, 60_000))
def test_the_same_time_is_played_where_steps_must_be_shorter(every_ms: int, samples: int, stale_after_ms: int) -> None:
    step_ms, count = fitted(every_ms, samples, stale_after_ms, 120)
    assert 0 < step_ms <= stale_after_ms
    assert count <= 120
    assert count == 120 or 0 <= step_ms * count - every_ms * samples < step_ms
    assert (step_ms, count) == (every_ms, samples) or stale_after_ms < every_ms


def test_minutes_without_a_position_are_seen() -> None:
    times = np.array([NOON, NOON + 59_999, NOON + 120_000, NOON + HOUR_MS, NOON - 1], dtype=np.int64)
    assert minutes_of(times, NOON)[:4] == [2, 0, 1, 0]
    assert sum(minutes_of(times, NOON)) == 3


def test_the_projection_is_the_live_maps() -> None:
    from dashboard.frames import mercator as live

    x, y = mercator(np.array([41.3, -5.0]), np.array([69.2, 10.0]))
    for at, (lat, lon) in enumerate(((41.3, 69.2), (-5.0, 10.0))):
        assert (float(x[at]), float(y[at])) == pytest.approx(live(lat, lon), abs=1e-12)

"""How fast traffic flows and how many want to travel by the hour, and when buses should leave."""

from __future__ import annotations

import bisect
from itertools import accumulate

from week.lines import Track
from week.truth import DAY_S, HOUR_S

SERVICE_S = (6 * HOUR_S, 23 * HOUR_S)
DWELL_S = 22.0
LAYOVER_S = 480.0
FREE_MPS = 9.2  # between stops, on an empty street
# Share of the free speed, and of the busiest hour's passengers, by hour of the day.
FLOW = (
    (0, 1.0),
    (6, 0.95),
    (7.5, 0.7),
    (9.5, 0.72),
    (11, 0.84),
    (16, 0.82),
    (17.5, 0.66),
    (19, 0.7),
    (21, 0.9),
    (24, 1),
)
DEMAND = (
    (0, 0.1),
    (6, 0.3),
    (7.5, 1.0),
    (9, 0.9),
    (10.5, 0.5),
    (16, 0.6),
    (17.5, 0.95),
    (19, 0.7),
    (21, 0.3),
    (24, 0.1),
)


def by_hour(curve: tuple[tuple[float, float], ...], at_s: float) -> float:
    """A curve's value at a time of day, straight between its corners."""
    hour = at_s % DAY_S / HOUR_S
    place = min(bisect.bisect_right([one for one, _ in curve], hour), len(curve) - 1)
    (hour0, value0), (hour1, value1) = curve[place - 1], curve[place]
    return value0 + (value1 - value0) * (hour - hour0) / (hour1 - hour0)


def demand(at_s: float) -> float:
    """Passengers as a share of the busiest hour's; fewer at weekends."""
    weekend = at_s // DAY_S % 7 >= 5
    return by_hour(DEMAND, at_s) * (0.65 if weekend else 1.0)


def flow_mps(at_s: float) -> float:
    """Speed between stops."""
    return FREE_MPS * by_hour(FLOW, at_s)


def scheduled_s(track: Track, leaves_s: float) -> list[float]:
    """When a bus that should leave at `leaves_s` should be at each stop."""
    speed_mps = flow_mps(leaves_s + HOUR_S / 2)
    legs = (
        (after - before) / speed_mps + DWELL_S for before, after in zip(track.stops_m, track.stops_m[1:], strict=False)
    )
    return [leaves_s + at for at in accumulate(legs, initial=0.0)]


def cycle_s(there: Track, back: Track) -> float:
    """A round trip in the busiest hour, with the rests at both ends, in whole minutes."""
    peak_s = 17.5 * HOUR_S
    took = sum(scheduled_s(track, peak_s)[-1] - peak_s for track in (there, back))
    return round((took + 2 * LAYOVER_S) / 120) * 120.0

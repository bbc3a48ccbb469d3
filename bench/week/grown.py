"""What grew out of traffic and demand: headways, delays and loads as they really were.

An alarm must tell of what is clearly out of order for long; between that and order nothing is asked of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import Protocol

from msgspec import Struct

from week.trips import Trip, Visit
from week.truth import Truth, TruthBook

# Headway over the scheduled one, and at how many stops in a row: clear cases, and the least that may be told.
BUNCHED, BUNCHED_MAYBE = 0.2, 0.33
APART, APART_MAYBE = 1.95, 1.5
STOPS, STOPS_MAYBE = 7, 3
LONGER_S, LONGER_MAYBE_S = 330, 200
LATE_S, LATE_MAYBE_S, EARLY_S, EARLY_MAYBE_S = 1_080.0, 780.0, 400.0, 240.0
LATE_FOR_S = 600.0
LOAD, LOAD_MAYBE = 1.25, 1.17
LOAD_FOR_S, LOAD_FOR_MAYBE_S = 400.0, 180.0
PLANTED_WITHIN_S = 7_200.0


class Fits(Protocol):
    """Whether a headway is out of order."""

    def __call__(self, one: Passed, *, clear: bool) -> bool: ...


class Passed(Struct, frozen=True):
    """A bus at a stop behind another."""

    stop: int
    at_s: float
    share: float  # headway over the scheduled one
    longer_s: float


def headways(route: str, direction: int, visits: Iterable[Visit], delays: Sequence[float], truths: TruthBook) -> None:
    """Bunching and gaps of a line; `delays` are the seconds at which its buses were held up by what was planted."""
    behind: dict[tuple[str, str, float], list[Passed]] = {}
    by_stop = sorted(visits, key=lambda one: (one.stop, one.at_s))
    for stop, there in groupby(by_stop, key=lambda one: one.stop):
        for leader, follower in pairwise(there):
            scheduled_s = follower.scheduled_s - leader.scheduled_s
            headway_s = follower.at_s - leader.at_s
            # Who overtook is held against the same distance the other way round.
            scheduled_s = abs(scheduled_s)
            if leader.vehicle_id == follower.vehicle_id or not 60 < scheduled_s <= 3_600:
                continue
            share = headway_s / scheduled_s
            passed = Passed(stop, follower.at_s, share, headway_s - scheduled_s)
            behind.setdefault((leader.vehicle_id, follower.vehicle_id, follower.trip_s), []).append(passed)
    for passes in behind.values():
        for rule, fits in (("bunching", _bunched), ("gap", _apart)):
            for span, clear in _spans(passes, fits):
                start_s, end_s = span[0].at_s, span[-1].at_s
                planted = any(start_s - PLANTED_WITHIN_S < at_s <= end_s for at_s in delays)
                truths.add(
                    Truth(
                        rule=rule,
                        key=f"{route}|{direction}",
                        start_s=start_s,
                        end_s=end_s,
                        must=clear,
                        planted=planted,
                        label="planted" if planted else "grown",
                        slack_s=600,
                    )
                )


def _bunched(one: Passed, *, clear: bool) -> bool:
    return one.share < (BUNCHED if clear else BUNCHED_MAYBE)


def _apart(one: Passed, *, clear: bool) -> bool:
    least, longer_s = (APART, LONGER_S) if clear else (APART_MAYBE, LONGER_MAYBE_S)
    return one.share > least and one.longer_s > longer_s


def _spans(passes: list[Passed], fits: Fits) -> Iterator[tuple[list[Passed], bool]]:
    """Stretches of stops that may be told of, and whether they must be."""
    for maybe, group in groupby(passes, key=lambda one: fits(one, clear=False)):
        span = list(group)
        if not maybe or len(span) < STOPS_MAYBE:
            continue
        clears = [(clear, len(list(some))) for clear, some in groupby(span, key=lambda one: fits(one, clear=True))]
        yield span, max((stops for clear, stops in clears if clear), default=0) >= STOPS


def delays(vehicle_id: str, visits: list[Visit], truths: TruthBook) -> None:
    """Buses far behind, or before, their timetable."""

    def off(visit: Visit) -> bool:
        late_s = visit.at_s - visit.scheduled_s
        return late_s > LATE_MAYBE_S or late_s < -EARLY_MAYBE_S

    for maybe, group in groupby(visits, key=off):
        span = list(group)
        if not maybe:
            continue
        clear = [one for one in span if not -EARLY_S < one.at_s - one.scheduled_s < LATE_S]
        truths.add(
            Truth(
                rule="schedule_deviation",
                key=vehicle_id,
                # It got late on its way there.
                start_s=visits[max(0, visits.index(span[0]) - 1)].at_s,
                end_s=span[-1].at_s,
                must=bool(clear) and clear[-1].at_s - clear[0].at_s > LATE_FOR_S,
                planted=False,
                slack_s=1_200,
            )
        )


def overloads(trip: Trip, truths: TruthBook) -> None:
    """Stretches of a trip on which too many were on board."""
    counts = trip.counts
    for maybe, group in groupby(range(len(counts)), key=lambda at: counts[at].onboard >= LOAD_MAYBE * trip.capacity):
        span = list(group)
        if not maybe or span[-1] + 1 == len(counts):
            continue
        start_s, end_s = counts[span[0]].at_s, counts[span[-1] + 1].at_s
        if end_s - start_s < LOAD_FOR_MAYBE_S:
            continue
        heavy = [at for at in span if counts[at].onboard >= LOAD * trip.capacity]
        clear = bool(heavy) and counts[heavy[-1] + 1].at_s - counts[heavy[0]].at_s > LOAD_FOR_S
        planted = any(one.kind == "crowd" for one in trip.incidents)
        truths.add(
            Truth(
                rule="overload",
                key=trip.vehicle_id,
                start_s=start_s,
                end_s=end_s,
                must=clear and len(heavy) == heavy[-1] - heavy[0] + 1,
                planted=planted,
                label="planted" if planted else "grown",
                slack_s=300,
            )
        )

"""What a search for systemic problems reads, and the search itself. Loaded by the process that searches alone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from zoneinfo import ZoneInfo

import numpy as np
import structlog

from analysis.neighbourhoods import Mesh, mesh
from analysis.rises import DAY_MS, Floats, RisesReader
from analysis.samples import AREAS, read_area_sample
from analysis.schedule import Clock
from analysis.systemic import PROBLEMS_MOST, WEEKS_MOST, Findings, find, span_of
from analysis.systemic_measure import BEFORE_MS, Reopening
from city.alarms import Transition
from city.areas import Areas
from city.config import Config
from city.events import CameraStatus, Facet, SensorReading
from city.history.engines import HistoryError
from city.history.history import History
from city.incidents import Deed, IncidentStatus
from city.store import Store
from city.systemic import Followed
from dashboard.alarm_past import open_past
from dashboard.case_rises import case_rises, cases_since_ms
from dashboard.systemic_words import CASE_RULE
from dashboard.systemic_work import Calculation

log = structlog.get_logger()

_CHUNK = 2000
# Of the minutes that are sampled one in fifteen is looked at.
_SAMPLE_EVERY_MS = 900_000
_SAMPLES_BACK_MS = 7 * DAY_MS

# Transitions of a span of time, oldest first; the alarm log of the store, or the archive's.
Transitions = Callable[[int, int], Iterable[Transition]]
# When the first case of all was told of, and those that are new in a span of time, as what rises.
Cases = Callable[[int, int], tuple[int | None, Sequence[Transition]]]


def search(
    config: Config,
    store: Store,
    areas: Areas,
    now_ms: int,
    transitions: Transitions | None = None,
    cases: Cases | None = None,
) -> Calculation:
    """The systemic problems of a city as of now.

    `transitions`: where alarms are read; else the store's log. `cases`: where new cases are, none without it.
    """
    began = time.monotonic()
    clock = Clock(ZoneInfo(config.profile.timezone))
    followed = store.followed()
    accepted = [one.accepted_ms for one in followed if one.accepted_ms is not None]
    since_ms = min([now_ms - (7 * WEEKS_MOST + 1) * DAY_MS, *(at - BEFORE_MS for at in accepted)])
    reader = RisesReader()
    transitions = transitions or (lambda from_ms, _: logged(store, from_ms))
    # Of all that there is, not of the time that is looked at: a quiet week at its begin is known to be quiet.
    first = next(iter(transitions(0, now_ms)), None)
    known_since_ms = None if first is None else first.at_ms
    for transition in transitions(since_ms, now_ms):
        reader.take(transition)
    known = now_ms if known_since_ms is None else known_since_ms
    span = span_of(clock, known, now_ms)
    drawn = mesh(areas.mahallas)
    found = find(
        reader.rises(clock),
        drawn,
        span,
        clock,
        exposure_h=exposures(store, drawn, clock, now_ms),
        reopenings=reopenings(store),
        followed=[one for one in followed if not _of_cases(one)],
        known_since_ms=known,
    )
    # Cases are known since another day than alarms: their weeks are counted for themselves.
    told = _cases(cases, since_ms, drawn, clock, now_ms, [one for one in followed if _of_cases(one)])
    problems = sorted([*found.problems, *told.problems], key=lambda one: (-one.score, one.id))
    return Calculation(
        at_ms=now_ms,
        took_s=time.monotonic() - began,
        since_ms=span.since_ms,
        until_ms=span.until_ms,
        weeks=span.weeks,
        known_since_ms=known_since_ms,
        rises=found.rises,
        cases=told.rises,
        problems=tuple(problems[:PROBLEMS_MOST]),
        measures={**found.measures, **told.measures},
        without_polygon=found.without_polygon,
        nowhere=found.nowhere,
    )


def search_all(config: Config, store: Store, areas: Areas, now_ms: int) -> Calculation:
    """The same of all that is known: alarms of store and archive, and cases. Without an archive, of the store's log."""
    past = open_past(store, config.history.url, config.city)

    def transitions(from_ms: int, to_ms: int) -> Iterator[Transition]:
        if past is not None:
            yield from past.transitions(from_ms, to_ms)
        yield from logged(store, from_ms)

    def cases(from_ms: int, to_ms: int) -> tuple[int | None, Sequence[Transition]]:
        try:
            history = History.open(config)
            try:
                view = history.view()
                return cases_since_ms(view, to_ms), list(case_rises(view, from_ms, to_ms))
            finally:
                history.close()
        except HistoryError as error:
            log.warning("systemic_without_cases", error=str(error))
            return None, []

    return search(config, store, areas, now_ms, transitions, cases)


def _of_cases(one: Followed) -> bool:
    return one.problem.pattern.rule.startswith(CASE_RULE)


def _cases(
    cases: Cases | None, since_ms: int, drawn: Mesh, clock: Clock, now_ms: int, followed: Sequence[Followed]
) -> Findings:
    """What keeps coming back among cases; they are compared by counts, nobody knows how many could tell of them."""
    reader = RisesReader()
    first_ms, risen = cases(since_ms, now_ms) if cases is not None else (None, ())
    for case in risen:
        reader.take(case)
    known_ms = now_ms if first_ms is None else max(first_ms, since_ms)
    span = span_of(clock, known_ms, now_ms)
    return find(reader.rises(clock), drawn, span, clock, followed=followed, known_since_ms=known_ms)


def logged(store: Store, since_ms: int) -> Iterator[Transition]:
    """The store's alarm log from a time on, oldest first."""
    cursor = f"{max(0, since_ms)}-0"
    while True:
        found = store.transitions(after=cursor, count=_CHUNK)
        yield from (transition for _, transition in found)
        if not found:
            return
        cursor = found[-1][0]


def exposures(store: Store, drawn: Mesh, clock: Clock, now_ms: int) -> Mapping[str, Floats]:
    """Hours of a day that sources are in each mahalla, by their kind: hour of the day × mahalla.

    Vehicles as the samples of areas have seen them, as far as those go back; a camera and a sensor where it stands, all
    day. Routes run where vehicles do.
    """
    numbers = {code: at for at, code in enumerate(drawn.codes)}
    seen, looks = np.zeros((24, len(numbers))), np.zeros(24)
    for since_ms in range(now_ms - _SAMPLES_BACK_MS, now_ms, _SAMPLE_EVERY_MS):
        for at_ms, raw in store.samples(AREAS, since_ms, since_ms + 60_000)[:1]:
            hour = clock.local(at_ms).hour
            looks[hour] += 1
            for code, area in read_area_sample(raw).items():
                if code in numbers:
                    seen[hour, numbers[code]] += area.vehicles
    buses = seen / np.maximum(looks, 1)[:, None]
    cameras = [one.mahalla for one in store.latest(Facet.CAMERA_STATUS) if isinstance(one, CameraStatus)]
    sensors = {one.sensor_id: one.mahalla for one in store.latest(Facet.SENSOR) if isinstance(one, SensorReading)}
    return {
        "vehicle": buses,
        "route": buses,
        "camera": _standing(cameras, numbers),
        "sensor": _standing(sensors.values(), numbers),
    }


def reopenings(store: Store) -> Sequence[Reopening]:
    """Incidents that were opened again, as far as the log of incidents is looked back."""
    incidents = {one.id: one for one in store.incidents()}
    found = []
    for entry in store.newest_entries(frozenset(incidents)) if incidents else ():
        closed_before = entry.values.get("before") == IncidentStatus.CLOSED
        if entry.deed is Deed.STATUS and closed_before and entry.text != IncidentStatus.CLOSED:
            one = incidents[entry.incident]
            found.append(
                Reopening(
                    incident=one.id, at_ms=entry.at_ms, rule=one.rule, district=one.district, priority=one.priority
                )
            )
    return found


def _standing(mahallas: Iterable[str | None], numbers: Mapping[str, int]) -> Floats:
    counts = np.zeros(len(numbers))
    for code, count in Counter(code for code in mahallas if code is not None).items():
        if code in numbers:
            counts[numbers[code]] += count
    return np.tile(counts, (24, 1))

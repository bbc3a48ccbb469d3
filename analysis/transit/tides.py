"""Tables of TIDES, the Transit ITS Data Exchange Specification (tides-transit.org): vehicle_locations, stop_visits,
passenger_events, trips_performed.

Names, types and words are those of its table schemas; only fields that are known are given, optional ones that nobody
measures are left out. Times are RFC 3339 with the city's offset, as its `datetime` fields want; TIDES counts a vehicle
that is late as positive, Markaz as negative.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from msgspec import Struct

from analysis.transit.clock import service_days
from analysis.transit.columns import F64, I64, Fixes
from analysis.transit.counts import Counted, Counts
from analysis.transit.passages import LinePassages


class Days(Struct, frozen=True):
    """How service days are told."""

    zone: ZoneInfo
    begins_h: int = 3

    def dates(self, moments_ms: I64) -> pa.Array:
        """The service date of each moment."""
        return pa.array(service_days(moments_ms, self.zone, self.begins_h).astype(np.int32), pa.date32())

    def times(self, moments_ms: I64) -> list[str]:
        """Each moment by the city's clock, to the second."""
        return [
            datetime.fromtimestamp(moment / 1000, UTC).astimezone(self.zone).isoformat(timespec="seconds")
            for moment in moments_ms.tolist()
        ]


def trips_performed(lines: Sequence[LinePassages], days: Days) -> pa.Table:
    """`trips_performed`: a row a run."""
    parts = []
    for one in lines:
        if not len(one):
            continue
        first = np.flatnonzero(np.concatenate([[True], np.diff(one.run) != 0]))
        last = np.concatenate([first[1:], [len(one)]]) - 1
        runs = [one.runs[int(run)] for run in one.run[first]]
        names = trip_ids(one)
        parts.append(
            pa.table(
                {
                    "service_date": days.dates(one.departure_ms[first]),
                    "trip_id_performed": pa.array([names[int(run)] for run in one.run[first]], pa.string()),
                    "vehicle_id": pa.array([run.vehicle_id for run in runs], pa.string()),
                    "trip_id_scheduled": pa.array([run.trip for run in runs], pa.string()),
                    "route_id": pa.array([one.line.route] * len(runs), pa.string()),
                    "route_type": pa.array(["Bus"] * len(runs), pa.string()),
                    "direction_id": pa.array([one.line.direction - 1] * len(runs), pa.int8()),
                    "trip_start_stop_id": _stop_ids(one, first),
                    "trip_end_stop_id": _stop_ids(one, last),
                    "actual_trip_start": pa.array(days.times(one.departure_ms[first]), pa.string()),
                    "actual_trip_end": pa.array(days.times(one.arrival_ms[last]), pa.string()),
                    "trip_type": pa.array(["In service"] * len(runs), pa.string()),
                }
            )
        )
    return _joined(parts)


def stop_visits(lines: Sequence[Counted], days: Days) -> pa.Table:
    """`stop_visits`: a row a passage, with boardings, alightings and the load where they were counted."""
    parts = []
    for counted in lines:
        one = counted.passages
        if not len(one):
            continue
        names = trip_ids(one)
        start_ms = one.departure_ms[np.searchsorted(one.run, one.run)]
        along_m = np.array([stop.along_m for stop in one.stops])[one.stop]
        way_m = np.concatenate([[0.0], np.diff(along_m)])
        same = np.concatenate([[False], np.diff(one.run) == 0])
        meant = np.isfinite(one.deviation_s)
        meant_ms = one.moments_ms + np.rint(1000 * np.nan_to_num(one.deviation_s)).astype(np.int64)
        last = one.stop == len(one.stops) - 1
        meant_times = days.times(meant_ms)
        parts.append(
            pa.table(
                {
                    "service_date": days.dates(start_ms),
                    "trip_id_performed": pa.array([names[int(run)] for run in one.run], pa.string()),
                    "trip_stop_sequence": pa.array(_order(one.run), pa.int32()),
                    "scheduled_stop_sequence": pa.array(one.stop + 1, pa.int32()),
                    "pattern_id": pa.array([f"{one.line.route}_{one.line.direction}"] * len(one), pa.string()),
                    "vehicle_id": pa.array([one.runs[int(run)].vehicle_id for run in one.run], pa.string()),
                    "dwell": _whole((one.departure_ms - one.arrival_ms) / 1000, ~one.ends),
                    "stop_id": _stop_ids(one, np.arange(len(one))),
                    # The deviation is that of the departure, at the last stop of the arrival.
                    "schedule_arrival_time": _told(meant_times, meant & last),
                    "schedule_departure_time": _told(meant_times, meant & ~last),
                    "actual_arrival_time": pa.array(days.times(one.arrival_ms), pa.string()),
                    "actual_departure_time": pa.array(days.times(one.departure_ms), pa.string()),
                    "distance": _whole(way_m, same),
                    "boarding_1": _whole(counted.boarded),
                    "alighting_1": _whole(counted.alighted),
                    "departure_load": _whole(np.maximum(counted.load, 0.0)),
                }
            )
        )
    return _joined(parts)


def vehicle_locations(fixes: Fixes, days: Days) -> pa.Table:
    """`vehicle_locations`: a row a position of one route."""
    vehicles = [fixes.vehicle[row] or "" for row in range(len(fixes))]
    kinds = [fixes.kind[row] for row in range(len(fixes))]
    return pa.table(
        {
            "location_ping_id": pa.array(
                [
                    f"{name}-{moment}{'-' + kind if kind else ''}"
                    for name, moment, kind in zip(vehicles, fixes.measured_ms.tolist(), kinds, strict=True)
                ],
                pa.string(),
            ),
            "service_date": days.dates(fixes.measured_ms),
            "event_timestamp": pa.array(days.times(fixes.measured_ms), pa.string()),
            "trip_id_scheduled": pa.array([fixes.trip[row] for row in range(len(fixes))], pa.string()),
            "vehicle_id": pa.array(vehicles, pa.string()),
            "stop_id": pa.array([fixes.stop[row] for row in range(len(fixes))], pa.string()),
            "latitude": pa.array(fixes.lat, pa.float64()),
            "longitude": pa.array(fixes.lon, pa.float64()),
            "speed": pa.array(fixes.speed_mps, pa.float64(), from_pandas=True),
            "schedule_deviation": _whole(-fixes.deviation_s),
        }
    )


def passenger_events(counts: Counts, days: Days) -> pa.Table:
    """`passenger_events`: a row for who got on and one for who got off, of each message that counts any."""
    parts = []
    for event, number in (("Passenger boarded", counts.boarded), ("Passenger alighted", counts.alighted)):
        rows = np.flatnonzero(np.nan_to_num(number) > 0)
        moments_ms = counts.measured_ms[rows]
        vehicles = [counts.vehicle[row] or "" for row in rows.tolist()]
        before: Counter[tuple[str, int]] = Counter()  # doors count for themselves, at the same time
        word = event.partition(" ")[2]
        parts.append(
            pa.table(
                {
                    "passenger_event_id": pa.array(
                        [
                            f"{name}-{moment}-{_next(before, (name, moment))}-{word}"
                            for name, moment in zip(vehicles, moments_ms.tolist(), strict=True)
                        ],
                        pa.string(),
                    ),
                    "service_date": days.dates(moments_ms),
                    "event_timestamp": pa.array(days.times(moments_ms), pa.string()),
                    "event_type": pa.array([event] * len(rows), pa.string()),
                    "vehicle_id": pa.array(vehicles, pa.string()),
                    "stop_id": pa.array([counts.stop[row] for row in rows.tolist()], pa.string()),
                    "event_count": _whole(number[rows]),
                }
            )
        )
    return pa.concat_tables(parts).sort_by([("event_timestamp", "ascending"), ("passenger_event_id", "ascending")])


def _next(before: Counter[tuple[str, int]], key: tuple[str, int]) -> int:
    before[key] += 1
    return before[key] - 1


def trip_ids(one: LinePassages) -> Mapping[int, str]:
    """The name of each performed trip: the vehicle's own is not unique over days."""
    return {
        at: f"{one.line.route}_{one.line.direction}_{run.vehicle_id}_{run.first_ms // 1000}"
        for at, run in enumerate(one.runs)
    }


def as_csv(table: pa.Table) -> bytes:
    """A table as CSV (RFC 4180), UTF-8, with a head line."""
    sink = io.BytesIO()
    pyarrow.csv.write_csv(table, sink)
    return sink.getvalue()


def as_parquet(table: pa.Table) -> bytes:
    """A table as one Parquet file, zstd."""
    sink = io.BytesIO()
    pyarrow.parquet.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _order(run: I64) -> I64:
    """1, 2, 3 … within each run."""
    return np.arange(len(run)) - np.searchsorted(run, run) + 1


def _stop_ids(one: LinePassages, rows: I64) -> pa.Array:
    return pa.array([one.stops[int(stop)].stop_id for stop in one.stop[rows]], pa.string())


def _whole(values: F64, known: np.ndarray | None = None) -> pa.Array:
    good = np.isfinite(values) if known is None else np.isfinite(values) & known
    return pa.array(np.rint(np.where(good, values, 0)).astype(np.int64), pa.int64(), mask=~good)


def _told(times: Sequence[str], known: np.ndarray) -> pa.Array:
    return pa.array([time if one else None for time, one in zip(times, known.tolist(), strict=True)], pa.string())


def _joined(parts: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables(parts) if parts else pa.table({})

"""The city's imported timetable on disk: `<data_dir>/gtfs/<city>/`.

Each import is a folder of its own; `current` names the one that counts and is replaced in one step, so that a reader
finds the old timetable or the new one, never half of each. The one before stays: somebody may be reading it. Imports
wait for each other; what a killed one left behind the next one removes.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from datetime import date
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import Struct

from city.gtfs.timetable import Timetable, Trips, Visits
from city.routes import Line

_CURRENT, _ABOUT, _TRIPS, _VISITS = "current", "feed.json", "trips.arrow", "visits.arrow"
_LOCK = ".lock"


class StoredError(Exception):
    """The stored timetable cannot be read. The message is one line."""


class About(Struct, frozen=True, kw_only=True):
    """What an import was."""

    source: str  # name of the file or folder
    imported_ms: int
    agency: str
    agency_url: str
    timezone: str
    stop_ids: tuple[str, ...]
    services: tuple[str, ...]
    dates: dict[str, tuple[int, ...]]
    lines: tuple[Line, ...]


def folder(data_dir: Path, city: str) -> Path:
    """Where a city's timetable is kept."""
    return data_dir / "gtfs" / city


def save(timetable: Timetable, kept: Path, source: str, now_ms: int) -> None:
    """Keep a timetable as the city's, in place of what was there once the new one is whole. Raises OSError."""
    kept.mkdir(parents=True, exist_ok=True)
    with (kept / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _save(timetable, kept, source, now_ms)


def _save(timetable: Timetable, kept: Path, source: str, now_ms: int) -> None:
    before = _current(kept)
    _clean(kept, {before})
    while (made := kept / f"{now_ms:013d}").exists():
        now_ms += 1  # two imports of one millisecond
    draft = kept / f".{made.name}.{os.getpid()}"
    draft.mkdir()
    try:
        about = About(
            source=source,
            imported_ms=now_ms,
            agency=timetable.agency,
            agency_url=timetable.agency_url,
            timezone=timetable.timezone,
            stop_ids=timetable.stop_ids,
            services=timetable.services,
            dates={day.isoformat(): services for day, services in timetable.dates.items()},
            lines=timetable.lines,
        )
        with (draft / _ABOUT).open("wb") as file:
            file.write(msgspec.json.encode(about))
            os.fsync(file.fileno())
        trips, visits = timetable.trips, timetable.visits
        _write(
            draft / _TRIPS,
            pa.table(
                {
                    "trip_id": pa.array(trips.trip_id, pa.string()),
                    "route_id": pa.array(trips.route_id, pa.string()).dictionary_encode(),
                    "short_name": pa.array(trips.short_name, pa.string()).dictionary_encode(),
                    "direction": trips.direction,
                    "service": trips.service,
                }
            ),
        )
        _write(draft / _VISITS, pa.table({name: getattr(visits, name) for name in Visits.__struct_fields__}))
        _sync(draft)
        draft.rename(made)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    pointer = kept / f".{_CURRENT}.{os.getpid()}"
    with pointer.open("w", encoding="utf-8") as text:
        text.write(made.name)
        text.flush()
        os.fsync(text.fileno())
    pointer.replace(kept / _CURRENT)
    _sync(kept)
    _clean(kept, {before, made.name})


def stored(kept: Path) -> tuple[Timetable, About] | None:
    """The city's timetable, None where none was imported; raises StoredError."""
    name = _current(kept)
    while name is not None:
        try:
            return _read_all(kept / name)
        except FileNotFoundError as error:
            # Two imports went by while it was read.
            again = _current(kept)
            if again == name:
                raise StoredError(f"{kept / name}: not a stored timetable: {error.strerror}") from error
            name = again
    return None


def _current(kept: Path) -> str | None:
    """The folder that counts, None without; raises StoredError."""
    try:
        return Path((kept / _CURRENT).read_text(encoding="utf-8")).name
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise StoredError(f"{kept / _CURRENT}: {error}") from error


def _clean(kept: Path, wanted: set[str | None]) -> None:
    """Remove imports of before, and drafts: of their writers none is alive, as the lock is ours."""
    for other in kept.iterdir():
        if other.is_dir() and other.name not in wanted and other.name.removeprefix(".")[:13].isdecimal():
            shutil.rmtree(other, ignore_errors=True)
        elif other.name.startswith(f".{_CURRENT}."):
            other.unlink(missing_ok=True)


def _sync(place: Path) -> None:
    number = os.open(place, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _read_all(here: Path) -> tuple[Timetable, About]:
    """One import; raises FileNotFoundError, StoredError."""
    try:
        about = msgspec.json.decode((here / _ABOUT).read_bytes(), type=About)
        trips, visits = _read(here / _TRIPS), _read(here / _VISITS)
        found = Timetable(
            agency=about.agency,
            agency_url=about.agency_url,
            timezone=about.timezone,
            stop_ids=about.stop_ids,
            trips=Trips(
                trip_id=tuple(trips["trip_id"].to_pylist()),
                route_id=tuple(trips["route_id"].to_pylist()),
                short_name=tuple(trips["short_name"].to_pylist()),
                direction=np.asarray(trips["direction"], np.int64),
                service=np.asarray(trips["service"], np.int64),
            ),
            visits=Visits(**{one: np.asarray(visits[one], np.int64) for one in Visits.__struct_fields__}),
            services=about.services,
            dates={date.fromisoformat(day): services for day, services in about.dates.items()},
            lines=about.lines,
        )
    except FileNotFoundError:
        raise
    except (OSError, KeyError, ValueError, pa.ArrowException, msgspec.DecodeError) as error:
        raise StoredError(f"{here}: not a stored timetable: {' '.join(str(error).split())}") from error
    return found, about


def _write(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    _sync(path)


def _read(path: Path) -> pa.Table:
    with pa.OSFile(str(path), "rb") as file:
        return pa.ipc.open_file(file).read_all()

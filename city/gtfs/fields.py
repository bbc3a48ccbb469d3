"""Whether each value of a feed looks as its field must, refers to what is there, and keys differ."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from datetime import date
from functools import cache, lru_cache
from urllib.parse import urlsplit

from city.checked import check_timezone
from city.gtfs.faults import Faults, Reason
from city.gtfs.reader import Feed, Rows
from city.gtfs.tables import TABLES, Field, Kind, Table

# HH:MM:SS, or H:MM:SS; hours beyond 24 are of the next day's night.
_TIME = re.compile(r"(\d{1,3}):([0-5]\d):([0-5]\d)", re.ASCII)
_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# A service day of a week is a slip of the pen.
HOURS_MAX = 168


# The same times come again in every trip: a day has no more of them than seconds.
@lru_cache(maxsize=100_000)
def seconds(text: str) -> int | None:
    """Seconds of the service day of `HH:MM:SS`, which may be above 24 h; None for anything else."""
    found = _TIME.fullmatch(text)
    if found is None or int(found[1]) >= HOURS_MAX:
        return None
    return int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3])


def day_of(text: str) -> date | None:
    """The date of `YYYYMMDD`; None for anything else."""
    found = _DATE.fullmatch(text)
    try:
        return None if found is None else date(*map(int, found.groups()))
    except ValueError:
        return None


def check_fields(feed: Feed, faults: Faults, broken: frozenset[str]) -> None:
    """Every value, key and reference of a feed; nothing is looked for in `broken` files, of which rows are missing."""
    known: dict[str, frozenset[str]] = {}
    for table in TABLES:
        rows = feed[table.name]
        for field in table.fields:
            if field.name in rows.given:
                _check_values(rows, field, faults)
        _check_keys(rows, table, faults)
    for table in TABLES:
        for field in table.fields:
            referred = f"{field.refers.partition('.')[0]}.txt"
            if field.refers and field.name in feed[table.name].given and referred not in broken:
                if field.refers not in known:
                    file, _, column = field.refers.partition(".")
                    known[field.refers] = frozenset(feed[file][column])
                _check_references(feed[table.name], field, known[field.refers], faults)


def _check_values(rows: Rows, field: Field, faults: Faults) -> None:
    check = cache(_CHECKS[field.kind](field))
    for line, value in zip(rows.lines, rows[field.name], strict=True):
        if not value:
            if field.required:
                faults.add(rows.file, line, field.name, Reason.EMPTY_VALUE, "a value is required")
            continue
        wrong = check(value)
        if wrong is not None:
            faults.add(rows.file, line, field.name, wrong[0], f"{_short(value)} {wrong[1]}")


def _check_keys(rows: Rows, table: Table, faults: Faults) -> None:
    if not table.key or not rows.given.issuperset(table.key):
        return
    seen: dict[tuple[str, ...], int] = {}
    for line, key in zip(rows.lines, zip(*(rows[name] for name in table.key), strict=True), strict=True):
        first = seen.setdefault(key, line)
        if first != line and all(key):
            shown = ", ".join(map(_short, key))
            faults.add(rows.file, line, table.key[-1], Reason.DUPLICATE_KEY, f"{shown} is that of line {first} already")


def _check_references(rows: Rows, field: Field, known: frozenset[str], faults: Faults) -> None:
    for line, value in zip(rows.lines, rows[field.name], strict=True):
        if value and value not in known:
            detail = f"{_short(value)} is no {field.refers.partition('.')[2]} of {field.refers.partition('.')[0]}.txt"
            faults.add(rows.file, line, field.name, Reason.UNKNOWN_REFERENCE, detail)


def _short(value: str) -> str:
    return repr(value if len(value) <= 60 else f"{value[:57]}…")


Wrong = tuple[Reason, str] | None


def _text(_: Field) -> Callable[[str], Wrong]:
    # A hard space is none of them, nor is a mark that joins letters.
    return lambda value: (
        (Reason.BAD_VALUE, "has control characters")
        if not value.isprintable() and any(unicodedata.category(letter) == "Cc" for letter in value)
        else None
    )


def _url(_: Field) -> Callable[[str], Wrong]:
    def check(value: str) -> Wrong:
        try:
            parts = urlsplit(value)
        except ValueError:
            return Reason.BAD_VALUE, "is no address"
        whole = parts.scheme in ("http", "https") and parts.netloc
        return None if whole else (Reason.BAD_VALUE, "is no address with http:// or https://")

    return check


def _timezone(_: Field) -> Callable[[str], Wrong]:
    def check(value: str) -> Wrong:
        try:
            check_timezone(value)
        except ValueError:
            return Reason.BAD_VALUE, "is no name of the IANA time zones"
        return None

    return check


def _degrees(most: float) -> Callable[[Field], Callable[[str], Wrong]]:
    def of(_: Field) -> Callable[[str], Wrong]:
        def check(value: str) -> Wrong:
            if not _NUMBER.fullmatch(value):
                return Reason.BAD_VALUE, "is no number"
            if not abs(float(value)) <= most:
                return Reason.OUT_OF_RANGE, f"is not within ±{most:.0f} degrees"
            return None

        return check

    return of


def _whole(least: int) -> Callable[[Field], Callable[[str], Wrong]]:
    def of(_: Field) -> Callable[[str], Wrong]:
        def check(value: str) -> Wrong:
            if not re.fullmatch(r"\d{1,9}", value, re.ASCII):
                return Reason.BAD_VALUE, "is no whole number from 0 up"
            return None if int(value) >= least else (Reason.OUT_OF_RANGE, f"is below {least}")

        return check

    return of


def _number(_: Field) -> Callable[[str], Wrong]:
    def check(value: str) -> Wrong:
        if not _NUMBER.fullmatch(value) or not math.isfinite(float(value)):
            return Reason.BAD_VALUE, "is no number"
        return None if float(value) >= 0 else (Reason.OUT_OF_RANGE, "is negative")

    return check


def _time(_: Field) -> Callable[[str], Wrong]:
    return lambda value: None if seconds(value) is not None else (Reason.BAD_TIME, "is no time HH:MM:SS")


def _date(_: Field) -> Callable[[str], Wrong]:
    return lambda value: None if day_of(value) is not None else (Reason.BAD_DATE, "is no date YYYYMMDD")


def _choice(field: Field) -> Callable[[str], Wrong]:
    allowed = frozenset(field.choice)
    shown = ", ".join(field.choice[:12])
    return lambda value: None if value in allowed else (Reason.BAD_VALUE, f"is none of {shown}")


def _color(_: Field) -> Callable[[str], Wrong]:
    return lambda value: (
        None if re.fullmatch(r"[0-9A-Fa-f]{6}", value) else (Reason.BAD_VALUE, "is no color of six hex digits")
    )


_CHECKS: dict[Kind, Callable[[Field], Callable[[str], Wrong]]] = {
    Kind.TEXT: _text,
    Kind.URL: _url,
    Kind.TIMEZONE: _timezone,
    Kind.LATITUDE: _degrees(90),
    Kind.LONGITUDE: _degrees(180),
    Kind.WHOLE: _whole(0),
    Kind.POSITIVE: _whole(1),
    Kind.NUMBER: _number,
    Kind.TIME: _time,
    Kind.DATE: _date,
    Kind.CHOICE: _choice,
    Kind.COLOR: _color,
}

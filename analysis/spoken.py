"""The words of a question, and how its times, steps and numbers are written in a URL and read again. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum

_UNITS_S = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Beyond this a double is no longer a number that anybody measured.
_NUMBER_MAX = 1e15


class Shape(StrEnum):
    """What kind of answer is wanted."""

    TOTAL = "total"  # a measure of the whole span, one number
    SERIES = "series"  # by time
    AREAS = "areas"  # by district or mahalla, and by time where a step is given
    TOP = "top"  # the greatest of a dimension
    DISTRIBUTION = "distribution"  # how often which value
    HEAT = "heat"  # by weekday and hour of the city's day
    ROWS = "rows"  # the rows themselves, a page
    TRACK = "track"  # the rows of one vehicle, in order
    ORIGIN = "origin"  # what is behind the numbers


class Late(StrEnum):
    """Whether rows count that were older than what their entity had said before."""

    WITH = "with"
    WITHOUT = "without"
    ONLY = "only"


class QuestionError(ValueError):
    """A question that cannot be asked: which parameter, and why."""

    def __init__(self, parameter: str, why: str) -> None:
        super().__init__(f"{parameter}: {why}")
        self.parameter = parameter
        self.why = why


def time_ms(name: str, text: str) -> int:
    """Epoch milliseconds of a time of RFC 3339; raises QuestionError naming the parameter."""
    try:
        # A "+" that was not escaped has become a space on its way.
        moment = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text)
    except ValueError:
        raise QuestionError(name, f"no time of RFC 3339: {text[:60]!r}") from None
    if moment.tzinfo is None:
        raise QuestionError(name, f"a time without its offset from UTC: {text[:60]!r}")
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def time_text(ms: int) -> str:
    """A time of RFC 3339 in UTC, with a fraction where it has one."""
    moment = _EPOCH + timedelta(milliseconds=ms)
    return moment.isoformat(timespec="milliseconds" if ms % 1000 else "seconds").replace("+00:00", "Z")


def step_s(name: str, text: str) -> int:
    """Seconds of `30s`, `15min`, `1h`, `1d` or a plain number; raises QuestionError."""
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = text[len(number) :] or "s"
    if not number.isdecimal() or not number.isascii() or len(number) > 9 or unit not in _UNITS_S or int(number) < 1:
        raise QuestionError(name, f"a step such as 30s, 15min, 1h or 1d, not {text[:60]!r}")
    return int(number) * _UNITS_S[unit]


def step_text(seconds: int) -> str:
    """A step in the largest unit that it is whole in."""
    unit = next(unit for unit in ("d", "h", "min", "s") if seconds % _UNITS_S[unit] == 0)
    return f"{seconds // _UNITS_S[unit]}{unit}"


def whole(name: str, text: str) -> int:
    """A whole number from 0; raises QuestionError."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise QuestionError(name, f"a whole number, not {text[:60]!r}")
    return int(text)


def number(name: str, text: str) -> float:
    """A finite number; raises QuestionError."""
    try:
        value = float(text)
    except ValueError:
        raise QuestionError(name, f"a number, not {text[:60]!r}") from None
    if not -_NUMBER_MAX < value < _NUMBER_MAX:
        raise QuestionError(name, f"a number, not {text[:60]!r}")
    return value

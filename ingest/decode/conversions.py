"""From a stranger's value to a native one: numbers in quotes, units, booleans, times.

Each conversion takes a JSON value that is not null and the time of arrival (epoch ms), and gives a
JSON value; it raises Undecodable, to which the caller adds the field's name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import partial
from zoneinfo import ZoneInfo

from city.json_path import describe
from city.mappings import ANY_UNIT, EPOCHS, FieldSource, Native
from city.messages import RejectReason
from city.units import converter, first_like
from ingest.decode.local_times import read_local_s
from ingest.decode.outcome import Undecodable

Convert = Callable[[object, int], object]

_NUMBER_IN_TEXT = re.compile(r"\s*([+-]?\d{1,30}(?:\.\d{0,30})?(?:[eE][+-]?\d{1,3})?)\s*")
_FLAGS = {"true": True, "on": True, "yes": True, "1": True, "false": False, "off": False, "no": False, "0": False}
# The native field takes seconds below this and milliseconds from it on.
_SECONDS_END = 1e11
_NAME_NUMBER_MAX = 10**15


def conversions(source: FieldSource, native: Native) -> tuple[Convert, ...]:
    """What is done with a field's value, in order."""
    steps: list[Convert] = []
    if source.type == "number":
        steps.append(_number_in_text)
    elif source.type == "text":
        steps.append(_text)
    if native.holds == "flag":
        steps.append(_flag)
    if source.time is not None or source.zone is not None:
        steps.append(_time(source.time, None if source.zone is None else ZoneInfo(source.zone)))
    if source.scale is not None:
        steps.append(partial(_measure, partial(_times, source.scale)))
    if source.unit is not None and native.unit is not None:
        wanted = first_like(source.unit) if native.unit == ANY_UNIT else native.unit
        steps.append(partial(_measure, converter(source.unit, wanted)))
    return tuple(steps)


def shown(value: object) -> str:
    """A single JSON value as JSON writes it, short enough for a reject's detail."""
    if isinstance(value, str):
        return repr(value[:40])
    if isinstance(value, int) and abs(value) > _NAME_NUMBER_MAX:
        return "a number that is too long"  # one of thousands of digits has no text
    if isinstance(value, float) and value.is_integer() and abs(value) <= _NAME_NUMBER_MAX:
        value = int(value)
    return str(value)


def _number_in_text(found: object, received_ms: int) -> object:
    if not isinstance(found, str):
        return found
    number = _NUMBER_IN_TEXT.fullmatch(found)
    if number is None:
        raise Undecodable(RejectReason.BAD_TYPE, f"expected a number, got {shown(found)}")
    return int(number[1]) if number[1].lstrip("+-").isdecimal() else float(number[1])


def _text(found: object, received_ms: int) -> object:
    return shown(found) if isinstance(found, int | float) and not isinstance(found, bool) else found


def _flag(found: object, received_ms: int) -> object:
    if isinstance(found, bool):
        return found
    if not isinstance(found, str | int | float):
        raise Undecodable(RejectReason.BAD_TYPE, f"expected on or off, got {describe(found)}")
    flag = _FLAGS.get(found.strip().lower() if isinstance(found, str) else shown(found))
    if flag is None:
        raise Undecodable(RejectReason.BAD_VALUE, f"expected one of {', '.join(_FLAGS)}, got {shown(found)}")
    return flag


def _measure(convert: Callable[[float], float], found: object, received_ms: int) -> object:
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise Undecodable(RejectReason.BAD_TYPE, f"expected a number, got {describe(found)}")
    try:
        converted = convert(found)
    except OverflowError:
        converted = math.inf
    if not math.isfinite(converted):
        raise Undecodable(RejectReason.BAD_VALUE, "too large a number")
    return converted


def _times(scale: float, amount: float) -> float:
    return float(amount) * scale


def _time(how: str | None, zone: ZoneInfo | None) -> Convert:
    """Numbers by the epoch that is said, texts by pattern and zone; to epoch seconds."""

    def convert(found: object, received_ms: int) -> object:
        if how in EPOCHS:
            if isinstance(found, bool) or not isinstance(found, int | float):
                raise Undecodable(RejectReason.BAD_TYPE, f"expected a number, got {describe(found)}")
            seconds = found if how == "epoch_s" else found / 1000 if abs(found) < 1e300 else math.inf
        elif isinstance(found, str):
            seconds = read_local_s(found, how, zone, received_ms)
        elif how is None:
            return found  # an epoch has no zone
        else:
            raise Undecodable(RejectReason.BAD_TYPE, f"expected text, got {describe(found)}")
        if not 0 <= seconds < _SECONDS_END:
            raise Undecodable(RejectReason.BAD_TIME, f"{shown(found)} is no time between 1970 and 5138")
        return seconds

    return convert

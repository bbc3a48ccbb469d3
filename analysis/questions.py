"""A question to history as plain data, and as the query of a URL: a link says what is seen.

Pure. There is one way to write a question: `question_of(query_of(question)) == question`, and equal questions are
written alike, so the text serves as a name for what was answered.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum
from urllib.parse import parse_qsl, urlencode

from msgspec import Struct, structs

from analysis.measures import AREAS, COLUMNS, DIMENSIONS, FEEDS, MEASURES, How
from analysis.spoken import Late, QuestionError, Shape, number, step_s, step_text, time_ms, time_text, whole
from city.events import Facet

__all__ = [
    "FILTERS",
    "PARAMETERS",
    "Late",
    "Question",
    "QuestionError",
    "Shape",
    "asked_by",
    "compared",
    "has_bins",
    "query_of",
    "question",
    "question_of",
    "step_for",
    "step_s",
    "step_text",
    "time_ms",
    "time_text",
]

MINUTE_MS, DAY_MS = 60_000, 86_400_000
SPAN_MAX_MS = 3 * 366 * DAY_MS
# More points than a screen has columns are no picture; more than this are no answer either.
BUCKETS_MAX = 20_000
_BUCKETS_WANTED = 200
STEPS_S = (10, 30, 60, 300, 900, 3600, 10_800, 21_600, 86_400, 604_800)
LIMIT_MAX = 100_000
BINS_MAX = 500
VALUES_MAX = 2_000  # names in one list
_VALUE_MAX = 400  # letters of a name
AT = "measured_at"  # the column of time, as answers name it
# Year 1 and 9999 are out of reach of some engines; nothing of a city is there.
_FIRST_MS, LAST_MS = 0, 4_102_444_800_000  # 1970 to 2100
# Narrower bins, by the greater of their bounds, are no numbers that doubles tell apart.
_BIN_MIN, _BIN_LEAST = 1e-12, 1e-300


class Question(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked of history. Made by `question`, which checks it and fills in what is left open."""

    feed: str = Facet.POSITION.value
    from_ms: int  # epoch milliseconds UTC, the first that counts
    to_ms: int  # the first that counts no more
    shape: Shape = Shape.SERIES
    measure: str = "count"
    by: str | None = None  # a dimension of the feed
    every_s: int | None = None  # the step in time
    districts: tuple[str, ...] = ()
    mahallas: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    vehicles: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()
    sensors: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    priorities: tuple[str, ...] = ()
    quantities: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    hours: tuple[int, ...] = ()  # of the city's clock, 0 to 23
    weekdays: tuple[int, ...] = ()  # of the city's days, 1 Monday to 7 (ISO 8601)
    value_min: float | None = None  # only rows whose value of the measure is at least this
    value_max: float | None = None  # and below this
    late: Late = Late.WITH
    compare_from_ms: int | None = None  # the same span again, from here on
    bins: int = 40  # of a distribution
    low: float | None = None  # where its first bin begins; what is below counts there
    high: float | None = None
    limit: int = 1000  # rows, or entries of a top list
    order: str | None = None  # of rows: a column as answers name it, "-" before it for downwards; None: by time
    cursor: str | None = None  # behind which the next page of rows begins

    @property
    def span_ms(self) -> int:
        return self.to_ms - self.from_ms


# The lists that choose rows → the dimension that they are names of.
FILTERS: dict[str, str] = {
    "districts": "district",
    "mahallas": "mahalla",
    "routes": "route",
    "vehicles": "vehicle",
    "cameras": "camera",
    "sensors": "sensor",
    "kinds": "kind",
    "rules": "rule",
    "priorities": "priority",
    "quantities": "quantity",
    "networks": "network",
}
# Lists of times of the city's clock → the least and the greatest in them.
CLOCK: dict[str, tuple[int, int]] = {"hours": (0, 23), "weekdays": (1, 7)}
# How a field is called in a URL, where its name is another one.
_SPOKEN = {
    "from_ms": "from",
    "to_ms": "to",
    "every_s": "every",
    "compare_from_ms": "compare_from",
    **FILTERS,
    **{field: field.removesuffix("s") for field in CLOCK},
}
_FIELDS = {spoken: field for field, spoken in _SPOKEN.items()}
# The names of all parameters, in the order in which a link has them.
PARAMETERS = tuple(_SPOKEN.get(field, field) for field in Question.__struct_fields__)


def question(asked: Question) -> Question:
    """The same question checked, in its one form and with what it left open; raises QuestionError."""
    _check_span(asked)
    if asked.feed not in FEEDS:
        raise QuestionError("feed", f"no feed {asked.feed!r} (there are {', '.join(FEEDS)})")
    filled = structs.replace(
        asked,
        **{field: _listed(asked, field) for field in FILTERS},
        **{field: _clock(asked, field) for field in CLOCK},
    )
    filled = _with_measure(filled)
    filled = _with_by(filled)
    filled = _with_step(filled)
    if not 1 <= filled.limit <= LIMIT_MAX:
        raise QuestionError("limit", f"1 to {LIMIT_MAX}, not {filled.limit}")
    if filled.shape is Shape.TRACK and len(filled.vehicles) != 1:
        raise QuestionError("vehicle", "a track is of one vehicle")
    if filled.cursor is not None and filled.shape is not Shape.ROWS:
        raise QuestionError("cursor", "only rows come in pages")
    filled = _with_order(filled)
    if filled.shape is Shape.DISTRIBUTION:
        _check_bins(filled)
    else:
        filled = structs.replace(filled, bins=40, low=None, high=None)
    if filled.shape not in {Shape.ROWS, Shape.TRACK, Shape.TOP}:
        filled = structs.replace(filled, limit=1000)
    return filled


def compared(asked: Question) -> Question | None:
    """The question about the other period, None where nothing is compared."""
    if asked.compare_from_ms is None:
        return None
    to_ms = asked.compare_from_ms + asked.span_ms
    return structs.replace(asked, from_ms=asked.compare_from_ms, to_ms=to_ms, compare_from_ms=None)


def query_of(asked: Question) -> str:
    """The question as the query of a URL: every value that is not the default, in one order."""
    default = Question(from_ms=0, to_ms=0)
    pairs: list[tuple[str, str]] = []
    for field in Question.__struct_fields__:
        value = getattr(asked, field)
        if field not in {"from_ms", "to_ms"} and value == getattr(default, field):
            continue
        spoken = _SPOKEN.get(field, field)
        if isinstance(value, tuple):
            pairs += [(spoken, str(one)) for one in value]
        elif field.endswith("_ms"):
            pairs.append((spoken, time_text(value)))
        elif field == "every_s":
            pairs.append((spoken, step_text(value)))
        elif isinstance(value, float):
            pairs.append((spoken, repr(value)))
        else:
            pairs.append((spoken, str(value)))
    return urlencode(pairs)


def question_of(query: str) -> Question:
    """The question of a URL's query; raises QuestionError."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=10_000)
    except ValueError as error:
        raise QuestionError("query", f"not the query of a URL: {error}") from None
    return asked_by(pairs)


def asked_by(pairs: Iterable[tuple[str, str]]) -> Question:
    """The question of named parameters, lists by repeated names; raises QuestionError."""
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        given.setdefault(name, []).append(value)
    fields: dict[str, object] = {}
    for name, values in given.items():
        field = _FIELDS.get(name, name)
        if name not in PARAMETERS:
            raise QuestionError(name, f"no such parameter (there are {', '.join(PARAMETERS)})")
        if field in FILTERS:
            fields[field] = tuple(values)
            continue
        if field in CLOCK:
            fields[field] = tuple(whole(name, value) for value in values)
            continue
        if len(values) > 1:
            raise QuestionError(name, "given more than once")
        fields[field] = _read(name, field, values[0])
    for name in ("from", "to"):
        if f"{name}_ms" not in fields:
            raise QuestionError(name, "is missing: a time of RFC 3339, such as 2026-05-04T05:00:00Z")
    return question(Question(**fields))  # type: ignore[arg-type]


def step_for(span_ms: int) -> int:
    """The step that gives a picture of so long a span, in seconds."""
    return next((step for step in STEPS_S if span_ms <= step * 1000 * _BUCKETS_WANTED), STEPS_S[-1])


def has_bins(low: float, high: float, bins: int) -> bool:
    """Whether so many bins of a distribution can lie between two values."""
    width = (high - low) / bins
    return math.isfinite(width) and width > max(_BIN_LEAST, _BIN_MIN * max(abs(low), abs(high)))


# --- what is checked --------------------------------------------------------------------------------


def _check_span(asked: Question) -> None:
    spans = [("from", asked.from_ms), ("to", asked.to_ms)]
    if asked.compare_from_ms is not None:
        spans.append(("compare_from", asked.compare_from_ms))
    for name, ms in spans:
        if not _FIRST_MS <= ms <= LAST_MS:
            raise QuestionError(name, "lies before 1970 or behind 2100")
    if asked.span_ms <= 0:
        raise QuestionError("to", f"must be later than from ({time_text(asked.from_ms)})")
    if asked.span_ms > SPAN_MAX_MS:
        raise QuestionError("to", f"at most {SPAN_MAX_MS // DAY_MS} days at once")


def _listed(asked: Question, field: str) -> tuple[str, ...]:
    values: tuple[str, ...] = getattr(asked, field)
    name = FILTERS[field]
    if values and name not in DIMENSIONS[asked.feed]:
        raise QuestionError(name, f"rows of {asked.feed} bear none (they bear {', '.join(DIMENSIONS[asked.feed])})")
    if len(values) > VALUES_MAX:
        raise QuestionError(name, f"at most {VALUES_MAX} at once")
    if any(not 1 <= len(value) <= _VALUE_MAX for value in values):
        raise QuestionError(name, f"a name has 1 to {_VALUE_MAX} letters")
    return tuple(sorted(set(values)))


def _clock(asked: Question, field: str) -> tuple[int, ...]:
    """Hours or weekdays in order; all of them are as good as none."""
    low, high = CLOCK[field]
    values = sorted(set(getattr(asked, field)))
    if values and not low <= values[0] <= values[-1] <= high:
        raise QuestionError(_SPOKEN[field], f"{low} to {high}")
    return () if len(values) == high - low + 1 else tuple(values)


def _with_measure(asked: Question) -> Question:
    known = MEASURES[asked.feed]
    within = asked.value_min is not None or asked.value_max is not None
    if asked.shape in {Shape.ROWS, Shape.TRACK, Shape.ORIGIN} and not within:
        return structs.replace(asked, measure="count")
    if asked.measure not in known:
        raise QuestionError("measure", f"{asked.feed} has none {asked.measure!r} (it has {', '.join(known)})")
    if (within or asked.shape is Shape.DISTRIBUTION) and known[asked.measure].cell.column is None:
        able = [name for name, one in known.items() if one.cell.column is not None]
        what = "only values lie within bounds" if within else "only values are distributed"
        raise QuestionError("measure", f"{what} ({', '.join(able) or f'{asked.feed} has none'})")
    if asked.value_min is not None and asked.value_max is not None and not asked.value_min < asked.value_max:
        raise QuestionError("value_max", "must be greater than value_min")
    if (asked.shape is Shape.HEAT or asked.hours or asked.weekdays) and known[asked.measure].how is How.RISE:
        raise QuestionError("measure", f"{asked.measure} is counted over whole spans, not by hours of the week")
    return asked


def _with_by(asked: Question) -> Question:
    if asked.shape not in {Shape.SERIES, Shape.AREAS, Shape.TOP}:
        return structs.replace(asked, by=None)
    by = asked.by
    if asked.shape is Shape.AREAS:
        by = by or "mahalla"
        if by not in AREAS:
            raise QuestionError("by", f"areas are {' or '.join(AREAS)}, not {by!r}")
    if asked.shape is Shape.TOP and by is None:
        raise QuestionError("by", f"is missing: one of {', '.join(DIMENSIONS[asked.feed])}")
    if by is not None and by not in DIMENSIONS[asked.feed]:
        raise QuestionError(
            "by", f"rows of {asked.feed} bear no {by!r} (they bear {', '.join(DIMENSIONS[asked.feed])})"
        )
    return structs.replace(asked, by=by)


def _with_step(asked: Question) -> Question:
    if asked.shape not in {Shape.SERIES, Shape.AREAS}:
        return structs.replace(asked, every_s=None)
    every_s = asked.every_s
    if every_s is None and asked.shape is Shape.SERIES:
        every_s = step_for(asked.span_ms)
    if every_s is not None and every_s < 1:
        raise QuestionError("every", "a second at least")
    if every_s is not None and asked.span_ms / 1000 / every_s > BUCKETS_MAX:
        raise QuestionError("every", f"gives more than {BUCKETS_MAX} points: take a longer step")
    return structs.replace(asked, every_s=every_s)


def _with_order(asked: Question) -> Question:
    if asked.shape is not Shape.ROWS or asked.order in {None, AT}:
        return structs.replace(asked, order=None)
    column = (asked.order or "").removeprefix("-")
    if column not in COLUMNS[asked.feed]:
        raise QuestionError("order", f"rows of {asked.feed} have no {column[:60]!r}; - before it is downwards")
    return asked


def _check_bins(asked: Question) -> None:
    if not 2 <= asked.bins <= BINS_MAX:
        raise QuestionError("bins", f"2 to {BINS_MAX}, not {asked.bins}")
    if (asked.low is None) != (asked.high is None):
        raise QuestionError("low" if asked.low is None else "high", "low and high are given together, or neither")
    if asked.low is not None and asked.high is not None and not asked.low < asked.high:
        raise QuestionError("high", "must be greater than low")
    if asked.low is not None and asked.high is not None and not has_bins(asked.low, asked.high, asked.bins):
        raise QuestionError("high", f"{asked.bins} bins do not lie between it and low: too close, or too far")


def _read(name: str, field: str, text: str) -> object:
    if field.endswith("_ms"):
        return time_ms(name, text)
    if field == "every_s":
        return step_s(name, text)
    if field in {"bins", "limit"}:
        return whole(name, text)
    if field in {"low", "high", "value_min", "value_max"}:
        return number(name, text)
    words: dict[str, type[StrEnum]] = {"shape": Shape, "late": Late}
    if field in words:
        if text not in set(words[field]):
            raise QuestionError(name, f"one of {', '.join(words[field])}, not {text[:60]!r}")
        return words[field](text)
    return text

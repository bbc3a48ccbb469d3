"""Feeds declared in `config.yaml` (`ingest.mappings`): a stranger's JSON as native messages.

A declaration says for each native field where its value stands and how it is turned into the native
type and unit. What comes out is decoded by the types and bounds of the native topics themselves
(`ingest.decode.native_events`), so the same is refused for the same reasons; what is wrong with a
value on its way there names the native field and the path. Declarations are checked by
`city.mappings` at the start.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import msgspec

from city.json_path import ABSENT, JsonPath, WrongStep, describe, find, parse
from city.mappings import NATIVE, FeedMapping, FieldSource, Native
from city.messages import Received, RejectReason
from ingest.decode.conversions import Convert, conversions, shown
from ingest.decode.native_events import KINDS, CaseMessage, Kind, Tell, case
from ingest.decode.outcome import (
    Format,
    Outcome,
    Read,
    Undecodable,
    check_id,
    read_json,
    reason_of,
    refusing,
    rejected,
)

# A refused reading is kept with its whole message: many in one message must not fill the reject stream.
_READINGS_MAX = 1000
_ID_NUMBER_MAX = 10**15

_decode_any = msgspec.json.Decoder().decode


class _Place(NamedTuple):
    """Where a reading is looked for: in itself, its message, and the message's topic."""

    reading: object
    document: object
    levels: list[str]
    received_ms: int


class _Field(NamedTuple):
    """A native field, and where its value comes from."""

    name: str
    path: JsonPath | None
    level: int | None  # of the topic, from 0
    constant: object
    default: object  # None: nothing stands for what is missing
    convert: tuple[Convert, ...]
    values: dict[str, object] | None

    @property
    def origin(self) -> str:
        """Where the field comes from, in words for whoever mends the sender."""
        return f"topic level {self.level + 1}" if self.level is not None else self.path.text if self.path else "value"


class _Plan(NamedTuple):
    """A declaration, ready to be carried out."""

    feed: str
    kind: Kind[Any]
    id_parts: tuple[int | JsonPath, ...]  # levels from 0
    deepest_level: int
    each: JsonPath | None
    fields: tuple[_Field, ...]


def format_of(name: str, mapping: FeedMapping) -> Format:
    """The format of one declared feed; `name` is the feed's."""
    kind: Kind[Any] = Kind(CaseMessage, _case_of) if mapping.kind == "case" else KINDS[mapping.kind]
    native = NATIVE[mapping.kind]
    plan = _Plan(
        feed=name,
        kind=kind,
        id_parts=tuple(part - 1 if isinstance(part, int) else parse(part) for part in mapping.id),
        deepest_level=mapping.deepest_level,
        each=None if mapping.each is None else parse(mapping.each),
        fields=tuple(_field(field, source, native[field]) for field, source in mapping.fields.items()),
    )
    return Format(partial(_bind, plan))


def _case_of(feed: str, case_id: str) -> Tell[CaseMessage]:
    """A declared feed's cases are those of one source, called as the feed is."""
    return case(feed, feed, case_id)


def _field(name: str, source: FieldSource, native: Native) -> _Field:
    def own(constant: object) -> object:
        return str(constant) if native.holds == "text" and type(constant) is int else constant

    return _Field(
        name=name,
        path=None if source.path is None else parse(source.path),
        level=None if source.level is None else source.level - 1,
        constant=own(source.value),
        default=own(source.default),
        convert=conversions(source, native),
        values=None if source.values is None else {key: own(value) for key, value in source.values.items()},
    )


def _bind(plan: _Plan, topic: str) -> Read:
    levels = topic.split("/")
    if len(levels) < plan.deepest_level:
        detail = f"the topic has {len(levels)} levels; level {plan.deepest_level} is needed"
        return refusing(plan.feed, Undecodable(RejectReason.UNKNOWN_TOPIC, detail))
    return partial(_read, plan, levels)


def _read(plan: _Plan, levels: list[str], message: Received) -> tuple[Outcome, ...]:
    try:
        document: object = read_json(_decode_any, message.payload)
        readings = [document] if plan.each is None else _readings(plan.each, document)
    except Undecodable as problem:
        return (rejected(plan.feed, problem, message),)
    outcomes: list[Outcome] = []
    for reading in readings:
        try:
            outcomes.extend(_tell(plan, _Place(reading, document, levels, message.received_ms), message))
        except Undecodable as problem:
            outcomes.append(rejected(plan.feed, problem, message))
    return tuple(outcomes)


def _readings(each: JsonPath, document: object) -> list[object]:
    """The items of a message, one at least."""
    found = _find(each, document, document, "each")
    if not isinstance(found, list):
        what = "nothing" if found is ABSENT else describe(found)
        raise Undecodable(RejectReason.BAD_TYPE, f"each ({each.text}): expected an array, got {what}")
    if not 1 <= len(found) <= _READINGS_MAX:
        detail = f"each ({each.text}): 1 to {_READINGS_MAX} readings are expected, not {len(found)}"
        raise Undecodable(RejectReason.BAD_VALUE, detail)
    return found


def _tell(plan: _Plan, place: _Place, message: Received) -> tuple[Outcome, ...]:
    entity_id = check_id("id", "-".join(_id_part(part, place) for part in plan.id_parts))
    given: dict[str, object] = {}
    for field in plan.fields:
        value = _value(field, place)
        if value is not ABSENT:
            given[field.name] = value
    try:
        wire = msgspec.convert(given, plan.kind.message)
    except msgspec.ValidationError as error:
        raise Undecodable(reason_of(str(error)), _explain(str(error), plan)) from None
    except OverflowError:
        raise Undecodable(RejectReason.BAD_VALUE, "a number is too large") from None
    return plan.kind.of(plan.feed, entity_id)(wire, message)


def _id_part(part: int | JsonPath, place: _Place) -> str:
    if isinstance(part, int):
        return place.levels[part]
    found = _find(part, place.reading, place.document, "id")
    if type(found) is int and abs(found) <= _ID_NUMBER_MAX:
        return str(found)
    if not isinstance(found, str):
        what = "nothing" if found is ABSENT else describe(found)
        raise Undecodable(RejectReason.BAD_TYPE, f"id ({part.text}): expected text or a whole number, got {what}")
    return found


def _value(field: _Field, place: _Place) -> object:
    """The native value, ABSENT where there is none; null stays null."""
    if field.level is not None:
        found: object = place.levels[field.level]
    elif field.path is not None:
        found = _find(field.path, place.reading, place.document, field.name)
    else:
        return field.constant
    if found is None or found is ABSENT:
        return found if field.default is None else field.default
    try:
        if field.values is not None:
            return _listed(field.values, found, field.default)
        for convert in field.convert:
            found = convert(found, place.received_ms)
    except Undecodable as problem:
        raise Undecodable(problem.reason, f"{field.name} ({field.origin}): {problem.detail}") from None
    return found


def _listed(values: dict[str, object], found: object, default: object) -> object:
    """What the declaration has for a value, by its text in JSON."""
    if isinstance(found, list | dict):
        raise Undecodable(RejectReason.BAD_TYPE, f"expected a single value, got {describe(found)}")
    if isinstance(found, bool):
        text = "true" if found else "false"
    else:
        text = found if isinstance(found, str) else shown(found)
    if text in values:
        return values[text]
    if default is None:
        raise Undecodable(RejectReason.BAD_VALUE, f"{shown(found)} is not among the values")
    return default


def _find(path: JsonPath, reading: object, document: object, name: str) -> object:
    try:
        return find(path, reading, document)
    except WrongStep as problem:
        raise Undecodable(RejectReason.BAD_TYPE, f"{name} ({path.text}): {problem}") from None


def _explain(error: str, plan: _Plan) -> str:
    """msgspec's words with the path of the field that they speak of."""
    what, _, where = error.partition(" - at `$.")
    for field in plan.fields:
        if where == f"{field.name}`":
            return f"{field.name} ({field.origin}): {what}"
        if error == f"Object missing required field `{field.name}`":
            return f"{field.name} ({field.origin}): nothing is there"
    return error

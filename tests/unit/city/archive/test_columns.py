"""Every event of every facet becomes a row and comes back as it was."""

from __future__ import annotations

import types
import typing
from enum import StrEnum
from typing import Any, Union, get_args, get_origin

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from city.alarms import Transition
from city.archive.columns import (
    FEEDS,
    TRANSITION,
    Said,
    batch_of,
    entity_columns,
    event_type,
    events_of,
    identity_columns,
    schema,
)
from city.events import EVENT_TYPES, PassengerCount, VehiclePosition, VehicleStatus

INT64 = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def values(name: str, hint: Any) -> st.SearchStrategy[Any]:
    """What a field may hold, by its annotation."""
    if name in {"lat", "lon"}:
        whole = st.integers(-900_000_000, 900_000_000).map(lambda e7: e7 / 1e7)
        return whole if type(None) not in get_args(hint) else st.none() | whole
    origin = get_origin(hint)
    if origin in {Union, types.UnionType}:
        return st.one_of(*(values(name, part) for part in get_args(hint)))
    if origin is tuple:
        return st.lists(values("", get_args(hint)[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(TEXT, FLOATS | TEXT, max_size=3)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return st.sampled_from(list(hint))
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return events(hint)
    known = {int: INT64, float: FLOATS, str: TEXT, bool: st.booleans(), type(None): st.none()}
    return known[hint]


def events(kind: type[Any]) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(kind)
    fields = {field.name: values(field.name, hints[field.name]) for field in msgspec.structs.fields(kind)}
    return st.builds(kind, **fields)


@pytest.mark.parametrize("feed", FEEDS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_events_become_rows_and_events_again(feed: str, data: st.DataObject) -> None:

    said: list[Said] = data.draw(st.lists(events(event_type(feed)), min_size=1, max_size=5))
    late = data.draw(st.lists(st.booleans(), min_size=len(said), max_size=len(said)))
    batch = batch_of(feed, said, late)
    assert batch.schema.equals(schema(feed))
    assert batch.column("late").to_pylist() == late
    assert events_of(feed, batch) == said


@pytest.mark.parametrize("feed", FEEDS)
def test_no_events_are_no_rows(feed: str) -> None:
    batch = batch_of(feed, [], False)
    assert batch.schema.equals(schema(feed))
    assert events_of(feed, batch) == []


def test_every_facet_is_a_feed_and_every_field_a_column() -> None:
    assert set(FEEDS) == {facet.value for facet in EVENT_TYPES} | {TRANSITION}
    for feed in FEEDS:
        names = schema(feed).names
        assert names[:2] == ["measured_ms", "received_ms"]
        assert names[-1] == "late"
        fields = {field.name for field in msgspec.structs.fields(event_type(feed))}
        renamed = {"lat": "lat_e7", "lon": "lon_e7", "at_ms": "measured_ms"}
        assert {renamed.get(name, name) for name in fields} | {"late", "received_ms", "measured_ms"} == set(names)
        assert set(entity_columns(feed)) < set(identity_columns(feed)) <= set(names)


def test_seven_decimals_of_a_degree_are_exact() -> None:
    fix = VehiclePosition(vehicle_id="a", measured_ms=1, received_ms=2, lat=41.3111111, lon=-69.2797373)
    batch = batch_of("position", [fix], False)
    assert (batch.column("lat_e7")[0].as_py(), batch.column("lon_e7")[0].as_py()) == (413111111, -692797373)
    assert events_of("position", batch) == [fix]


def test_a_number_that_fits_no_column_is_null_and_the_rest_of_the_rows_stay() -> None:
    """A counter that overflowed in the field must not keep a whole feed from being archived."""
    counts = [
        PassengerCount(vehicle_id="a", measured_ms=1, received_ms=1, onboard=2**70),
        PassengerCount(vehicle_id="b", measured_ms=1, received_ms=1, onboard=7),
    ]
    assert batch_of("passengers", counts, False).column("onboard").to_pylist() == [None, 7]


def test_a_time_that_fits_no_column_is_refused() -> None:
    with pytest.raises((pa.ArrowInvalid, OverflowError)):
        batch_of("vehicle_status", [VehicleStatus(vehicle_id="a", measured_ms=2**70, received_ms=1)], False)


def test_columns_that_a_file_does_not_have_are_what_their_fields_are_without() -> None:
    status = VehicleStatus(vehicle_id="a", measured_ms=1, received_ms=2, kind="due", route="7")
    table = pa.Table.from_batches([batch_of("vehicle_status", [status], True)]).drop_columns(["route", "stop"])
    assert events_of("vehicle_status", table) == [msgspec.structs.replace(status, route=None)]


def test_columns_of_a_newer_version_are_left_out() -> None:
    status = VehicleStatus(vehicle_id="a", measured_ms=1, received_ms=2)
    table = pa.Table.from_batches([batch_of("vehicle_status", [status], False)]).append_column("mood", [["fine"]])
    assert events_of("vehicle_status", table) == [status]


def test_of_a_transition_both_times_are_when_it_happened() -> None:
    names = schema(TRANSITION).names
    assert "at_ms" not in names
    hints = typing.get_type_hints(Transition)
    assert set(hints) - {"at_ms"} < set(names)

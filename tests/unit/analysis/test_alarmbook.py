"""Findings become alarms, each once."""

from msgspec.structs import replace

from analysis.alarmbook import AlarmBook, Place, place_of
from analysis.detectors.finding import Change, Finding, alarm_id, key_of
from analysis.picture import Picture
from city.alarms import AlarmPriority
from city.events import CameraStatus, VehiclePosition, VehicleStatus

RISE = Finding(
    rule="overload",
    change=Change.RAISE,
    source_kind="vehicle",
    source_id="a:b",
    key="a:b",
    raised_ms=100,
    at_ms=100,
    values={"load": 1.3},
)
END = replace(RISE, change=Change.CLEAR, at_ms=200)


def test_an_alarm_rises_changes_and_clears() -> None:
    book = AlarmBook()
    risen = book.take(RISE, "medium", Place(lat=41.3, lon=69.2, route="51"))
    assert risen is not None
    assert (risen.id, risen.priority, risen.route) == ("overload:a:b:100", AlarmPriority.MEDIUM, "51")
    assert book.open() == [risen]
    changed = book.take(replace(RISE, change=Change.UPDATE, at_ms=150, values={"load": 1.5}), "medium", Place())
    assert changed == replace(risen, updated_ms=150, values={"load": 1.5})
    cleared = book.take(END, "medium", Place())
    assert cleared is not None
    assert (cleared.cleared_ms, book.open()) == (200, [])


def test_what_was_taken_before_changes_nothing() -> None:
    book = AlarmBook()
    for finding in (RISE, END):
        book.take(finding, "medium", Place())
    before = dict(book.alarms)
    for finding in (RISE, replace(RISE, change=Change.UPDATE, at_ms=150), END):
        assert book.take(finding, "medium", Place()) is None
    assert book.alarms == before


def test_a_change_of_an_unknown_alarm_is_none() -> None:
    assert AlarmBook().take(END, "medium", Place()) is None


def test_the_later_of_two_versions_is_restored() -> None:
    book = AlarmBook()
    risen = book.take(RISE, "medium", Place())
    cleared = book.take(END, "medium", Place())
    assert risen is not None
    book.restore([risen])
    assert book.open() == []
    other = AlarmBook()
    other.restore([risen, cleared] if cleared else [])
    assert other.open() == []


def test_cleared_alarms_are_forgotten_and_open_ones_never() -> None:
    book = AlarmBook()
    book.take(RISE, "medium", Place())
    assert book.forget(10**12) == []
    book.take(END, "medium", Place())
    assert book.forget(200) == []
    assert book.forget(201) == ["overload:a:b:100"]
    assert book.alarms == {}


def test_the_key_is_found_in_the_name() -> None:
    assert key_of(alarm_id("camera_alert", "cam:1|fire", 5)) == "cam:1|fire"


def test_the_place_is_the_last_known_one() -> None:
    picture = Picture()
    assert place_of(picture, "vehicle", "bus") == Place()
    at = {"vehicle_id": "bus", "received_ms": 0}
    picture.apply(VehicleStatus(**at, measured_ms=1, route="8"))
    assert place_of(picture, "vehicle", "bus") == Place(route="8")
    picture.apply(VehiclePosition(**at, measured_ms=2, lat=1, lon=2, district="d", mahalla="m", route="9"))
    assert place_of(picture, "vehicle", "bus") == Place(lat=1, lon=2, district="d", mahalla="m", route="9")
    picture.apply(CameraStatus(camera_id="c", measured_ms=1, received_ms=1, online=True, lat=3, lon=4))
    assert place_of(picture, "camera", "c") == Place(lat=3, lon=4)
    assert place_of(picture, "feed", "hfp") == Place()

"""Camera alerts as timelines."""

from timelines import Timeline, play

from analysis.detectors.camera_alert import DETECTOR, AlertState, alerts
from analysis.detectors.finding import Change, Finding
from city.events import CameraEvent
from city.rules.cameras import CameraAlert

RULE = CameraAlert(kinds=("fire",), crowd_min=50, clear_after_s=900)
S = 1000


def event(
    at_s: int,
    kind: str = "fire",
    *,
    severity: str = "info",
    count: int | None = None,
    event_id: str | None = None,
    phase: str | None = None,
) -> CameraEvent:
    return CameraEvent(
        camera_id="cam",
        kind=kind,
        measured_ms=at_s * S,
        received_ms=at_s * S,
        severity=severity,
        count=count,
        event_id=event_id,
        phase=phase,
    )


def timeline(*moments: CameraEvent | int) -> tuple[AlertState | None, list[Finding]]:
    """Events, and ticks at seconds."""
    line = Timeline(DETECTOR, RULE)
    for moment in moments:
        if isinstance(moment, int):
            line.tick(moment)
        else:
            line.see(moment)
    assert play(DETECTOR, RULE, moments) == line.found
    return line.states.get("cam|fire"), line.found


def changes(found: list[Finding]) -> list[tuple[Change, int]]:
    return [(one.change, one.at_ms // S) for one in found]


def test_what_is_to_be_looked_at() -> None:
    assert alerts(event(1, "fire"), RULE)
    assert alerts(event(1, "violation", severity="alert"), RULE)
    assert alerts(event(1, "crowd", count=50), RULE)
    assert not alerts(event(1, "crowd", count=49), RULE)
    assert not alerts(event(1, "crowd"), RULE)
    assert not alerts(event(1, "car"), RULE)


def test_rises_at_once_and_clears_after_the_last_sight() -> None:
    _, found = timeline(event(10), event(300), 1199, 1200)
    assert changes(found) == [(Change.RAISE, 10), (Change.UPDATE, 300), (Change.CLEAR, 1200)]
    assert found[0].values["kind"] == "fire"
    assert found[-1].values["events"] == 2
    assert {one.alarm_id for one in found} == {"camera_alert:cam|fire"}


def test_a_flood_of_events_writes_one_update_in_five_seconds() -> None:
    _, found = timeline(*(event(at_s) for at_s in range(10, 21)))
    assert changes(found) == [(Change.RAISE, 10), (Change.UPDATE, 15), (Change.UPDATE, 20)]


def test_the_end_of_the_last_recognised_object_clears() -> None:
    first, second = event(10, event_id="a", phase="new"), event(12, event_id="b", phase="new")
    ends = (event(20, event_id="a", phase="end"), event(30, event_id="b", phase="end"))
    _, found = timeline(first, second, *ends)
    assert changes(found) == [(Change.RAISE, 10), (Change.CLEAR, 30)]


def test_a_phase_that_comes_after_its_own_end_does_not_keep_the_alarm_up() -> None:
    """Two objects stand; what one of them sent before its end comes late."""
    first, second = event(10, event_id="a", phase="new"), event(12, event_id="b", phase="new")
    ends = (event(20, event_id="a", phase="end"), event(30, event_id="b", phase="end"))
    _, found = timeline(first, second, ends[0], event(18, event_id="a", phase="update"), ends[1])
    assert changes(found) == [(Change.RAISE, 10), (Change.CLEAR, 30)]


def test_an_object_that_is_seen_again_after_its_end_is_waited_for() -> None:
    first, second = event(10, event_id="a", phase="new"), event(12, event_id="b", phase="new")
    ends = (event(20, event_id="a", phase="end"), event(30, event_id="b", phase="end"))
    _, found = timeline(first, second, ends[0], event(25, event_id="a", phase="update"), ends[1])
    assert changes(found) == [(Change.RAISE, 10), (Change.UPDATE, 25)]


def test_ends_that_are_remembered_are_bounded() -> None:
    objects = [f"o{at}" for at in range(100)]
    begun = [event(10, event_id="stays", phase="new")]
    over = [one for at, name in enumerate(objects) for one in (
        event(11 + 2 * at, event_id=name, phase="new"), event(12 + 2 * at, event_id=name, phase="end"))]  # fmt: skip
    state, found = timeline(*begun, *over)
    assert state is not None
    assert state.active == ("stays",)
    assert list(state.ended) == objects[-32:]
    assert Change.CLEAR not in {one.change for one in found}


def test_an_end_without_an_id_ends_all_and_one_of_a_stranger_nothing() -> None:
    assert changes(timeline(event(10, event_id="a"), event(20, event_id="x", phase="end"))[1]) == [(Change.RAISE, 10)]
    ended = timeline(event(10, event_id="a"), event(20, phase="end"))[1]
    assert changes(ended) == [(Change.RAISE, 10), (Change.CLEAR, 20)]


def test_an_event_from_before_the_end_does_not_raise_again() -> None:
    _, found = timeline(event(10), event(20, phase="end"), event(15))
    assert changes(found) == [(Change.RAISE, 10), (Change.CLEAR, 20)]


def test_the_next_fire_is_the_next_alarm() -> None:
    _, found = timeline(event(10), event(2000))
    assert changes(found) == [(Change.RAISE, 10), (Change.CLEAR, 910), (Change.RAISE, 2000)]


def test_ordinary_events_need_no_memory() -> None:
    assert timeline(event(10, "car"), event(11, "fire", phase="end"))[0] is None

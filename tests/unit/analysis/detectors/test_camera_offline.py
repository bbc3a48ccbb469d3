"""Camera offline as timelines."""

from analysis.detectors.camera_offline import OfflineState, step, tick
from analysis.detectors.finding import Change, Finding
from city.events import CameraStatus
from city.rules.cameras import CameraOffline

RULE = CameraOffline(on_delay_s=30)
S = 1000


def timeline(*moments: tuple[int, bool | None]) -> tuple[OfflineState, list[Finding]]:
    """Statuses at seconds; None is a tick of the clock."""
    state, found = OfflineState(camera_id="cam"), []
    for at_s, online in moments:
        if online is None:
            state, more = tick(state, at_s * S, RULE)
        else:
            status = CameraStatus(camera_id="cam", measured_ms=at_s * S, received_ms=at_s * S, online=online)
            state, more = step(state, status, RULE)
        found += more
    return state, found


def changes(found: list[Finding]) -> list[tuple[Change, int]]:
    return [(one.change, one.at_ms // S) for one in found]


def test_rises_after_the_delay_and_clears_when_back() -> None:
    state, found = timeline((0, True), (10, False), (39, None), (40, None), (41, None), (100, True))
    assert changes(found) == [(Change.RAISE, 40), (Change.CLEAR, 100)]
    assert [one.values["offline_s"] for one in found] == [30.0, 90.0]
    assert not state.waits


def test_a_restart_within_the_delay_is_no_alarm() -> None:
    assert timeline((10, False), (39, True), (60, None))[1] == []


def test_repeated_words_of_one_outage_are_one_alarm_from_the_first() -> None:
    _, found = timeline((10, False), (30, False), (45, False), (60, False), (90, None))
    assert changes(found) == [(Change.RAISE, 40)]


def test_an_outage_read_late_is_found_with_both_its_ends() -> None:
    assert changes(timeline((10, False), (100, True))[1]) == [(Change.RAISE, 40), (Change.CLEAR, 100)]


def test_a_status_from_before_the_outage_does_not_end_it() -> None:
    _, found = timeline((10, False), (40, None), (5, True))
    assert changes(found) == [(Change.RAISE, 40)]

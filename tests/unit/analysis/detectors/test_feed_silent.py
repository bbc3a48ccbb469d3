"""Feed silence as timelines."""

from analysis.detectors.feed_silent import SilenceState, step
from analysis.detectors.finding import Change
from city.messages import FeedCount
from city.rules.system import FeedSilent

RULE = FeedSilent(silent_after_s={"hfp": 60})
S = 1000


def count(last_s: int | None, feed: str = "hfp") -> FeedCount:
    last_ms = None if last_s is None else last_s * S
    return FeedCount(feed=feed, received=1, stored=1, late=0, rejected={}, last_received_ms=last_ms)


def look(state: SilenceState, last_s: int | None, now_s: int, watching_s: int = 0) -> tuple[SilenceState, list[object]]:
    state, found = step(state, count(last_s), now_s * S, watching_s * S, RULE)
    return state, [(one.change, one.at_ms // S, one.values["silent_s"]) for one in found]


def test_rises_once_after_its_time_and_clears_when_it_speaks() -> None:
    state = SilenceState(feed="hfp")
    state, found = look(state, 100, 159)
    assert found == []
    state, found = look(state, 100, 160)
    assert found == [(Change.RAISE, 160, 60.0)]
    state, found = look(state, 100, 500)
    assert found == []
    state, found = look(state, 501, 502)
    assert found == [(Change.CLEAR, 501, 401.0)]
    assert not state.waits


def test_a_feed_that_never_spoke_or_that_nobody_minds_is_not_silent() -> None:
    assert look(SilenceState(feed="hfp"), None, 10_000)[1] == []
    assert step(SilenceState(feed="case"), count(1, "case"), 10_000 * S, 0, RULE)[1] == []


def test_nobody_listening_is_not_silence() -> None:
    """The last message is from before the outage: silence counts from its end."""
    state, found = look(SilenceState(feed="hfp"), 100, 1000, watching_s=990)
    assert found == []
    assert look(state, 100, 1050, watching_s=990)[1] == [(Change.RAISE, 1050, 950.0)]

"""The alarm load by the standard's measures, on days made up so that the numbers are known."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.alarm_load import DAY_MS, WINDOW_MS, AlarmLoad
from analysis.alarm_load_report import RECOMMENDED_SHARE, LoadReport
from city.alarms import Action, Alarm, AlarmPriority, AlarmState, Transition
from city.i18n import LANGUAGES, translator

T0 = 1_777_852_800_000  # 2026-05-04T00:00:00Z, the beginning of a window
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
S = AlarmState


class Log:
    """Transitions of alarms, versions counted."""

    def __init__(self) -> None:
        self.transitions: list[Transition] = []
        self._versions: dict[str, int] = {}
        self._states: dict[str, AlarmState] = {}

    def add(self, alarm: str, action: Action, at_ms: int, after: AlarmState, priority: str = "low") -> None:
        version = self._versions[alarm] = self._versions.get(alarm, 0) + 1
        self.transitions.append(
            Transition(
                alarm=alarm, version=version, action=action, before=self._states.get(alarm, S.NORMAL), after=after,
                at_ms=at_ms, rule=alarm.partition(":")[0], priority=AlarmPriority(priority), source_kind="sensor",
                source_id=alarm.partition(":")[2],
            )
        )  # fmt: skip
        self._states[alarm] = after

    def rise(self, alarm: str, at_ms: int, priority: str = "low") -> None:
        self.add(alarm, Action.RISE, at_ms, S.UNACKNOWLEDGED, priority)

    def clear(self, alarm: str, at_ms: int) -> None:
        self.add(alarm, Action.CLEAR, at_ms, S.RETURNED_UNACKNOWLEDGED)

    def report(self, now_ms: int, since_ms: int = T0, span_ms: int = 30 * DAY_MS) -> LoadReport:
        load = AlarmLoad(since_ms, span_ms)
        for one in self.transitions:
            load.take(one)
        return load.report(now_ms)


def by_window(*counts: int) -> Log:
    """So many different alarms in each window of ten minutes."""
    log = Log()
    for window, count in enumerate(counts):
        for number in range(count):
            log.rise(f"r:{window}-{number}", T0 + window * WINDOW_MS + number * SECOND)
    return log


def test_a_quiet_city_has_no_load() -> None:
    report = Log().report(T0 + DAY_MS)
    assert (report.announced, report.peak_10min, report.flood_share, report.top, report.stale) == (0, 0, 0, (), ())
    assert report.peak_at_ms is None
    assert report.windows == 145


def test_rates_are_means_over_the_time_that_is_known() -> None:
    report = by_window(*[2, 1, 0] * 48).report(T0 + DAY_MS - 1)
    assert report.announced == 144
    assert report.mean_per_10min == pytest.approx(1, rel=1e-3)
    assert report.mean_per_hour == pytest.approx(6, rel=1e-3)


def test_the_last_minutes_are_counted_by_the_second() -> None:
    log = by_window(3, 4)
    now_ms = T0 + WINDOW_MS + 3 * SECOND
    assert (log.report(now_ms).last_10min, log.report(now_ms).last_hour) == (4, 7)
    assert log.report(now_ms + 2 * HOUR).last_hour == 0


def test_more_than_ten_in_ten_minutes_is_a_window_over() -> None:
    report = by_window(10, 11, 30, 0).report(T0 + 4 * WINDOW_MS - 1)
    assert (report.windows, report.share_over_10) == (4, 0.5)
    assert (report.peak_10min, report.peak_at_ms) == (30, T0 + 2 * WINDOW_MS)


@pytest.mark.parametrize(
    ("counts", "floods", "minutes"),
    [
        ((9, 9, 9, 0), 0, 0),
        ((10, 0), 1, 10),
        ((10, 5, 4, 9, 0), 1, 20),  # 5 keeps it up, 4 ends it, 9 begins none
        ((12, 7, 2, 15, 1), 2, 30),
        ((0, 40, 20, 8, 5, 0), 1, 40),
    ],
)
def test_a_flood_begins_at_ten_and_ends_below_five(counts: tuple[int, ...], floods: int, minutes: int) -> None:
    report = by_window(*counts).report(T0 + len(counts) * WINDOW_MS - 1)
    assert (report.floods, report.flood_s) == (floods, minutes * 60)
    assert report.flood_share == pytest.approx(minutes / 10 / len(counts))


def test_a_flood_is_told_while_it_lasts() -> None:
    log = by_window(3, 12, 1)
    assert log.report(T0 + WINDOW_MS + 30 * SECOND).in_flood
    assert log.report(T0 + 2 * WINDOW_MS + 30 * SECOND).in_flood, "the present window may still fill up"
    assert not log.report(T0 + 3 * WINDOW_MS + 1).in_flood


def test_the_top_ten_are_ranked_with_their_shares() -> None:
    log = Log()
    for source in range(15):
        for number in range(30 - 2 * source):
            log.rise(f"r:{source:02}", T0 + (number * 15 + source) * MINUTE)
            log.clear(f"r:{source:02}", T0 + (number * 15 + source) * MINUTE + 10 * MINUTE)
    report = log.report(T0 + DAY_MS)
    assert [one.source_id for one in report.top] == [f"{n:02}" for n in range(10)]
    assert report.top[0].announced == 30
    assert report.top[0].share == pytest.approx(30 / 240)
    assert report.top_share == pytest.approx(210 / 240)
    assert report.top[-1].up_to_share == pytest.approx(report.top_share)


def test_what_is_held_asks_nothing_until_it_is_let_out() -> None:
    log = Log()
    log.add("r:a", Action.SHELVE, T0, S.SHELVED)
    log.add("r:a", Action.RISE, T0 + MINUTE, S.SHELVED)
    assert log.report(T0 + HOUR).announced == 0
    log.add("r:a", Action.UNSHELVE, T0 + 2 * MINUTE, S.UNACKNOWLEDGED)
    assert log.report(T0 + HOUR).announced == 1
    log.add("r:a", Action.ACKNOWLEDGE, T0 + 3 * MINUTE, S.ACKNOWLEDGED)
    log.add("r:a", Action.REALARM, T0 + 30 * MINUTE, S.UNACKNOWLEDGED)
    assert log.report(T0 + HOUR).announced == 2


def test_the_journal_asks_nothing() -> None:
    log = Log()
    log.rise("r:a", T0, "journal")
    report = log.report(T0 + 3 * DAY_MS)
    assert (report.announced, report.stale) == (0, ())


@pytest.mark.parametrize(("every_s", "chatters"), [(10, True), (30, True), (31, False), (300, False)])
def test_three_rises_in_a_minute_are_chattering(every_s: int, chatters: bool) -> None:
    log = Log()
    for number in range(5):
        log.rise("r:a", T0 + number * every_s * SECOND)
        log.clear("r:a", T0 + number * every_s * SECOND + 5 * SECOND)
    report = log.report(T0 + HOUR)
    assert report.chattering == (1 if chatters else 0)
    assert report.top[0].chattered == (1 if chatters else 0)


def test_gone_within_a_minute_is_fleeting() -> None:
    log = Log()
    for number, stood_s in enumerate((5, 59, 60, 600)):
        log.rise("r:a", T0 + number * HOUR)
        log.clear("r:a", T0 + number * HOUR + stood_s * SECOND)
    assert log.report(T0 + DAY_MS).fleeting == 2


def test_what_stands_for_more_than_a_day_is_stale() -> None:
    log = Log()
    log.rise("r:a", T0)
    log.add("r:a", Action.ACKNOWLEDGE, T0 + HOUR, S.ACKNOWLEDGED)
    log.rise("r:b", T0)
    log.add("r:b", Action.SHELVE, T0 + HOUR, S.SHELVED)
    assert log.report(T0 + DAY_MS).stale == ()
    (stale,) = log.report(T0 + 2 * DAY_MS).stale
    assert (stale.alarm, stale.since_ms) == ("r:a", T0)
    assert stale.proposal is not None
    assert (stale.proposal.reason, stale.proposal.values) == ("load.mend", {"days": 2.0})
    log.clear("r:a", T0 + 2 * DAY_MS)
    assert log.report(T0 + 2 * DAY_MS).stale == ()


def test_a_stale_alarm_is_known_longer_than_the_span() -> None:
    log = Log()
    log.rise("r:a", T0)
    assert [one.since_ms for one in log.report(T0 + 40 * DAY_MS, span_ms=DAY_MS).stale] == [T0]


def test_priorities_are_compared_with_the_recommended_distribution() -> None:
    log = Log()
    for number in range(100):
        priority = "low" if number < 80 else "medium" if number < 95 else "high"
        log.rise(f"r:{number}", T0 + number * MINUTE, priority)
    shares = log.report(T0 + DAY_MS).priority_share
    assert shares == {"critical": 0, "high": 0.05, "medium": 0.15, "low": 0.8}
    assert shares.keys() == RECOMMENDED_SHARE.keys()


# --- proposals --------------------------------------------------------------------------------------


def proposal(*cycles: tuple[int, int]) -> tuple[str, dict[str, float]] | None:
    """(seconds that it stands, seconds until the next rise) … → what is proposed after a day of it."""
    log, at_ms = Log(), T0
    while at_ms < T0 + DAY_MS - HOUR:
        for stands_s, gone_s in cycles:
            log.rise("r:a", at_ms)
            log.clear("r:a", at_ms + stands_s * SECOND)
            at_ms += (stands_s + gone_s) * SECOND
    (worst,) = log.report(T0 + DAY_MS).top
    return None if worst.proposal is None else (worst.proposal.reason, worst.proposal.values)


def test_fleeting_alarms_want_an_on_delay_that_catches_most() -> None:
    cycles = [(8, 1200), (9, 1200), (9, 1200), (14, 1200), (700, 1200)]
    assert proposal(*cycles) == ("load.on_delay", {"seconds": 15, "share_pct": 80})


def test_chattering_alarms_want_an_off_delay_that_bridges_the_gaps() -> None:
    found = proposal((3, 12), (3, 12), (3, 12), (3, 12), (3, 4000))
    assert found == ("load.off_delay", {"seconds": 15, "share_pct": pytest.approx(80, abs=1)})


def test_chattering_that_no_delay_bridges_wants_a_deadband() -> None:
    found = proposal((3, 12), (3, 12), (3, 4000), (3, 4000))
    assert found is not None
    assert found[0] == "load.deadband"


def test_one_that_only_comes_often_wants_its_limit_looked_at() -> None:
    assert proposal((1800, 3600)) == ("load.review", {"per_day": 16})


def test_one_that_comes_once_a_day_wants_nothing() -> None:
    log = Log()
    log.rise("r:a", T0)
    log.clear("r:a", T0 + HOUR)
    assert log.report(T0 + DAY_MS).top[0].proposal is None


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("reason", "names"),
    [
        ("load.mend", {"days"}),
        ("load.off_delay", {"seconds", "share_pct"}),
        ("load.deadband", {"times"}),
        ("load.on_delay", {"seconds", "share_pct"}),
        ("load.review", {"per_day"}),
    ],
)
def test_every_proposal_has_words_with_its_numbers(language: str, reason: str, names: set[str]) -> None:
    words = next(translator(one) for one in LANGUAGES if one == language).catalogue[reason]
    assert set(re.findall(r"\{(\w+)\}", words)) == names


# --- step by step -----------------------------------------------------------------------------------


def month(seed: int, days: int = 40, per_day: int = 60) -> Log:
    """Alarms of forty sources by chance."""
    chance, log = random.Random(seed), Log()
    at_ms = T0
    standing: dict[str, int] = {}
    while at_ms < T0 + days * DAY_MS:
        at_ms += round(chance.expovariate(per_day / DAY_MS)) + 1
        name = f"r:{min(chance.randrange(40), chance.randrange(40))}"
        if name in standing:
            log.clear(name, at_ms)
            del standing[name]
        else:
            log.rise(name, at_ms, chance.choice(["low", "low", "medium", "high"]))
            standing[name] = at_ms
    return log


@pytest.mark.parametrize("seed", range(3))
def test_a_load_that_has_slid_on_equals_one_that_knew_only_its_span(seed: int) -> None:
    log, span_ms = month(seed), 7 * DAY_MS
    slid = AlarmLoad(T0, span_ms)
    for at, one in enumerate(log.transitions):
        slid.take(one)
        if at % 50 == 0:
            slid.report(one.at_ms)
    now_ms = log.transitions[-1].at_ms
    fresh = AlarmLoad(T0, span_ms)
    for one in log.transitions:
        fresh.take(one)
    assert slid.report(now_ms) == fresh.report(now_ms)
    first_ms = (now_ms - span_ms) // WINDOW_MS * WINDOW_MS
    rises = [one for one in log.transitions if one.action is Action.RISE and one.at_ms >= first_ms]
    assert slid.report(now_ms).announced == len(rises)


def test_transitions_read_twice_count_once() -> None:
    log = month(1, days=2)
    load = AlarmLoad(T0)
    for one in [*log.transitions, *log.transitions]:
        load.take(one)
    assert load.report(T0 + 2 * DAY_MS) == log.report(T0 + 2 * DAY_MS)


def test_an_alarm_that_was_forgotten_meanwhile_counts_again() -> None:
    """Its versions begin with one again."""
    first, second = Log(), Log()
    first.rise("r:a", T0)
    first.clear("r:a", T0 + MINUTE)
    second.rise("r:a", T0 + 5 * HOUR)
    first.transitions += second.transitions
    assert first.report(T0 + DAY_MS).announced == 2


any_act = st.tuples(
    st.integers(0, 5),
    st.sampled_from(list(Action)),
    st.integers(-HOUR, 3 * DAY_MS),
    st.sampled_from(list(AlarmState)),
)


@given(st.lists(any_act))
def test_no_sequence_of_transitions_breaks_it(acts: list[tuple[int, Action, int, AlarmState]]) -> None:
    log = Log()
    for source, action, at_ms, after in acts:
        log.add(f"r:{source}", action, T0 + at_ms, after)
    report = log.report(T0 + 3 * DAY_MS, span_ms=DAY_MS)
    assert 0 <= report.share_over_10 <= 1
    assert 0 <= report.flood_share <= 1
    assert 0 <= report.top_share <= 1.000001
    assert report.last_10min <= report.last_hour


# --- parts of the span ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_a_part_of_the_span_equals_a_load_that_kept_no_more(seed: int) -> None:
    log = month(seed, days=20)
    now_ms = log.transitions[-1].at_ms
    whole, part = AlarmLoad(T0), AlarmLoad(T0, 3 * DAY_MS)
    for one in log.transitions:
        whole.take(one)
        part.take(one)
    found, expected = whole.report(now_ms, 3 * DAY_MS), part.report(now_ms)
    assert found.announced > 0
    assert found == expected


def test_the_announced_of_every_window_are_told() -> None:
    report = by_window(3, 0, 12, 4).report(T0 + 4 * WINDOW_MS - 1)
    assert (report.by_window_since_ms, report.by_window) == (T0, (3, 0, 12, 4))


def test_a_flood_that_began_before_the_part_is_a_flood_in_it() -> None:
    load = AlarmLoad(T0)
    for one in by_window(15, 8, 7, 1, 0).transitions:
        load.take(one)
    part = load.report(T0 + 5 * WINDOW_MS - 1, 4 * WINDOW_MS - 1)
    assert part.by_window == (8, 7, 1, 0)
    assert (part.floods, part.flood_s) == (1, 1200)
    assert load.report(T0 + 5 * WINDOW_MS - 1, 2 * WINDOW_MS - 1).floods == 0


def test_the_pulse_is_that_of_the_report() -> None:
    log = by_window(3, 12, 6)
    load = AlarmLoad(T0)
    for one in log.transitions:
        load.take(one)
    now_ms = T0 + 2 * WINDOW_MS + 30 * SECOND
    report = load.report(now_ms)
    assert load.pulse(now_ms) == (report.last_10min, report.in_flood) == (6, True)


def standing(**more: object) -> Alarm:
    fields: dict[str, object] = {"state": S.ACKNOWLEDGED, "priority": AlarmPriority.LOW, **more}
    return Alarm(id="r:a", rule="r", source_kind="sensor", source_id="a", raised_ms=T0 - 40 * DAY_MS, **fields)  # type: ignore[arg-type]


def test_an_alarm_from_before_the_known_time_is_stale_until_it_clears() -> None:
    load = AlarmLoad(T0)
    load.know(standing())
    assert [one.since_ms for one in load.report(T0 + HOUR).stale] == [T0 - 40 * DAY_MS]
    log = Log()
    log.add("r:a", Action.COMMENT, T0 + HOUR, S.ACKNOWLEDGED)
    log.clear("r:a", T0 + 2 * HOUR)
    for one in log.transitions:
        load.take(one)
    assert load.report(T0 + 3 * HOUR).stale == ()


@pytest.mark.parametrize("more", [{"state": S.SHELVED}, {"state": S.NORMAL}, {"priority": AlarmPriority.JOURNAL}])
def test_what_is_held_over_or_only_recorded_is_not_taken_for_standing(more: dict[str, object]) -> None:
    load = AlarmLoad(T0)
    load.know(standing(**more))
    assert load.report(T0 + HOUR).stale == ()


def test_alarms_that_were_let_go_leave_their_place_to_others_and_no_counts() -> None:
    load = AlarmLoad(T0, DAY_MS)
    log = Log()
    for day in range(6):
        for number in range(50):
            log.rise(f"r:{day}-{number}", T0 + day * DAY_MS + number * MINUTE)
            log.clear(f"r:{day}-{number}", T0 + day * DAY_MS + number * MINUTE + 5 * MINUTE)
    for one in log.transitions:
        load.take(one)
        load.report(one.at_ms)
    report = load.report(T0 + 5 * DAY_MS + HOUR)
    assert {one.source_id.partition("-")[0] for one in report.top} == {"5"}
    assert report.announced == 50
    assert sum(one.announced for one in report.top) == 10

"""How much the alarms ask of an operator, by ISA-18.2-2016, clause 16 (performance metrics), and EEMUA 191.

What counts is what is announced: a suppressed, shelved or disabled alarm asks nothing. Windows of ten minutes stand on
the clock. Everything is summed up as transitions come; a report costs the same after a day and after a month.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import nlargest

from msgspec import Struct

from analysis.alarm_remedies import Proposal, Tally, propose
from city.alarms import Action, AlarmPriority, AlarmState, Transition
from city.notices import announces

WINDOW_MS = 600_000
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
WINDOW_MAX = 10  # announced in ten minutes: beyond it an operator cannot keep up
FLOOD_FROM, FLOOD_BELOW = 10, 5  # a flood begins with a window of so many, and ends with one of fewer than that
CHATTER_RISES, CHATTER_WITHIN_MS = 3, 60_000
FLEETING_BELOW_MS = 60_000  # gone before anybody could act
STALE_AFTER_MS = DAY_MS
TOP = 10
# Shares of what is announced; of four priorities the highest has less than 1 % (ISA-18.2-2016, clause 16.5).
RECOMMENDED_SHARE: Mapping[str, float] = {"low": 0.80, "medium": 0.15, "high": 0.05, "critical": 0.01}

_ON_SCREEN = frozenset({AlarmState.UNACKNOWLEDGED, AlarmState.ACKNOWLEDGED})


class BadActor(Struct, frozen=True, kw_only=True):
    """One of the alarms that ask most."""

    alarm: str
    rule: str
    source_kind: str
    source_id: str
    announced: int
    share: float  # of all announced
    up_to_share: float  # with those before it: the Pareto line
    chattered: int  # times that it began to chatter
    fleeting: int  # returns within a minute
    proposal: Proposal | None


class Stale(Struct, frozen=True, kw_only=True):
    """An alarm that stands for more than a day."""

    alarm: str
    rule: str
    source_kind: str
    source_id: str
    since_ms: int
    proposal: Proposal | None


class LoadReport(Struct, frozen=True, kw_only=True):
    """The alarm load of a span of time."""

    since_ms: int
    until_ms: int
    announced: int
    last_10min: int
    last_hour: int
    mean_per_10min: float  # about 1 is acceptable, 2 the most that is manageable
    mean_per_hour: float  # about 6, and 12
    windows: int  # of ten minutes, the present one too
    share_over_10: float  # of the windows, that have more than 10; below 0.01 is recommended
    peak_10min: int
    peak_at_ms: int | None  # the beginning of that window
    floods: int
    flood_s: float  # time in flood
    flood_share: float  # of the windows; below 0.01 is recommended
    in_flood: bool
    top: tuple[BadActor, ...]
    top_share: float  # of the top ten; 0.01 to 0.05 is recommended
    chattering: int  # alarms that chattered; none is recommended
    fleeting: int  # returns within a minute
    stale: tuple[Stale, ...]  # standing now, longest first; fewer than 5 is recommended
    priority_share: dict[str, float]  # of what was announced; compare with RECOMMENDED_SHARE


@dataclass(slots=True)
class _Window:
    announced: int = 0
    priorities: dict[str, int] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)  # by alarm


@dataclass(slots=True)
class _Seen:
    """What is known of one alarm."""

    rule: str
    source_kind: str
    source_id: str
    version: int = 0
    at_ms: int = 0
    rises_ms: tuple[int, ...] = ()  # the last ones
    chatters: bool = False
    raised_ms: int | None = None  # while its condition stands
    cleared_ms: int | None = None
    since_ms: int | None = None  # on the operator's screen


class AlarmLoad:
    """Sums up transitions over a span that ends now."""

    def __init__(self, since_ms: int, span_ms: int = 30 * DAY_MS) -> None:
        """`since_ms`: from when on transitions are known; what was before is not taken for silence."""
        self._since_ms, self._span_ms = since_ms, span_ms
        self._windows: dict[int, _Window] = {}
        self._total: dict[str, Tally] = {}
        self._seen: dict[str, _Seen] = {}
        self._recent_ms: list[int] = []  # announcements of the last hour
        self._first = since_ms // WINDOW_MS

    def take(self, transition: Transition) -> None:
        """Add a transition. One that comes again changes nothing; several may come a little out of order.

        An entry of the journal asks nothing of anybody.
        """
        if transition.priority not in RECOMMENDED_SHARE:
            return
        seen = self._seen.get(transition.alarm)
        if seen is None:
            seen = _Seen(transition.rule, transition.source_kind, transition.source_id)
            self._seen[transition.alarm] = seen
        # An alarm that was forgotten meanwhile begins with version 1 again.
        anew = transition.version == 1 and transition.at_ms > seen.at_ms
        if transition.version <= seen.version and not anew:
            return
        seen.version, seen.at_ms = transition.version, max(seen.at_ms, transition.at_ms)
        index = transition.at_ms // WINDOW_MS
        in_span = index >= self._first
        window = self._windows.setdefault(index, _Window()) if in_span else _Window()
        add = Tally()
        if announces(transition):
            add.announced = 1
            window.announced += 1
            window.priorities[transition.priority] = window.priorities.get(transition.priority, 0) + 1
            self._recent_ms.append(transition.at_ms)
        if transition.action is Action.RISE:
            _rise(seen, transition.at_ms, add)
        elif transition.action is Action.CLEAR:
            _clear(seen, transition, add)
        _screen(seen, transition)
        if in_span and not add.empty:
            window.tallies.setdefault(transition.alarm, Tally()).add(add)
            self._total.setdefault(transition.alarm, Tally()).add(add)

    def report(self, now_ms: int) -> LoadReport:
        """The load of the span that ends now."""
        self._let_go(now_ms)
        last = now_ms // WINDOW_MS
        counts = [self._announced(index) for index in range(self._first, last + 1)] or [0]
        announced = sum(counts)
        floods, flooded, in_flood = _floods(counts)
        peak = max(counts)
        since_ms = max(self._since_ms, self._first * WINDOW_MS)
        # A mean over seconds would shout after the first alarm: ten minutes at least.
        elapsed_ms = max(now_ms - since_ms, WINDOW_MS)
        self._recent_ms = [at for at in self._recent_ms if at > now_ms - HOUR_MS]
        top = self._top(announced, elapsed_ms, now_ms)
        return LoadReport(
            since_ms=since_ms,
            until_ms=now_ms,
            announced=announced,
            last_10min=sum(now_ms - WINDOW_MS < at <= now_ms for at in self._recent_ms),
            last_hour=sum(at <= now_ms for at in self._recent_ms),
            mean_per_10min=announced * WINDOW_MS / elapsed_ms,
            mean_per_hour=announced * HOUR_MS / max(elapsed_ms, HOUR_MS),
            windows=len(counts),
            share_over_10=sum(count > WINDOW_MAX for count in counts) / len(counts),
            peak_10min=peak,
            peak_at_ms=(self._first + counts.index(peak)) * WINDOW_MS if peak else None,
            floods=floods,
            flood_s=flooded * WINDOW_MS / 1000,
            flood_share=flooded / len(counts),
            in_flood=in_flood,
            top=top,
            top_share=sum(one.share for one in top),
            chattering=sum(tally.chattered > 0 for tally in self._total.values()),
            fleeting=sum(tally.fleeting for tally in self._total.values()),
            stale=self._stale(elapsed_ms, now_ms),
            priority_share=self._priorities(announced),
        )

    def _announced(self, index: int) -> int:
        window = self._windows.get(index)
        return 0 if window is None else window.announced

    def _let_go(self, now_ms: int) -> None:
        """Forget windows before the span, and alarms that have said nothing in it and do not stand."""
        first = max(self._since_ms, now_ms - self._span_ms) // WINDOW_MS
        if first <= self._first:
            return
        self._first = first
        for index in [index for index in self._windows if index < first]:
            for name, tally in self._windows.pop(index).tallies.items():
                total = self._total[name]
                total.subtract(tally)
                if total.empty:
                    del self._total[name]
        idle = [
            name
            for name, seen in self._seen.items()
            if seen.at_ms < first * WINDOW_MS and seen.raised_ms is None and seen.since_ms is None
        ]
        for name in idle:
            del self._seen[name]

    def _top(self, announced: int, elapsed_ms: int, now_ms: int) -> tuple[BadActor, ...]:
        found = []
        up_to = 0
        # By name where they are equal: a list that changes its order by itself cannot be worked through.
        worst = nlargest(TOP, self._total.items(), key=lambda one: (one[1].announced, one[0]))
        for name, tally in worst:
            if not tally.announced:
                break
            up_to += tally.announced
            seen = self._seen[name]
            found.append(
                BadActor(
                    alarm=name,
                    rule=seen.rule,
                    source_kind=seen.source_kind,
                    source_id=seen.source_id,
                    announced=tally.announced,
                    share=tally.announced / announced,
                    up_to_share=up_to / announced,
                    chattered=tally.chattered,
                    fleeting=tally.fleeting,
                    proposal=propose(tally, _stood_ms(seen, now_ms), elapsed_ms),
                )
            )
        return tuple(found)

    def _stale(self, elapsed_ms: int, now_ms: int) -> tuple[Stale, ...]:
        found = [
            Stale(
                alarm=name,
                rule=seen.rule,
                source_kind=seen.source_kind,
                source_id=seen.source_id,
                since_ms=seen.since_ms,
                proposal=propose(self._total.get(name) or Tally(), _stood_ms(seen, now_ms), elapsed_ms),
            )
            for name, seen in self._seen.items()
            if seen.since_ms is not None and now_ms - seen.since_ms > STALE_AFTER_MS
        ]
        return tuple(sorted(found, key=lambda one: (one.since_ms, one.alarm)))

    def _priorities(self, announced: int) -> dict[str, float]:
        total = dict.fromkeys((priority.value for priority in AlarmPriority if priority in RECOMMENDED_SHARE), 0)
        for window in self._windows.values():
            for priority, count in window.priorities.items():
                total[priority] += count
        return {priority: count / announced if announced else 0.0 for priority, count in total.items()}


def _rise(seen: _Seen, at_ms: int, add: Tally) -> None:
    if seen.cleared_ms is not None:
        add.add_gap((at_ms - seen.cleared_ms) / 1000)
    rises = (*seen.rises_ms, at_ms)[-CHATTER_RISES:]
    chatters = len(rises) == CHATTER_RISES and rises[-1] - rises[0] <= CHATTER_WITHIN_MS
    if chatters and not seen.chatters:
        add.chattered = 1
    seen.rises_ms, seen.chatters, seen.raised_ms = rises, chatters, at_ms


def _clear(seen: _Seen, transition: Transition, add: Tally) -> None:
    if seen.raised_ms is None:
        return
    stood_ms = max(0, transition.at_ms - seen.raised_ms)
    add.add_stood(stood_ms / 1000)
    if stood_ms < FLEETING_BELOW_MS and transition.before in _ON_SCREEN:
        add.fleeting = 1
    seen.raised_ms, seen.cleared_ms = None, transition.at_ms


def _screen(seen: _Seen, transition: Transition) -> None:
    if transition.after not in _ON_SCREEN:
        seen.since_ms = None
    elif transition.before not in _ON_SCREEN or seen.since_ms is None:
        seen.since_ms = transition.at_ms


def _stood_ms(seen: _Seen, now_ms: int) -> int:
    return 0 if seen.since_ms is None else now_ms - seen.since_ms


def _floods(counts: list[int]) -> tuple[int, int, bool]:
    """How many floods, windows in them, and whether the last window is in one."""
    floods = flooded = 0
    in_flood = False
    for at, count in enumerate(counts):
        if in_flood:
            # The present window is not over: few alarms so far do not end a flood, and add no time to it.
            in_flood = count >= FLOOD_BELOW or at == len(counts) - 1
        elif count >= FLOOD_FROM:
            in_flood = True
            floods += 1
        flooded += in_flood and count >= FLOOD_BELOW
    return floods, flooded, in_flood

"""How much the alarms ask of an operator, by ISA-18.2-2016, clause 16 (monitoring and assessment), and EEMUA 191.

What counts is what is announced: a suppressed, shelved or disabled alarm asks nothing. Windows of ten minutes stand on
the clock. Of each transition a few numbers of four bytes are kept in its window: a report over any part of the span
sums those up, and a million transitions are some megabytes.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import nlargest

import numpy as np
import numpy.typing as npt

from analysis.alarm_load_report import RECOMMENDED_SHARE, WINDOW_MAX, BadActor, LoadReport, Stale
from analysis.alarm_remedies import SLOTS, Tally, propose, slot
from city.alarms import Action, Alarm, AlarmPriority, AlarmState, Transition
from city.notices import announces

WINDOW_MS = 600_000
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
FLOOD_FROM, FLOOD_BELOW = 10, 5  # a flood begins with a window of so many, and ends with one of fewer than that
CHATTER_RISES, CHATTER_WITHIN_MS = 3, 60_000
FLEETING_BELOW_MS = 60_000  # gone before anybody could act
STALE_AFTER_MS = DAY_MS
TOP = 10

_ON_SCREEN = frozenset({AlarmState.UNACKNOWLEDGED, AlarmState.ACKNOWLEDGED})
# A mark is the alarm's number times _KINDS plus what it did.
_ANNOUNCED, _CHATTERED, _FLEETING, _STOOD = range(4)
_GAP = _STOOD + SLOTS
_KINDS = _GAP + SLOTS
_Counts = npt.NDArray[np.int64]


@dataclass(slots=True)
class _Window:
    announced: int = 0
    priorities: dict[str, int] = field(default_factory=dict)
    marks: array[int] = field(default_factory=lambda: array("I"))


@dataclass(slots=True)
class _Seen:
    """What is known of one alarm."""

    number: int  # in the marks
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
        self._seen: dict[str, _Seen] = {}
        self._names: list[str] = []  # by number
        self._free: list[int] = []  # numbers of alarms that were let go
        self._recent_ms: deque[int] = deque()  # announcements of the last hour
        self._first = since_ms // WINDOW_MS

    def know(self, alarm: Alarm) -> None:
        """Take it that an alarm stands which rose before the known transitions; those that follow are its news."""
        if alarm.state in _ON_SCREEN and alarm.priority in RECOMMENDED_SHARE and alarm.id not in self._seen:
            seen = self._meet(alarm.id, alarm.rule, alarm.source_kind, alarm.source_id)
            seen.at_ms = seen.raised_ms = seen.since_ms = alarm.raised_ms

    def take(self, transition: Transition) -> None:
        """Add a transition. One that comes again changes nothing; several may come a little out of order.

        An entry of the journal asks nothing of anybody.
        """
        if transition.priority not in RECOMMENDED_SHARE:
            return
        name, at_ms = transition.alarm, transition.at_ms
        seen = self._seen.get(name)
        if seen is None:
            seen = self._meet(name, transition.rule, transition.source_kind, transition.source_id)
        # An alarm that was forgotten meanwhile begins with version 1 again.
        anew = transition.version == 1 and at_ms > seen.at_ms
        if transition.version <= seen.version and not anew:
            return
        seen.version, seen.at_ms = transition.version, max(seen.at_ms, at_ms)
        kinds: list[int] = []
        if announces(transition):
            kinds.append(_ANNOUNCED)
            self._recent_ms.append(at_ms)
            while self._recent_ms[0] < at_ms - HOUR_MS:
                self._recent_ms.popleft()
        if transition.action is Action.RISE:
            _rise(seen, at_ms, kinds)
        elif transition.action is Action.CLEAR:
            _clear(seen, transition, kinds)
        _screen(seen, transition)
        index = at_ms // WINDOW_MS
        if kinds and index >= self._first:
            window = self._windows.get(index)
            if window is None:
                window = self._windows[index] = _Window()
            if kinds[0] == _ANNOUNCED:
                window.announced += 1
                window.priorities[transition.priority] = window.priorities.get(transition.priority, 0) + 1
            base = seen.number * _KINDS
            window.marks.extend([base + kind for kind in kinds])

    def pulse(self, now_ms: int) -> tuple[int, bool]:
        """How many were announced in the last ten minutes, and whether there is a flood."""
        self._let_go(now_ms)
        return self._recent(now_ms, WINDOW_MS), _floods(self._counts(now_ms))[2]

    def report(self, now_ms: int, span_ms: int | None = None) -> LoadReport:
        """The load of a span that ends now: of all that is kept, or of its last `span_ms`."""
        self._let_go(now_ms)
        first = self._first if span_ms is None else max(self._first, (now_ms - span_ms) // WINDOW_MS)
        known = self._counts(now_ms)
        counts = known[first - self._first :] or [0]
        announced = sum(counts)
        floods, flooded, in_flood = _floods(known, first - self._first)
        peak = max(counts)
        since_ms = max(self._since_ms, first * WINDOW_MS)
        # A mean over seconds would shout after the first alarm: ten minutes at least.
        elapsed_ms = max(now_ms - since_ms, WINDOW_MS)
        did = self._did(first)
        top = self._top(did, announced, elapsed_ms, now_ms)
        return LoadReport(
            since_ms=since_ms,
            until_ms=now_ms,
            announced=announced,
            last_10min=self._recent(now_ms, WINDOW_MS),
            last_hour=self._recent(now_ms, HOUR_MS),
            mean_per_10min=announced * WINDOW_MS / elapsed_ms,
            mean_per_hour=announced * HOUR_MS / max(elapsed_ms, HOUR_MS),
            windows=len(counts),
            share_over_10=sum(count > WINDOW_MAX for count in counts) / len(counts),
            peak_10min=peak,
            peak_at_ms=(first + counts.index(peak)) * WINDOW_MS if peak else None,
            floods=floods,
            flood_s=flooded * WINDOW_MS / 1000,
            flood_share=flooded / len(counts),
            in_flood=in_flood,
            top=top,
            top_share=sum(one.share for one in top),
            chattering=int(np.count_nonzero(did[:, _CHATTERED])),
            fleeting=int(did[:, _FLEETING].sum()),
            stale=self._stale(did, elapsed_ms, now_ms),
            priority_share=self._priorities(first, announced),
            by_window_since_ms=first * WINDOW_MS,
            by_window=tuple(counts),
        )

    def _meet(self, name: str, rule: str, source_kind: str, source_id: str) -> _Seen:
        if self._free:
            number = self._free.pop()
            self._names[number] = name
        else:
            number = len(self._names)
            self._names.append(name)
        seen = self._seen[name] = _Seen(number, rule, source_kind, source_id)
        return seen

    def _counts(self, now_ms: int) -> list[int]:
        """What was announced in each window that is kept, the present one last."""
        windows = map(self._windows.get, range(self._first, now_ms // WINDOW_MS + 1))
        return [0 if window is None else window.announced for window in windows] or [0]

    def _recent(self, now_ms: int, within_ms: int) -> int:
        return sum(now_ms - within_ms < at <= now_ms for at in self._recent_ms)

    def _did(self, first: int) -> _Counts:
        """How often each alarm did what, since a window: a row an alarm, by number."""
        marks = [np.frombuffer(one.marks, np.uint32) for index, one in self._windows.items() if index >= first]
        size = len(self._names) * _KINDS
        counted = np.bincount(np.concatenate(marks), minlength=size) if marks else np.zeros(size, np.int64)
        return counted.reshape(-1, _KINDS)

    def _let_go(self, now_ms: int) -> None:
        """Forget windows before the span, and alarms that have said nothing in it and do not stand."""
        first = max(self._since_ms, now_ms - self._span_ms) // WINDOW_MS
        if first <= self._first:
            return
        self._first = first
        for index in [index for index in self._windows if index < first]:
            del self._windows[index]
        idle = [
            name
            for name, seen in self._seen.items()
            if seen.at_ms < first * WINDOW_MS and seen.raised_ms is None and seen.since_ms is None
        ]
        for name in idle:
            self._free.append(self._seen.pop(name).number)

    def _top(self, did: _Counts, announced: int, elapsed_ms: int, now_ms: int) -> tuple[BadActor, ...]:
        found = []
        up_to = 0
        numbers = np.flatnonzero(did[:, _ANNOUNCED])
        if len(numbers) > TOP:
            least = np.partition(did[numbers, _ANNOUNCED], -TOP)[-TOP]
            numbers = numbers[did[numbers, _ANNOUNCED] >= least]
        # By name where they are equal: a list that changes its order by itself cannot be worked through.
        for number in nlargest(TOP, numbers.tolist(), key=lambda n: (did[n, _ANNOUNCED], self._names[n])):
            tally = _tally(did[number])
            up_to += tally.announced
            name = self._names[number]
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

    def _stale(self, did: _Counts, elapsed_ms: int, now_ms: int) -> tuple[Stale, ...]:
        found = [
            Stale(
                alarm=name,
                rule=seen.rule,
                source_kind=seen.source_kind,
                source_id=seen.source_id,
                since_ms=seen.since_ms,
                proposal=propose(_tally(did[seen.number]), _stood_ms(seen, now_ms), elapsed_ms),
            )
            for name, seen in self._seen.items()
            if seen.since_ms is not None and now_ms - seen.since_ms > STALE_AFTER_MS
        ]
        return tuple(sorted(found, key=lambda one: (one.since_ms, one.alarm)))

    def _priorities(self, first: int, announced: int) -> dict[str, float]:
        total = dict.fromkeys((priority.value for priority in AlarmPriority if priority in RECOMMENDED_SHARE), 0)
        for index, window in self._windows.items():
            for priority, count in window.priorities.items() if index >= first else ():
                total[priority] += count
        return {priority: count / announced if announced else 0.0 for priority, count in total.items()}


def _tally(did: npt.NDArray[np.int64]) -> Tally:
    counts = did.tolist()
    return Tally(
        announced=counts[_ANNOUNCED],
        chattered=counts[_CHATTERED],
        fleeting=counts[_FLEETING],
        stood=counts[_STOOD:_GAP],
        gaps=counts[_GAP:],
    )


def _rise(seen: _Seen, at_ms: int, kinds: list[int]) -> None:
    if seen.cleared_ms is not None:
        kinds.append(_GAP + slot((at_ms - seen.cleared_ms) / 1000))
    rises = (*seen.rises_ms, at_ms)[-CHATTER_RISES:]
    chatters = len(rises) == CHATTER_RISES and rises[-1] - rises[0] <= CHATTER_WITHIN_MS
    if chatters and not seen.chatters:
        kinds.append(_CHATTERED)
    seen.rises_ms, seen.chatters, seen.raised_ms = rises, chatters, at_ms


def _clear(seen: _Seen, transition: Transition, kinds: list[int]) -> None:
    if seen.raised_ms is None:
        return
    stood_ms = max(0, transition.at_ms - seen.raised_ms)
    kinds.append(_STOOD + slot(stood_ms / 1000))
    if stood_ms < FLEETING_BELOW_MS and transition.before in _ON_SCREEN:
        kinds.append(_FLEETING)
    seen.raised_ms, seen.cleared_ms = None, transition.at_ms


def _screen(seen: _Seen, transition: Transition) -> None:
    if transition.after not in _ON_SCREEN:
        seen.since_ms = None
    elif transition.before not in _ON_SCREEN or seen.since_ms is None:
        seen.since_ms = transition.at_ms


def _stood_ms(seen: _Seen, now_ms: int) -> int:
    return 0 if seen.since_ms is None else now_ms - seen.since_ms


def _floods(counts: Sequence[int], first: int = 0) -> tuple[int, int, bool]:
    """From a window on: how many floods, windows in them, and whether the last window is in one.

    A flood that began before it is one of them while it lasts.
    """
    floods = flooded = 0
    in_flood = told = False
    for at, count in enumerate(counts):
        if in_flood:
            # The present window is not over: few alarms so far do not end a flood, and add no time to it.
            in_flood = count >= FLOOD_BELOW or at == len(counts) - 1
        elif count >= FLOOD_FROM:
            in_flood, told = True, False
        if at >= first and in_flood and count >= FLOOD_BELOW:
            flooded += 1
            floods += not told
            told = True
    return floods, flooded, in_flood

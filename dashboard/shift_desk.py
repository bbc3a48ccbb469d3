"""The shift log and the hand-over from one shift to the next: two different people sign, and nobody over another."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from analysis.handover import summarise
from city.alarms import Alarm
from city.config import Config
from city.incidents import Incident
from city.shifts import FeedTrouble, Handover, HandoverHead, LogLine, Pending, Shift, Summary
from city.store import Store, now_ms
from dashboard.load_reader import LoadReader
from dashboard.screen import Screen

# Of a city where nobody has handed over yet: the shift began so long ago.
FIRST_SHIFT_MS = 12 * 3_600_000
# A short silence is no news for the next shift; the page of feeds shows it.
_SILENT_MIN_S = 60.0
_COMPLETE = 0.8


class SignedMeanwhile(Exception):
    """The shift is not the one that was seen: somebody signed."""


class CannotSign(Exception):
    """There is nothing to sign, or not for this person."""


class Seen(Struct, frozen=True, kw_only=True):
    """Of the live state, what a summary is made from."""

    alarms: Sequence[Alarm]
    incidents: Sequence[Incident]
    feeds: Sequence[FeedTrouble]


class Look(Struct, frozen=True, kw_only=True):
    """The present shift as a page shows it."""

    shift: Shift
    summary: Summary
    lines: tuple[LogLine, ...]


def seen(screen: Screen) -> Seen:
    """The live state of this moment. On the event loop, where alone it changes."""
    feeds = []
    for line in screen.feed_lines():
        late_after_s = screen.late_after_s(line.feed)
        silent = line.age_s is None
        if line.age_s is not None and late_after_s is not None:
            silent = line.age_s > max(late_after_s, _SILENT_MIN_S)
        if silent or (line.completeness is not None and line.completeness < _COMPLETE):
            state = "silent" if silent else "incomplete"
            feeds.append(FeedTrouble(feed=line.feed, state=state, age_s=line.age_s, completeness=line.completeness))
    known = screen.state
    return Seen(alarms=tuple(known.alarms.values()), incidents=tuple(known.incidents.values()), feeds=feeds)


class ShiftDesk:
    """What operators do with the shift. Its methods ask the store: not for the event loop."""

    def __init__(self, config: Config, load: LoadReader) -> None:
        # Of its own: a signature waits for the store's disk, and answers of two at once would be mixed up.
        self._store = Store.of(config, timeout_s=3.0)
        self._signing = threading.Lock()
        self._load = load

    def close(self) -> None:
        self._store.close()

    def shift_ms(self) -> int:
        """For how long the present shift has been there."""
        now = now_ms()
        return now - _since_ms(self._store.shift(), now)

    def look(self, live: Seen) -> Look:
        """The present shift with the summary of this moment."""
        shift = self._store.shift() or Shift()
        summary = self._summary(shift, live, now_ms())
        return Look(shift=shift, summary=summary, lines=tuple(line for _, line in self._lines(shift)))

    def write(self, by: str, text: str) -> LogLine:
        """The line as it was written down."""
        line = LogLine(at_ms=now_ms(), by=by, text=text)
        self._store.add_log_line(line)
        return line

    def sign(self, version: int, by: str, note: str, live: Seen) -> Pending:
        """The hand-over as the leaving operator signed it; in the place of one that nobody has taken.

        Raises SignedMeanwhile.
        """
        with self._signing:
            before = self._store.shift()
            shift = before or Shift()
            _check(shift, version)
            now = now_ms()
            lines = self._lines(shift)
            pending = Pending(
                leaving=by,
                signed_ms=now,
                note=note,
                summary=self._summary(shift, live, now),
                lines=tuple(line for _, line in lines),
                lines_to=lines[-1][0] if lines else shift.lines_from,
            )
            if not self._store.commit_shift(before, replace(shift, version=version + 1, pending=pending)):
                raise SignedMeanwhile("somebody signed at the same moment")
            return pending

    def accept(self, version: int, by: str) -> Handover:
        """The hand-over that is closed now, because the arriving operator signed it too.

        Raises SignedMeanwhile, CannotSign.
        """
        with self._signing:
            before = self._store.shift()
            shift = before or Shift()
            _check(shift, version)
            pending = shift.pending
            if pending is None:
                raise CannotSign("nobody has signed a hand-over that could be taken")
            if _same(pending.leaving, by):
                raise CannotSign(f"{pending.leaving} hands over: somebody else has to take it")
            handover = Handover(
                number=shift.number,
                leaving=pending.leaving,
                arriving=by,
                signed_ms=pending.signed_ms,
                accepted_ms=now_ms(),
                note=pending.note,
                summary=pending.summary,
                lines=pending.lines,
            )
            # From the first signature on: what happened before the second one is the new shift's.
            after = Shift(
                version=version + 1,
                number=shift.number + 1,
                since_ms=pending.signed_ms,
                lines_from=pending.lines_to,
                on_duty=by,
            )
            if not self._store.commit_shift(before, after, handover):
                raise SignedMeanwhile("somebody signed at the same moment")
            return handover

    def earlier(self, *, limit: int, before: int | None) -> list[HandoverHead]:
        """Hand-overs, the newest first."""
        return self._store.handovers(limit=limit, before=before)

    def one(self, number: int) -> Handover | None:
        return self._store.handover(number)

    def _lines(self, shift: Shift) -> list[tuple[str, LogLine]]:
        return self._store.log_lines(shift.lines_from)

    def _summary(self, shift: Shift, live: Seen, now: int) -> Summary:
        since_ms = _since_ms(shift, now)
        return summarise(
            since_ms=since_ms,
            now_ms=now,
            alarms=live.alarms,
            incidents=live.incidents,
            feeds=live.feeds,
            load=self._load.report(now - since_ms),
        )


def _since_ms(shift: Shift | None, now: int) -> int:
    return now - FIRST_SHIFT_MS if shift is None or shift.since_ms is None else shift.since_ms


def _check(shift: Shift, version: int) -> None:
    if shift.version != version:
        who = f"{shift.pending.leaving} signed" if shift.pending else f"{shift.on_duty} took over"
        raise SignedMeanwhile(f"{who}; it is version {shift.version} now")


def _same(one: str, other: str) -> bool:
    return " ".join(one.casefold().split()) == " ".join(other.casefold().split())

"""Alarms against what was true."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from msgspec import Struct

from week.truth import Truth


class Raised(Struct, frozen=True):
    """An alarm that rose, and when it was known."""

    rule: str
    key: str
    at_s: float
    end_s: float = float("inf")
    values: dict[str, float | str] = {}


class Hit(Struct, frozen=True):
    """What became of one truth."""

    truth: Truth
    delay_s: float | None  # from its beginning until the alarm; None: never told


class Score(Struct, kw_only=True):
    """How well a rule told what was true."""

    rule: str
    truths: int  # that had to be told
    found: int
    false: int  # alarms about nothing
    unclear: int  # alarms about what is not clear
    again: int  # further alarms about what was told already
    delay_s: float | None  # median

    @property
    def precision(self) -> float | None:
        """Of the alarms about something clear or nothing, the share about something."""
        told = self.found + self.false
        return self.found / told if told else None

    @property
    def recall(self) -> float | None:
        return self.found / self.truths if self.truths else None


class Match(Struct):
    """All alarms and truths of one rule, brought together."""

    hits: list[Hit]
    false: list[Raised]
    unclear: list[Raised]
    again: list[Raised]


def match(truths: Sequence[Truth], alarms: Sequence[Raised]) -> Match:
    """Each alarm is about the truth that it lies in, the clear ones first; each truth is told once."""
    by_key: dict[str, list[Truth]] = {}
    for truth in sorted(truths, key=lambda one: one.start_s):
        by_key.setdefault(truth.key, []).append(truth)
    told: dict[int, float] = {}
    result = Match([], [], [], [])
    for alarm in sorted(alarms, key=lambda one: one.at_s):
        fits = [one for one in by_key.get(alarm.key, ()) if one.start_s - 5 <= alarm.at_s <= one.end_s + one.slack_s]
        fresh = [one for one in fits if id(one) not in told]
        if not fits:
            result.false.append(alarm)
        elif fresh:
            # Several things at once may be told by one alarm: a line has one for all its pairs.
            told.update(
                (id(one), max(0.0, alarm.at_s - one.start_s)) for one in (fresh if _lasting(alarm) else fresh[:1])
            )
            if not any(one.must for one in fresh):
                result.unclear.append(alarm)
        else:
            result.again.append(alarm)
    for alarm in alarms:
        if _lasting(alarm):
            for one in by_key.get(alarm.key, ()):
                if alarm.at_s <= one.end_s and alarm.end_s >= one.start_s:
                    told.setdefault(id(one), max(0.0, alarm.at_s - one.start_s))
    result.hits = [Hit(one, told.get(id(one))) for one in truths if one.must]
    return result


def _lasting(alarm: Raised) -> bool:
    return alarm.rule in ("bunching", "gap")


def score(rule: str, matched: Match) -> Score:
    delays = [hit.delay_s for hit in matched.hits if hit.delay_s is not None]
    return Score(
        rule=rule,
        truths=len(matched.hits),
        found=len(delays),
        false=len(matched.false),
        unclear=len(matched.unclear),
        again=len(matched.again),
        delay_s=round(statistics.median(delays), 1) if delays else None,
    )

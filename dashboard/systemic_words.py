"""A systemic problem in words: its title, the numbers that show why, and a proposal where to look."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from city.areas import Areas
from city.i18n import Translator
from city.systemic import DayKind, Measure, Pattern, PatternKind, Problem

# What is proposed is told by what the alarms are of, not by each rule alone.
_GROUPS: Mapping[str, str] = {
    "overload": "overload",
    "bunching": "headway",
    "gap": "headway",
    "schedule_deviation": "timetable",
    "long_stop": "route",
    "off_route": "route",
    "overspeed": "speed",
    "idling": "fuel",
    "fuel_drop": "fuel",
    "refuel": "fuel",
    "excessive_use": "fuel",
    "geofence": "route",
    "vehicle_silent": "equipment",
    "camera_offline": "equipment",
    "camera_frozen": "equipment",
    "camera_storm": "camera",
    "camera_alert": "camera",
    "sensor_threshold": "network",
    "sensor_rate": "network",
    "sensor_flat": "equipment",
    "sensor_missing": "equipment",
    "network_failure": "network",
    "network_failure_local": "network",
}
_PSEUDO_P = 0.05
# Who is silent for less is not worth a word.
_HEARD = 0.95
# Beside the rules of alarms: `case:water` are the new cases of the category `water`.
CASE_RULE = "case:"
# Where the numbers of alarms are told in words of theirs.
_OF_CASES = frozenset({"expected", "count"})


def title(problem: Problem, areas: Areas, t: Translator) -> str:
    """What, where and when, in a line."""
    pattern = problem.pattern
    rule = _rule(pattern, t)
    if pattern.kind is PatternKind.REPEAT:
        kind, name = problem.source or ("", "")
        named = {"area": _area(name, areas, t), "route": t("route", route=name)}
        where = named.get(kind, name)
    else:
        where = _area(pattern.areas[0], areas, t) if pattern.areas else ""
        if len(pattern.areas) > 1:
            where = t("systemic.and_more", place=where, n=len(pattern.areas) - 1)
    return " · ".join(part for part in (rule, where, when(pattern, t)) if part)


def when(pattern: Pattern, t: Translator) -> str:
    """The days and hours of a pattern; empty where it is always."""
    days = "" if pattern.days is DayKind.ALL else t(f"systemic.days.{pattern.days}")
    spans: list[list[int]] = []
    for hour in pattern.hours:
        if spans and (spans[-1][1] + 1) % 24 == hour:
            spans[-1][1] = hour
        else:
            spans.append([hour, hour])
    hours = ", ".join(f"{first:02}–{(last + 1) % 24 or 24:02}" for first, last in spans)
    return " ".join(part for part in (days, hours) if part)


def why(problem: Problem, timezone: str, t: Translator) -> list[str]:
    """The numbers that show why, a sentence each."""
    e = problem.evidence
    said: list[str] = []
    cases = problem.pattern.rule.startswith(CASE_RULE)

    def say(key: str, **values: float | str) -> None:
        key = f"cases_{key}" if cases and key in _OF_CASES else key
        said.append(
            t(f"systemic.why.{key}", **{n: v if isinstance(v, str) else _number(v, t) for n, v in values.items()})
        )

    if problem.pattern.kind is PatternKind.REOPENED:
        say("reopened", count=e.count, incidents=e.sources, weeks=e.weeks)
        return said
    if e.before_per_day is not None and e.after_per_day is not None:
        numbers = {"before": e.before_per_day, "after": e.after_per_day}
        if e.break_ms is not None:
            say("break", at=_date(e.break_ms, timezone, t), **numbers)
        else:
            say("trend", slope=e.slope_per_week or 0.0, **numbers)
    if e.expected is not None:
        say("peers" if problem.pattern.alarm else "expected", count=e.count, expected=e.expected)
    else:
        say("count", count=e.count)
    if e.before_per_day is None:
        say("weeks", hot=e.weeks_hot, weeks=e.weeks)
    if e.course is not None:
        said.append(t(f"systemic.course.{e.course}"))
    if e.mtbf_h is not None and e.share is not None:
        say("mtbf", hours=e.mtbf_h, share=100 * e.share)
    if not problem.pattern.alarm and not cases:
        say("sources", n=e.sources)
    if e.people:
        say("people", n=e.people)
    if e.stood_h >= 1:
        say("stood", hours=e.stood_h)
    if e.z is not None and e.q is not None:
        say("gi", z=e.z)
        if e.occurrences is not None and e.dispersion is not None:
            say("binomial", occurrences=e.occurrences, dispersion=t.number(e.dispersion, 1), q=_small(e.q, t))
        else:  # found before occurrences were counted
            say("q", q=_small(e.q, t))
        if e.pseudo_p is not None:
            say("near" if e.pseudo_p <= _PSEUDO_P else "alone", p=_small(e.pseudo_p, t))
    elif e.q is not None and problem.pattern.alarm and e.occurrences is not None:
        say("poisson", occurrences=e.occurrences, q=_small(e.q, t))
    elif e.q is not None:
        say("q", q=_small(e.q, t))
    if e.exposure_h is not None:
        say("exposure", hours=e.exposure_h, rate=1000 * e.count / max(e.exposure_h, 1e-9))
    return said


def proposal(problem: Problem, t: Translator) -> str:
    """Where to look, in a sentence or two. Markaz knows the pattern, not its cause: it asks and commands nothing."""
    pattern = problem.pattern
    group = "reopened" if pattern.kind is PatternKind.REOPENED else _group(pattern.rule)
    words = t(f"systemic.proposal.{group}")
    if pattern.kind is PatternKind.BREAK and problem.evidence.break_ms is not None:
        return t("systemic.proposal.break") + " " + words
    return words


def measured(one: Measure, done: bool, t: Translator) -> str:
    """How it has gone since it was accepted, or done."""
    if one.ratio is None:
        return t(
            "systemic.measure.silent" if one.before and one.after_days and not one.heard else "systemic.measure.nothing"
        )
    before, after = one.before / one.before_days * 7, one.after / one.after_days * 7
    numbers = {
        "before": _number(before, t),
        "after": _number(after, t),
        "days": _number(one.after_days, t),
        "expected": _number((one.expected or 0.0) / one.after_days * 7, t),
        "change": _number(abs(one.ratio - 1) * 100, t),
        "p": _small(one.p_drop, t),
    }
    word = "dropped" if one.dropped else "returned" if one.returned else "unclear"
    return (
        t(f"systemic.measure.{'done' if done else 'accepted'}", **numbers)
        + " "
        + t(f"systemic.measure.{word}", **numbers)
        + (" " + t("systemic.measure.unheard", share=_number(100 * (1 - one.heard), t)) if one.heard < _HEARD else "")
    )


def _group(rule: str) -> str:
    return "case" if rule.startswith(CASE_RULE) else _GROUPS.get(rule, "system")


def _rule(pattern: Pattern, t: Translator) -> str:
    if pattern.rule.startswith(CASE_RULE):
        return t("systemic.cases", category=pattern.rule.removeprefix(CASE_RULE))
    if pattern.kind is not PatternKind.REOPENED:
        return t(f"rule.{pattern.rule}")
    key = f"incident.rule.{pattern.rule}"
    words = t(key) if pattern.rule else t("incident")
    return t("systemic.reopened", what=pattern.rule if words == key else words)


def _area(code: str, areas: Areas, t: Translator) -> str:
    area = areas.by_code.get(code)
    return code if area is None else area.name(t.language)


def _number(value: float, t: Translator) -> str:
    return t.number(value, 0 if value >= 10 or float(round(value, 1)).is_integer() else 1)


def _small(value: float, t: Translator) -> str:
    """A probability with its sign: below a thousandth nobody counts the zeros."""
    return "< " + t.number(0.001, 3) if value < 0.001 else "= " + t.number(value, 3)


def _date(at_ms: int, timezone: str, t: Translator) -> str:
    day = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(timezone))
    words = t.day_pattern.replace("{weekday}", t.days[day.weekday()])
    return words.replace("{day}", str(day.day)).replace("{month}", t.months[day.month - 1])

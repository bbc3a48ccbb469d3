"""What the khokim's page says: now against an hour and a day ago, the worst problems, the districts."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.indicators import indicators
from analysis.kpis import KpiSettings, kpis
from analysis.problems import Problem, worst_problems
from analysis.samples import AREAS, AreaSample, read_area_sample
from analysis.trend import DAY_MS, HOUR_MS, compare
from city.areas import Areas
from city.config import Config
from city.i18n import Translator
from city.incidents import Incident
from city.store import Store, StoreDown, StoreRefused, now_ms
from dashboard.feed import CityState
from layouts.briefing import Briefing, DistrictLine, KpiLine, ProblemLine
from layouts.panel import value_words

# Area samples are a minute apart.
_AREA_TOLERANCE_MS = 90_000


def brief(
    config: Config, areas: Areas, state: CityState, hour_ago: Mapping[str, AreaSample], t: Translator
) -> Briefing:
    """The briefing of this moment."""
    now = state.moment_ms()
    settings = KpiSettings.of(config)
    open_alarms = state.open_alarms()
    found = indicators(state.picture, open_alarms, now, settings)
    lines = []
    for kpi in kpis(state.picture, state.meter, open_alarms, state.rates, now, settings):
        series = [(at, sample.get(kpi.name)) for at, sample in state.samples]
        hour, day = compare(series, kpi.value, now, HOUR_MS), compare(series, kpi.value, now, DAY_MS)
        lines.append(
            KpiLine(
                name=kpi.name,
                unit=kpi.unit,
                now=kpi.value,
                hour_ago=None if hour is None else hour.then,
                day_ago=None if day is None else day.then,
            )
        )
    districts = []
    for area in areas.districts:
        here, then = found.get(area.code), hour_ago.get(area.code)
        districts.append(
            DistrictLine(
                name=area.name(t.language),
                vehicles=here.vehicles if here else 0,
                onboard=here.onboard if here else None,
                load=here.load if here else None,
                load_hour_ago=then.load if then else None,
                speed_kmh=here.speed_kmh if here else None,
                speed_hour_ago_kmh=then.speed_kmh if then else None,
                alarms=here.alarms if here else 0,
            )
        )
    problems = worst_problems(state.picture, found, open_alarms, now, settings, incidents=state.incidents)
    return Briefing(
        at_ms=now,
        store_up=state.store_up,
        kpis=lines,
        problems=[_line(problem, state.incidents, areas, t) for problem in problems],
        districts=sorted(districts, key=lambda line: (-line.alarms, -(line.load or 0), line.name)),
        coverage_pct=_coverage_pct(areas),
    )


def _line(problem: Problem, incidents: Mapping[str, Incident], areas: Areas, t: Translator) -> ProblemLine:
    values = {name: value_words(name, value, t) for name, value in problem.values.items()}
    if problem.kind == "incident":
        values["title"] = _title(incidents[problem.source_id or ""], t)
    load = problem.values.get("load")
    if isinstance(load, float):
        values["load_pct"] = t.number(load * 100)
    if problem.kind == "feed_silent" and "source_id" in values:
        values["source_id"] = t(f"feed.{values['source_id']}")
    names = [
        areas.by_code[code].name(t.language) for code in (problem.district, problem.mahalla) if code in areas.by_code
    ]
    if problem.route is not None:
        names.append(t("route", route=problem.route))
    return ProblemLine(
        words=t(f"problem.{problem.reason}", **values),
        place=" · ".join(names) or t("briefing.city_wide"),
        since_ms=problem.since_ms,
    )


def _title(incident: Incident, t: Translator) -> str:
    """What an incident is called: by an operator, by its network, or by the rule that joined it."""
    if incident.title:
        return incident.title
    if network := incident.common.get("network"):
        return value_words("network", network, t)
    words = t(f"incident.rule.{incident.rule}")
    return t("incident") if words == f"incident.rule.{incident.rule}" else words


def areas_an_hour_ago(store: Store) -> dict[str, AreaSample]:
    """The sample of the areas nearest to an hour ago; empty where there is none, or no store."""
    at_ms = now_ms() - HOUR_MS
    try:
        samples = store.samples(AREAS, at_ms - _AREA_TOLERANCE_MS, at_ms + _AREA_TOLERANCE_MS)
    except (StoreDown, StoreRefused):
        return {}
    if not samples:
        return {}
    return read_area_sample(min(samples, key=lambda sample: abs(sample[0] - at_ms))[1])


def _coverage_pct(areas: Areas) -> int | None:
    """How much of the city's area the known mahallas cover, in percent; None without districts."""
    city = sum(area.area_ha or 0 for area in areas.districts)
    known = sum(area.area_ha or 0 for area in areas.mahallas)
    return round(100 * known / city) if city else None

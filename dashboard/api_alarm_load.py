"""The HTTP API of the alarm load: the measures of ISA-18.2 and EEMUA 191 over a span that ends now."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import FastAPI, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from analysis.alarm_load import DAY_MS, HOUR_MS, WINDOW_MS
from analysis.alarm_load_report import BadActor, LoadReport, Stale, measures
from analysis.alarm_remedies import Proposal
from city.config import Config
from city.i18n import Language, Translator, translator
from city.store import StoreDown, now_ms
from dashboard.answers import Json, as_json, json_answer, rfc3339
from dashboard.load_reader import LoadReader
from dashboard.problems import Problem
from dashboard.shift_desk import ShiftDesk

SPANS_MS = {"hour": HOUR_MS, "day": DAY_MS, "week": 7 * DAY_MS, "month": 30 * DAY_MS}
_STALE_MAX = 100


def add_routes(server: FastAPI, config: Config, load: LoadReader, desk: ShiftDesk) -> None:
    @server.get(
        "/api/v1/alarm-load", tags=["alarms"], summary="What the alarms ask of an operator, beside what is recommended"
    )
    async def alarm_load(
        span: Annotated[
            Literal["hour", "shift", "day", "week", "month"], Query(description="Which time, up to now")
        ] = "day",
        lang: Annotated[Language | None, Query(description="Of the proposals; else the city's")] = None,
    ) -> Response:
        t = translator(lang or config.profile.language)

        def ask() -> LoadReport | None:
            return load.report(desk.shift_ms() if span == "shift" else SPANS_MS[span])

        try:
            report = await run_in_threadpool(ask)
        except StoreDown as error:
            raise Problem(503, "The store does not answer", str(error)) from None
        if report is None:
            raise Problem(503, "The alarm log is still being read", f"{load.read} transitions so far")
        return json_answer({"as_of": rfc3339(now_ms()), "span": span, **load_json(report, t)})


def load_json(report: LoadReport, t: Translator) -> Json:
    return {
        "since_at": rfc3339(report.since_ms),
        "until_at": rfc3339(report.until_ms),
        "announced": report.announced,
        "last_10min": report.last_10min,
        "last_hour": report.last_hour,
        "peak_at": None if report.peak_at_ms is None else rfc3339(report.peak_at_ms),
        "floods": report.floods,
        "flood_s": report.flood_s,
        "in_flood": report.in_flood,
        "measures": [as_json(measure) for measure in measures(report)],
        "top": [_bad_actor(one, t) for one in report.top],
        "stale": [_stale(one, t) for one in report.stale[:_STALE_MAX]],
        "stale_total": len(report.stale),
        "windows": {
            "since_at": rfc3339(report.by_window_since_ms),
            "every_s": WINDOW_MS // 1000,
            "announced": report.by_window,
        },
    }


def _bad_actor(one: BadActor, t: Translator) -> Json:
    return {
        **_alarm(one),
        "announced": one.announced,
        "share": one.share,
        "up_to_share": one.up_to_share,
        "chattered": one.chattered,
        "fleeting": one.fleeting,
        "proposal": _proposal(one.proposal, t),
    }


def _stale(one: Stale, t: Translator) -> Json:
    return {**_alarm(one), "since_at": rfc3339(one.since_ms), "proposal": _proposal(one.proposal, t)}


def _alarm(one: BadActor | Stale) -> Json:
    return {"alarm": one.alarm, "rule": one.rule, "source": {"kind": one.source_kind, "id": one.source_id}}


def _proposal(proposal: Proposal | None, t: Translator) -> Json | None:
    if proposal is None:
        return None
    return {"reason": proposal.reason, "values": proposal.values, "text": proposal_words(proposal, t)}


def proposal_words(proposal: Proposal, t: Translator) -> str:
    """The proposal in words with its numbers."""
    numbers = {
        name: t.number(value, 0 if round(value, 1).is_integer() or value >= 10 else 1)
        for name, value in proposal.values.items()
    }
    return t(proposal.reason, **numbers)

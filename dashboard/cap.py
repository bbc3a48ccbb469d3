"""Open alarms for others: CAP 1.2 messages and their Atom feed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import FastAPI, Path, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from analysis.cap import ATOM_TYPE, CAP_TYPE, Publisher, is_listed, to_atom, to_cap
from city.alarms import Action, Alarm, Transition
from city.areas import Areas
from city.config import Config
from city.i18n import Language, translator
from city.store import Store, StoreDown, now_ms
from dashboard.problems import Problem
from dashboard.screen import Screen

T = TypeVar("T")


def add_routes(server: FastAPI, config: Config, areas: Areas, screen: Screen) -> None:
    publisher = Publisher.of(config, areas, [translator(language) for language in config.notices.cap.languages])

    @server.get("/api/v1/alarms/cap.atom", tags=["alarms"], summary="Standing alarms as an Atom feed of CAP 1.2")
    async def atom(lang: Annotated[Language | None, Query(description="Of the titles")] = None) -> Response:
        def answer() -> bytes:
            alarms = [alarm for alarm in screen.store.alarms() if is_listed(alarm)]
            told = _since_rise(screen.store, alarms)
            pairs = [(alarm, told[alarm.id]) for alarm in alarms]
            return to_atom(pairs, publisher, translator(lang or config.profile.language), now_ms())

        return Response(await _ask(answer), media_type=ATOM_TYPE)

    @server.get("/api/v1/alarms/{alarm_id:path}/cap.xml", tags=["alarms"], summary="An alarm's newest CAP 1.2 message")
    async def cap(alarm_id: Annotated[str, Path(max_length=300)]) -> Response:
        def answer() -> bytes | None:
            alarm = screen.store.alarm(alarm_id)
            if alarm is None:
                return None
            return to_cap(alarm, _since_rise(screen.store, [alarm])[alarm.id], publisher, now_ms())

        found = await _ask(answer)
        if found is None:
            raise Problem(404, "No such alarm", f"{alarm_id!r} is not known, or not any more")
        return Response(found, media_type=CAP_TYPE)


def _since_rise(store: Store, alarms: list[Alarm]) -> dict[str, list[Transition]]:
    """What happened to each alarm since its last rise, in order."""
    found: dict[str, list[Transition]] = defaultdict(list)
    over: set[str] = set()
    for one in store.newest_transitions({alarm.id for alarm in alarms}):
        if one.alarm not in over:
            found[one.alarm].append(one)
            if one.action is Action.RISE:
                over.add(one.alarm)
    return defaultdict(list, {name: some[::-1] for name, some in found.items()})


async def _ask(question: Callable[[], T]) -> T:
    """The store's answer, asked in a thread."""
    try:
        return await run_in_threadpool(question)
    except StoreDown as error:
        raise Problem(503, "The store does not answer", str(error)) from None

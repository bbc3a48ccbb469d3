"""Service alerts of GTFS-Realtime: Alert messages to cases.

Source: gtfs.org/documentation/realtime/reference, message Alert.
"""

from __future__ import annotations

from collections.abc import Sequence

from google.transit import gtfs_realtime_pb2 as pb

from city.events import Affected, Case
from city.i18n import LANGUAGES
from city.messages import Received, RejectReason
from ingest.decode.gtfs_rt_fields import direction, entity_id, number, text, time_ms
from ingest.decode.outcome import Undecodable

_TEXT_MAX_CHARS = 4096
# Every stop of a large city; an alert for more names routes or the agency.
_AFFECTED_MAX = 10_000
# 10000-01-01: senders without an end write the greatest number that they have.
_NO_END_FROM_S = 253_402_300_800

_Period = tuple[int | None, int | None]


def read_alert(entity: pb.FeedEntity, source: str, header_ms: int | None, message: Received) -> Case:
    """An alert as a case under its entity's id; raises Undecodable.

    It is closed when it is deleted or all its periods are over. A deleted entity may have no
    content: then only the id is told.
    """
    if header_ms is None:
        raise Undecodable(RejectReason.BAD_TIME, "alerts have no time of their own, and the header has none")
    alert = entity.alert
    starts_ms, ends_ms = _period(alert, header_ms)
    over = entity.is_deleted or (ends_ms is not None and ends_ms <= header_ms)
    affects = _affects(alert.informed_entity)
    agencies = {one.agency for one in affects}
    return Case(
        source=source,
        case_id=entity_id("entity id", entity.id),
        measured_ms=header_ms,
        received_ms=message.received_ms,
        category=f"{pb.Alert.Cause.Name(alert.cause)}/{pb.Alert.Effect.Name(alert.effect)}".lower(),
        status="closed" if over else "open",
        title=_translated("header_text", alert.header_text),
        text=_translated("description_text", alert.description_text),
        severity=None
        if alert.severity_level == pb.Alert.UNKNOWN_SEVERITY
        else pb.Alert.SeverityLevel.Name(alert.severity_level).lower(),
        agency=agencies.pop() if len(agencies) == 1 else None,
        starts_ms=starts_ms,
        ends_ms=ends_ms,
        affects=affects,
    )


def _period(alert: pb.Alert, at_ms: int) -> _Period:
    """Begin and end of the period that holds at `at_ms`, else of the next, else of the last; None is open.

    `impact_period` is when the service is affected; it replaces `active_period`.
    """
    periods = alert.impact_period or alert.active_period or alert.communication_period
    spans = [(time_ms("start", period.start), _end_ms(period.end)) for period in periods]
    to_come = [span for span in spans if span[1] is None or span[1] > at_ms]
    if to_come:
        return min(to_come, key=lambda span: span[0] or 0)
    return max(spans, key=lambda span: span[1] or 0, default=(None, None))


def _end_ms(given_s: int) -> int | None:
    return None if given_s >= _NO_END_FROM_S else time_ms("end", given_s)


def _affects(selectors: Sequence[pb.EntitySelector]) -> tuple[Affected, ...]:
    if len(selectors) > _AFFECTED_MAX:
        detail = f"informed_entity: {len(selectors)} of them, {_AFFECTED_MAX} are allowed"
        raise Undecodable(RejectReason.BAD_VALUE, detail)
    found = dict.fromkeys(_affected(selector) for selector in selectors)
    found.pop(Affected(), None)
    return tuple(found)


def _affected(selector: pb.EntitySelector) -> Affected:
    trip = selector.trip
    return Affected(
        agency=text("agency_id", selector.agency_id),
        route=text("route_id", selector.route_id or trip.route_id),
        route_type=int(number("route_type", selector.route_type, 0, 10_000))
        if selector.HasField("route_type")
        else None,
        direction=direction(selector if selector.HasField("direction_id") else trip),
        stop=text("stop_id", selector.stop_id),
        trip=text("trip_id", trip.trip_id),
    )


def _translated(what: str, given: pb.TranslatedString) -> str | None:
    """The text in the first of Markaz's languages that is there (uz, ru, en), else without a language, else the first.

    `en` itself goes before a kind of it, as `en-US` or the `en-html` of some senders.
    """
    texts: dict[str, str] = {}  # by language, "" for none
    for one in given.translation:
        words = text(what, one.text, _TEXT_MAX_CHARS)
        if words is not None:
            texts.setdefault((text("language", one.language) or "").lower(), words)
    for language in LANGUAGES:
        for tag, words in sorted(texts.items()):
            if tag.split("-")[0] == language:
                return words
    return texts.get("", next(iter(texts.values()), None))

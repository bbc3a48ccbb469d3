"""Alarms as CAP 1.2 and as an Atom feed of it.

Source: OASIS Common Alerting Protocol Version 1.2 (1 July 2010), sections 3.2 and 3.3; RFC 4287 (Atom).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from urllib.parse import quote
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import shapely
from msgspec import Struct

from analysis.alarm_words import explanation, place_words, rule_words, source_words
from analysis.cap_messages import CapMessage, base_identifier, newest_message
from city.alarms import Alarm, AlarmPriority, Transition
from city.areas import Areas
from city.config import Config
from city.i18n import Translator
from city.rules import Alarms

CAP_NAMESPACE = "urn:oasis:names:tc:emergency:cap:1.2"
CAP_TYPE = "application/cap+xml"
ATOM_NAMESPACE = "http://www.w3.org/2005/Atom"
ATOM_TYPE = "application/atom+xml"

# XML 1.0, 2.2 Char: what no escape can say.
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Around the point of an alarm that has no mahalla or district; a fix is some tens of metres wrong.
_AROUND_POINT_KM = 0.1
# A recogniser's word is likely (CAP: above about a half) where it does not say how sure it is.
_LIKELY_FROM_SCORE = 0.5

# urgency: when to act; severity: what it threatens (CAP 1.2, 3.2.2).
_BY_PRIORITY: Mapping[AlarmPriority, tuple[str, str]] = {
    AlarmPriority.CRITICAL: ("Immediate", "Extreme"),
    AlarmPriority.HIGH: ("Immediate", "Severe"),
    AlarmPriority.MEDIUM: ("Expected", "Moderate"),
    AlarmPriority.LOW: ("Future", "Minor"),
}
_CATEGORY_OF_KIND = {
    "fire": "Fire",
    "smoke": "Fire",
    "accident": "Transport",
    "crowd": "Safety",
    "violation": "Security",
}
_CATEGORY_OF_SOURCE = {
    "vehicle": "Transport",
    "route": "Transport",
    "camera": "Infra",
    "sensor": "Infra",
    "area": "Infra",
}


class Publisher(Struct, frozen=True, kw_only=True):
    """Who tells, in which languages, and what it takes to say where and what to do."""

    sender: str
    names: Mapping[str, str]
    contact: str
    web: str
    status: str
    scope: str
    restriction: str
    expires_after_ms: int
    zone: tzinfo
    city: Mapping[str, str]  # its names by language, for alarms without a place
    translators: tuple[Translator, ...]  # of the languages told, the first one first
    responses: Mapping[str, Mapping[str, str]]  # by rule and language: what is to be done
    areas: Areas

    @classmethod
    def of(cls, config: Config, areas: Areas, translators: Iterable[Translator]) -> Publisher:
        """By the settings; `translators` are those of `notices.cap.languages`."""
        notices = config.notices
        rules = {name: getattr(config.alarms, name) for name in Alarms.model_fields}
        return cls(
            sender=notices.sender,
            names={str(name): words for name, words in notices.sender_names.items()},
            contact=notices.contact,
            web=notices.web,
            status=notices.cap.status,
            scope=notices.cap.scope,
            restriction=notices.cap.restriction,
            expires_after_ms=round(notices.cap.expires_after_s * 1000),
            zone=ZoneInfo(config.profile.timezone),
            city={str(name): words for name, words in config.profile.names.items()},
            translators=tuple(translators),
            responses={name: dict(rule.response) for name, rule in rules.items()},
            areas=areas,
        )


def to_cap(alarm: Alarm, history: Sequence[Transition], publisher: Publisher, now_ms: int) -> bytes:
    """The alarm's newest CAP message, an XML document in UTF-8.

    `history` has the alarm's transitions since its last rise, in order; without it acknowledgements are not told.
    """
    message = newest_message(alarm, history, publisher.expires_after_ms, now_ms)
    root = ElementTree.Element("alert", {"xmlns": CAP_NAMESPACE})
    _add(root, "identifier", message.identifier)
    _add(root, "sender", publisher.sender)
    _add(root, "sent", _cap_time(message.sent_ms, publisher.zone))
    _add(root, "status", publisher.status)
    _add(root, "msgType", message.type)
    _add(root, "source", "markaz")
    _add(root, "scope", publisher.scope)
    if publisher.scope == "Restricted":
        _add(root, "restriction", publisher.restriction)
    _add(root, "note", message.note)
    earlier = (
        f"{publisher.sender},{one.identifier},{_cap_time(one.sent_ms, publisher.zone)}" for one in message.earlier
    )
    _add(root, "references", " ".join(earlier))
    if alarm.incident:
        _add(root, "incidents", quote(alarm.incident, safe=":"))
    for t in publisher.translators:
        _add_info(root, alarm, message, publisher, t)
    return _written(root)


def to_atom(
    alarms: Iterable[tuple[Alarm, Sequence[Transition]]], publisher: Publisher, t: Translator, now_ms: int
) -> bytes:
    """The alarms that stand and that nobody holds as an Atom feed, the newest message first, in UTF-8."""
    told = [
        (newest_message(alarm, history, publisher.expires_after_ms, now_ms), alarm)
        for alarm, history in alarms
        if is_listed(alarm)
    ]
    told.sort(key=lambda one: (-one[0].sent_ms, one[0].identifier))
    root = ElementTree.Element("feed", {"xmlns": ATOM_NAMESPACE, "xml:lang": t.language})
    feed_path = f"{publisher.web}/api/v1/alarms/cap.atom"
    _add(root, "id", _uri(publisher, "alarms"))
    _add(root, "title", f"{t('alarms')}: {publisher.city.get(t.language) or publisher.sender}")
    _add(root, "updated", _atom_time(max((message.sent_ms for message, _ in told), default=now_ms)))
    author = _add(root, "author")
    _add(author, "name", publisher.names.get(t.language) or publisher.sender)
    ElementTree.SubElement(root, "link", {"rel": "self", "type": ATOM_TYPE, "href": feed_path})
    for message, alarm in told:
        entry = _add(root, "entry")
        _add(entry, "id", _uri(publisher, base_identifier(alarm)))
        _add(entry, "title", _headline(alarm, message, t))
        _add(entry, "updated", _atom_time(message.sent_ms))
        _add(entry, "published", _atom_time(alarm.raised_ms))
        _add(entry, "summary", explanation(alarm, message.values, t))
        ElementTree.SubElement(entry, "category", {"term": _clean(alarm.priority)})
        href = f"{publisher.web}/api/v1/alarms/{quote(alarm.id, safe='')}/cap.xml"
        ElementTree.SubElement(entry, "link", {"rel": "alternate", "type": CAP_TYPE, "href": href})
    return _written(root)


def is_listed(alarm: Alarm) -> bool:
    """Whether others are told of it: an alarm, not an entry of the journal, that stands and that nothing holds."""
    held = alarm.shelved is not None or alarm.suppressed is not None or alarm.out_of_service is not None
    return alarm.active and not held and alarm.priority in _BY_PRIORITY


def _add_info(
    root: ElementTree.Element, alarm: Alarm, message: CapMessage, publisher: Publisher, t: Translator
) -> None:
    urgency, severity = _BY_PRIORITY.get(alarm.priority, ("Unknown", "Unknown"))
    info = _add(root, "info")
    _add(info, "language", t.language)
    _add(info, "category", _category(alarm, message))
    _add(info, "event", rule_words(alarm, t))
    _add(info, "responseType", "AllClear" if message.over else "Assess")
    _add(info, "urgency", "Past" if message.over else urgency)
    _add(info, "severity", severity)
    _add(info, "certainty", _certainty(alarm, message))
    _add_named(info, "eventCode", "markaz:rule", alarm.rule)
    _add(info, "effective", _cap_time(message.sent_ms, publisher.zone))
    _add(info, "onset", _cap_time(alarm.raised_ms, publisher.zone))
    _add(info, "expires", _cap_time(message.sent_ms + publisher.expires_after_ms, publisher.zone))
    _add(info, "senderName", publisher.names.get(t.language, ""))
    _add(info, "headline", _headline(alarm, message, t))
    _add(info, "description", explanation(alarm, message.values, t))
    _add(info, "instruction", publisher.responses.get(alarm.rule, {}).get(t.language, ""))
    _add(info, "web", f"{publisher.web}/" if publisher.web else "")
    _add(info, "contact", publisher.contact)
    for name, value in message.values.items():
        _add_named(info, "parameter", name, str(value))
    _add_area(info, alarm, publisher, t)


def _headline(alarm: Alarm, message: CapMessage, t: Translator) -> str:
    words = f"{rule_words(alarm, t)}: {source_words(alarm, t)}"
    return f"{words} – {t('notice.over')}" if message.over else words


def _category(alarm: Alarm, message: CapMessage) -> str:
    kind = str(message.values.get("kind", ""))
    return _CATEGORY_OF_KIND.get(kind) or _CATEGORY_OF_SOURCE.get(alarm.source_kind, "Other")


def _certainty(alarm: Alarm, message: CapMessage) -> str:
    """What was measured is observed; what a camera's recogniser saw is as likely as it says."""
    if alarm.source_kind != "camera" or "kind" not in message.values:
        return "Observed"
    score = message.values.get("score")
    sure = not isinstance(score, int | float) or score >= _LIKELY_FROM_SCORE
    return "Likely" if sure else "Possible"


def _add_area(info: ElementTree.Element, alarm: Alarm, publisher: Publisher, t: Translator) -> None:
    """The mahalla's polygon, else the district's, else a circle around the point, else the city by name.

    CAP has no holes: of a polygon the outer ring is told.
    """
    code = next((one for one in (alarm.mahalla, alarm.district) if one in publisher.areas.by_code), None)
    words = place_words(alarm, publisher.areas, t.language) or publisher.city.get(t.language) or publisher.sender
    area = _add(info, "area")
    _add(area, "areaDesc", words)
    if code is not None:
        for part in shapely.get_parts(publisher.areas.by_code[code].polygon):
            ring = shapely.get_coordinates(part.exterior)
            _add(area, "polygon", " ".join(f"{lat:.6f},{lon:.6f}" for lon, lat in ring))
    elif alarm.lat is not None and alarm.lon is not None:
        _add(area, "circle", f"{alarm.lat:.6f},{alarm.lon:.6f} {_AROUND_POINT_KM}")
    for known in (alarm.district, alarm.mahalla):
        if known:
            _add_named(area, "geocode", "SOATO", known)


# --- XML --------------------------------------------------------------------------------------------


def _add(parent: ElementTree.Element, name: str, text: str | None = None) -> ElementTree.Element:
    """An element at the end of its parent; one whose text is empty is left out (it would say nothing)."""
    element = ElementTree.Element(name)
    element.text = None if text is None else _clean(text)
    if text != "":
        parent.append(element)
    return element


def _add_named(parent: ElementTree.Element, name: str, value_name: str, value: str) -> None:
    element = _add(parent, name)
    for part, text in (("valueName", value_name), ("value", value)):
        ElementTree.SubElement(element, part).text = _clean(text)


def _clean(text: str) -> str:
    """Text without the characters that no XML may hold; U+FFFD stands for each."""
    return _NOT_IN_XML.sub("\ufffd", text)


def _written(root: ElementTree.Element) -> bytes:
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _cap_time(at_ms: int, zone: tzinfo) -> str:
    """A time as CAP wants it: whole seconds and an offset, UTC as -00:00 and never Z (CAP 1.2, 3.3.2)."""
    moment = (datetime.fromtimestamp(0, UTC) + timedelta(seconds=at_ms // 1000)).astimezone(zone)
    words = moment.isoformat(timespec="seconds")
    return words.removesuffix("+00:00") + "-00:00" if words.endswith("+00:00") else words


def _atom_time(at_ms: int) -> str:
    return (datetime.fromtimestamp(0, UTC) + timedelta(seconds=at_ms // 1000)).isoformat().replace("+00:00", "Z")


def _uri(publisher: Publisher, name: str) -> str:
    """An Atom id: a URI that never changes (RFC 4287, 4.2.6), of the sender's own (RFC 4151) if it is none itself."""
    sender = publisher.sender
    return f"{sender}:{name}" if ":" in sender else f"tag:{quote(sender, safe='@')},2026:{quote(name, safe=':%')}"

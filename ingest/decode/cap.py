"""CAP 1.2: warnings of other services as cases.

Topic `cap/<name>`, payload one alert. An Alert opens a case; an Update closes the cases of the messages that it
replaces and opens one of its own; a Cancel closes them. A case ends by itself when its message expires. So no message
needs the memory of an earlier one: they may come late, doubled or through several workers.

Source: OASIS Common Alerting Protocol Version 1.2, sections 3.2 and 3.3.
"""

from __future__ import annotations

import hashlib
from functools import partial
from typing import NamedTuple

from city.events import Case
from city.i18n import LANGUAGES
from city.messages import Reading, Received, RejectReason
from ingest.decode.cap_area import Place, place_of
from ingest.decode.cap_xml import Element, read_xml
from ingest.decode.outcome import (
    ID_MAX_CHARS,
    UNKNOWN_FEED,
    Format,
    Outcome,
    Read,
    Undecodable,
    check_id,
    refusing,
    rejected,
)
from ingest.decode.times import read_time_ms

FEED = "cap"
_NAME = 1  # level of the topic
_PAYLOAD_MAX_BYTES = 1_048_576  # borders of provinces are long
_REFERENCES_MAX = 200
_TEXT_MAX_CHARS, _WORD_MAX_CHARS = 4096, 256
_OPENING, _CLOSING = frozenset({"Alert", "Update"}), frozenset({"Update", "Cancel"})
_OTHER_TYPES = frozenset({"Ack", "Error"})
_DRILLS = frozenset({"Exercise", "System", "Test", "Draft"})
_DEFAULT_LANGUAGE = "en"  # CAP 1.2, 3.2.2: en-US


class _Told(NamedTuple):
    """What a message says about itself and for all its cases."""

    source: str
    sent_ms: int
    sender: str
    received_ms: int


def bind(topic: str) -> Read:
    """The reader of a source's topic; levels after its name are not looked at."""
    levels = topic.split("/")
    if len(levels) <= _NAME:
        return refusing(UNKNOWN_FEED, Undecodable(RejectReason.UNKNOWN_TOPIC, "expected cap/<name>"))
    try:
        source = check_id("source", f"cap-{levels[_NAME]}")
    except Undecodable as problem:
        return refusing(FEED, problem)
    return partial(_read, source)


def _read(source: str, message: Received) -> tuple[Outcome, ...]:
    try:
        return tuple(Reading(FEED, case, message) for case in _cases(source, read_xml(message.payload), message))
    except Undecodable as problem:
        return (rejected(FEED, problem, message),)


def _cases(source: str, alert: Element, message: Received) -> list[Case]:
    if alert.name != "alert":
        raise Undecodable(RejectReason.BAD_TYPE, f"the document is {alert.name[:40]}, not alert")
    kind, status = _required(alert, "msgType"), _required(alert, "status")
    identifier, sender = _required(alert, "identifier"), _required(alert, "sender")
    told = _Told(source, read_time_ms(_required(alert, "sent"), "sent"), sender, message.received_ms)
    if kind in _OTHER_TYPES or status in _DRILLS:
        raise Undecodable(RejectReason.NOT_WANTED, f"{status} {kind}: only actual warnings are cases")
    if status != "Actual" or kind not in _OPENING | _CLOSING:
        raise Undecodable(RejectReason.BAD_VALUE, f"status {status[:40]!r}, msgType {kind[:40]!r}")
    replaced = _references(alert) if kind in _CLOSING else []
    if kind == "Cancel" and not replaced:
        raise Undecodable(RejectReason.BAD_TYPE, "references: a Cancel names what it ends")
    info = _info(alert)
    cases = []
    if kind in _OPENING:
        if info is None:
            raise Undecodable(RejectReason.BAD_TYPE, "info is missing: there is nothing to show")
        cases.append(_case(told, case_id(sender, identifier), info))
    own = case_id(sender, identifier)
    closed = dict.fromkeys(one for one in (case_id(*name) for name in replaced) if one != own)
    return cases + [_closed(told, one, info) for one in closed]


def case_id(sender: str, identifier: str) -> str:
    """The case of a message: what an id can hold of its identifier, and a hash of sender and identifier.

    Only sender and identifier together name a message (CAP 1.2, 3.2.1).
    """
    digest = hashlib.sha256(f"{sender},{identifier}".encode("utf-8", "surrogatepass")).hexdigest()[:16]
    kept = "".join(one if one.isalnum() or one in "-._:" else "-" for one in identifier)
    return f"{kept[: ID_MAX_CHARS - len(digest) - 1]}~{digest}"


def _case(told: _Told, name: str, info: Element) -> Case:
    ends_ms = _time(info, "expires")
    over = (ends_ms is not None and ends_ms <= told.sent_ms) or _all_clear(info)
    place = place_of(info.all("area"))
    return Case(
        source=told.source,
        case_id=name,
        measured_ms=told.sent_ms,
        received_ms=told.received_ms,
        category=_category(info),
        status="closed" if over else "open",
        lat=place.lat,
        lon=place.lon,
        address_code=place.code,
        title=_short(info.text("headline") or info.text("event"), _WORD_MAX_CHARS),
        text=_text(info, place),
        severity=_short((info.text("severity") or "").lower() or None, _WORD_MAX_CHARS),
        agency=_short(info.text("senderName") or told.sender, _WORD_MAX_CHARS),
        reporter=_short(told.sender, _WORD_MAX_CHARS),
        starts_ms=_time(info, "onset") or _time(info, "effective"),
        ends_ms=ends_ms,
    )


def _closed(told: _Told, name: str, info: Element | None) -> Case:
    """The end of an earlier message's case, in the words of the one that ends it."""
    return Case(
        source=told.source,
        case_id=name,
        measured_ms=told.sent_ms,
        received_ms=told.received_ms,
        category=_category(info) if info is not None else "other",
        status="closed",
        title=None if info is None else _short(info.text("headline") or info.text("event"), _WORD_MAX_CHARS),
        reporter=_short(told.sender, _WORD_MAX_CHARS),
    )


def _info(alert: Element) -> Element | None:
    """The block in the first of Markaz's languages that is there (uz, ru, en), else the first one."""
    blocks = alert.all("info")
    for language in LANGUAGES:
        for block in blocks:
            if (block.text("language") or _DEFAULT_LANGUAGE).lower().split("-")[0] == language:
                return block
    return blocks[0] if blocks else None


def _references(alert: Element) -> list[tuple[str, str]]:
    """(sender, identifier) of earlier messages; written as `sender,identifier,sent` with spaces between them."""
    found = []
    for one in (alert.text("references") or "").split():
        parts = one.split(",")
        if len(parts) != 3 or not parts[0] or not parts[1]:
            raise Undecodable(RejectReason.BAD_VALUE, f"references: {one[:80]!r} is not sender,identifier,sent")
        found.append((parts[0], parts[1]))
    if len(found) > _REFERENCES_MAX:
        raise Undecodable(RejectReason.BAD_VALUE, f"references: {len(found)} of them, {_REFERENCES_MAX} are allowed")
    return found


def _all_clear(info: Element) -> bool:
    return any(one.own_text() == "AllClear" for one in info.all("responseType"))


def _category(info: Element) -> str:
    """`met/heavy snow`: CAP's category and the sender's word for what happens."""
    words = [info.text("category") or "other", info.text("event") or ""]
    return _short("/".join(word for word in words if word).lower(), _WORD_MAX_CHARS) or "other"


def _text(info: Element, place: Place) -> str | None:
    parts = (info.text("description"), info.text("instruction"), place.words)
    return _short("\n\n".join(part for part in parts if part) or None, _TEXT_MAX_CHARS)


def _short(text: str | None, max_chars: int) -> str | None:
    """Cut where it is too long: a warning must not be lost because it says much."""
    return text if text is None or len(text) <= max_chars else text[: max_chars - 1] + "…"


def _time(info: Element, name: str) -> int | None:
    given = info.text(name)
    return None if given is None else read_time_ms(given, name)


def _required(element: Element, name: str) -> str:
    text = element.text(name)
    if text is None:
        raise Undecodable(RejectReason.BAD_TYPE, f"{name} is missing")
    return text


FORMAT = Format(bind, payload_max_bytes=_PAYLOAD_MAX_BYTES)

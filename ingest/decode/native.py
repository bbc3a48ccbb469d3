"""Markaz's own format: `markaz/v1/<city>/<feed>/<id>/<kind>` with one JSON object.

`docs/contracts.md` lists topics and fields. Fields that it does not name are ignored.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from city.messages import Received, RejectReason
from ingest.decode.native_events import KINDS, CaseMessage, M, Tell, case
from ingest.decode.outcome import (
    UNKNOWN_FEED,
    Format,
    Outcome,
    Read,
    Undecodable,
    check_id,
    pass_over,
    read_json,
    refusing,
    rejected,
)

CASE_FEED = "case"
_TOPIC_LEVELS = 6
# Where Markaz tells of its own alarms; its subscription brings them back.
_OWN_FEED, _OWN_TOPIC_LEVELS = "alarm", 5

_decoders = {kind: msgspec.json.Decoder(one.message).decode for kind, one in KINDS.items()}
_decode_case = msgspec.json.Decoder(CaseMessage).decode


def bind(topic: str) -> Read:
    """The reader of a native topic. A case's last level is its id, the others' the kind."""
    levels = topic.split("/")
    if len(levels) == _OWN_TOPIC_LEVELS and levels[3] == _OWN_FEED:
        return pass_over
    if len(levels) == _TOPIC_LEVELS and levels[3] == CASE_FEED:
        return _case_reader(levels[4], levels[5])
    feed = f"{levels[3]}/{levels[5]}" if len(levels) == _TOPIC_LEVELS else ""
    kind = KINDS.get(feed)
    if kind is None:
        problem = Undecodable(RejectReason.UNKNOWN_TOPIC, "expected markaz/v1/<city>/<feed>/<id>/<kind>")
        return refusing(UNKNOWN_FEED, problem)
    try:
        return _reader(feed, _decoders[feed], kind.of(feed, check_id(levels[3], levels[4])))
    except Undecodable as problem:
        return refusing(feed, problem)


def _case_reader(source: str, case_id: str) -> Read:
    try:
        tell = case(CASE_FEED, check_id("source", source), check_id("case", case_id))
    except Undecodable as problem:
        return refusing(CASE_FEED, problem)
    return _reader(CASE_FEED, _decode_case, tell)


def _reader(feed: str, decode: Callable[[bytes], M], tell: Tell[M]) -> Read:
    def read(message: Received) -> tuple[Outcome, ...]:
        try:
            return tell(read_json(decode, message.payload), message)
        except Undecodable as problem:
            return (rejected(feed, problem, message),)

    return read


FORMAT = Format(bind)

"""Which CAP messages an alarm has given since it rose, told from the alarm and its transitions alone.

A rise is an Alert, an acknowledgement or another announcement an Update, the return to normal a Cancel. An alarm that
stands is told again, as an Update, before its message expires. The same alarm at the same moment always gives the same
message under the same identifier: it can be asked for at any time, by anybody, and nothing has to be remembered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from urllib.parse import quote

from msgspec import Struct

from city.alarms import Action, Alarm, Transition


class MessageType(StrEnum):
    """CAP 1.2, 3.2.1 `msgType`, those that are sent."""

    ALERT = "Alert"
    UPDATE = "Update"
    CANCEL = "Cancel"


class Sent(Struct, frozen=True):
    """What names an earlier message, with its sender."""

    identifier: str
    sent_ms: int


class CapMessage(Struct, frozen=True, kw_only=True):
    """One message, before it is written."""

    identifier: str
    sent_ms: int
    type: MessageType
    note: str = ""  # why it is sent, in English
    values: Mapping[str, float | str] = {}  # the numbers known by then
    earlier: tuple[Sent, ...] = ()  # what it replaces or ends

    @property
    def over(self) -> bool:
        return self.type is MessageType.CANCEL


_NOTES = {Action.ACKNOWLEDGE: "acknowledged", Action.REALARM: "announced again: nobody has mended it"}


def base_identifier(alarm: Alarm) -> str:
    """The identifier of a rise: of its Alert, and what those of all later messages begin with.

    Without what `references` cannot hold (CAP 1.2, 3.2.1: spaces, commas, < and &).
    """
    return f"{quote(alarm.id, safe=':|')}.{alarm.raised_ms}"


def newest_message(alarm: Alarm, history: Sequence[Transition], expires_after_ms: int, now_ms: int) -> CapMessage:
    """The message that holds now. `history` has the alarm's transitions since it rose last, in order.

    Without a history there are an Alert and a Cancel, under the same identifiers.
    """
    told = _told(alarm, history)
    last = told[-1]
    # Half of its life is left when the next one comes: a reader that asks now and then never meets a gap.
    period_ms = max(1, expires_after_ms // 2)
    renewals = (now_ms - last.sent_ms) // period_ms
    if last.over or renewals < 1:
        return last
    earlier = [*last.earlier, Sent(last.identifier, last.sent_ms)]
    if renewals > 1:  # those before it were replaced by it
        earlier.append(Sent(f"{last.identifier}.r{renewals - 1}", last.sent_ms + (renewals - 1) * period_ms))
    return CapMessage(
        identifier=f"{last.identifier}.r{renewals}",
        sent_ms=last.sent_ms + renewals * period_ms,
        type=MessageType.UPDATE,
        note="still stands",
        values=last.values,
        earlier=tuple(earlier),
    )


def _told(alarm: Alarm, history: Sequence[Transition]) -> list[CapMessage]:
    base = base_identifier(alarm)
    since = _of_last_rise(alarm, history)
    values: Mapping[str, float | str] = since[0].values if since else alarm.values
    told = [CapMessage(identifier=base, sent_ms=alarm.raised_ms, type=MessageType.ALERT, values=values)]
    for one in since[1:]:
        values = {**values, **one.values}
        if one.action in _NOTES and alarm.raised_ms <= one.at_ms:
            told.append(
                _after(told, f"{base}.{one.version}", one.at_ms, MessageType.UPDATE, _NOTES[one.action], values)
            )
        elif one.action is Action.CLEAR:
            break
    if not alarm.active and alarm.cleared_ms is not None:
        values = {**values, **alarm.values}
        told.append(_after(told, f"{base}.over", alarm.cleared_ms, MessageType.CANCEL, "returned to normal", values))
    return told


def _after(
    told: Sequence[CapMessage],
    identifier: str,
    at_ms: int,
    kind: MessageType,
    note: str,
    values: Mapping[str, float | str],
) -> CapMessage:
    """The message after those. An operator's clock and a device's differ: it is never sent before the one before."""
    return CapMessage(
        identifier=identifier,
        sent_ms=max(at_ms, told[-1].sent_ms),
        type=kind,
        note=note,
        values=values,
        earlier=tuple(Sent(one.identifier, one.sent_ms) for one in told),
    )


def _of_last_rise(alarm: Alarm, history: Sequence[Transition]) -> Sequence[Transition]:
    for at in range(len(history) - 1, -1, -1):
        if history[at].action is Action.RISE and history[at].alarm == alarm.id:
            return history[at:]
    return ()

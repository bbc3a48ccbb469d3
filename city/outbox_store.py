"""The queues of what others are to be told, and the log that says what there is to tell."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import Struct
from msgspec import json as msgspec_json

from city.alarms import Transition
from city.keys import Keys
from city.link import Link
from city.notices import Notice

T = TypeVar("T")

_decode_notice = msgspec_json.Decoder(Notice).decode
_decode_transition = msgspec_json.Decoder(Transition).decode
# What receivers refused, for a person to look at; older ones go.
_REFUSED_KEPT = 1000
_LOG_READ = 1000


class Queued(Struct, frozen=True):
    """The oldest of a receiver's queue."""

    entry: str  # its place in the store
    notice: Notice


class OutboxStore:
    """The part of the store from which others are told. Notices get there with `commit_alarms`."""

    keys: Keys
    link: Link

    def _read(self, decode: Callable[[bytes], T], value: bytes, what: str) -> T | None:
        raise NotImplementedError

    def outbox_heads(self, receivers: Sequence[str]) -> Mapping[str, Queued]:
        """The oldest notice of each receiver's queue, of those that have one."""

        def fill(pipe: Any) -> None:
            for receiver in receivers:
                pipe.xrange(self.keys.outbox(receiver), count=1)

        heads: dict[str, Queued] = {}
        for receiver, found in zip(receivers, self.link.together(fill), strict=True):
            for entry_id, fields in found:
                notice = self._read(_decode_notice, fields.get(b"notice", b""), "notice")
                if notice is not None:
                    heads[receiver] = Queued(entry_id.decode(), notice)
                else:
                    # It would hold up all that wait behind it.
                    self.outbox_drop(receiver, entry_id.decode(), refused="not readable by this version")
        return heads

    def outbox_drop(self, receiver: str, entry: str, *, refused: str = "") -> None:
        """Take an entry out of its queue; with a reason it is kept beside. Done twice it is done once."""
        queue = self.keys.outbox(receiver)
        if not refused:
            self.link.run(lambda client: client.xdel(queue, entry))
            return
        found = self.link.run(lambda client: client.xrange(queue, min=entry, max=entry))
        for _, fields in found:
            kept = {"receiver": receiver, "reason": refused, "notice": fields.get(b"notice", b"")}
            self.link.together(self._putting_aside(queue, entry, kept), transaction=True)

    def outbox_waiting(self, receivers: Sequence[str]) -> dict[str, int]:
        """How many notices wait for each receiver."""

        def fill(pipe: Any) -> None:
            for receiver in receivers:
                pipe.xlen(self.keys.outbox(receiver))

        return dict(zip(receivers, self.link.together(fill), strict=True))

    def outbox_left(self, receivers: Collection[str]) -> dict[str, int]:
        """How many notices wait for others than these, by receiver; a walk over the keys of the store."""
        prefix = self.keys.outbox("")
        found = self.link.run(lambda client: set(client.scan_iter(match=f"{prefix}*", count=1000)))
        names = {key.decode().removeprefix(prefix) for key in found}
        waiting = self.outbox_waiting(sorted(names - set(receivers)))
        return {name: count for name, count in waiting.items() if count}

    def alarm_log_tip(self) -> str:
        """The id of the newest entry of the alarm log."""
        found = self.link.run(lambda client: client.xrevrange(self.keys.alarm_log(), count=1))
        return found[0][0].decode() if found else "0-0"

    def alarm_log_after(self, cursor: str) -> tuple[str, list[Transition]]:
        """The next transitions behind `cursor`, oldest first, and the cursor behind them; the same at the end."""
        low = f"({cursor}"
        found = self.link.run(lambda client: client.xrange(self.keys.alarm_log(), min=low, count=_LOG_READ))
        transitions: list[Transition] = []
        for entry_id, fields in found:
            cursor = entry_id.decode()
            if (read := self._read(_decode_transition, fields.get(b"transition", b""), "transition")) is not None:
                transitions.append(read)
        return cursor, transitions

    def _putting_aside(self, queue: str, entry: str, kept: Mapping[str, object]) -> Callable[[Any], None]:
        def fill(pipe: Any) -> None:
            pipe.xadd(self.keys.outbox_refused(), kept, maxlen=_REFUSED_KEPT, approximate=True)
            pipe.xdel(queue, entry)

        return fill

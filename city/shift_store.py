"""Shifts in the store: the present one, the log that operators write, and every hand-over that there was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from msgspec import json as msgspec_json

from city.keys import Keys
from city.link import Call, Link
from city.shifts import Handover, HandoverHead, LogLine, Shift

_COMMIT = (Path(__file__).parent / "shift_commit.lua").read_bytes()
# Of a shift that nobody hands over; older lines stay in the stream.
_LINES_MAX = 500

T = TypeVar("T")

_encode = msgspec_json.Encoder().encode
_decode_shift = msgspec_json.Decoder(Shift).decode
_decode_line = msgspec_json.Decoder(LogLine).decode
_decode_handover = msgspec_json.Decoder(Handover).decode
_decode_head = msgspec_json.Decoder(HandoverHead).decode


class ShiftStore:
    """The part of the store that holds shifts."""

    keys: Keys
    link: Link

    def _read(self, decode: Callable[[bytes], T], value: bytes, what: str) -> T | None:
        raise NotImplementedError

    def shift(self) -> Shift | None:
        """The present shift; None before the first signature."""
        value = self.link.run(lambda client: client.get(self.keys.shift()))
        return None if value is None else _decode_shift(value)

    def commit_shift(self, before: Shift | None, after: Shift, handover: Handover | None = None) -> bool:
        """Write the present shift, and the hand-over that closed the one before; False where somebody was first.

        Sent again after StoreDown it is written once.
        """
        number, record = (str(handover.number), _encode(handover)) if handover else ("", b"")
        known = b"" if before is None else _encode(before)
        call = Call(_COMMIT, [self.keys.shift(), self.keys.shifts()], [known, _encode(after), number, record])
        return bool(self.link.write(call))

    def add_log_line(self, line: LogLine) -> None:
        """Write down a line of the shift log."""
        self.link.run(lambda client: client.xadd(self.keys.shift_log(), {"line": _encode(line)}))

    def log_lines(self, behind: str) -> list[tuple[str, LogLine]]:
        """The newest lines behind an entry id, oldest first: (entry id, line)."""
        found = self.link.run(
            lambda client: client.xrevrange(self.keys.shift_log(), min=f"({behind}", count=_LINES_MAX)
        )
        read = [(one.decode(), self._read(_decode_line, fields[b"line"], "shift's line")) for one, fields in found]
        return [(entry_id, line) for entry_id, line in reversed(read) if line is not None]

    def handovers(self, *, limit: int, before: int | None = None) -> list[HandoverHead]:
        """Hand-overs, the newest first; `before` is the number of the last one seen."""
        top = "+" if before is None else f"({before}-0"
        found = self.link.run(lambda client: client.xrevrange(self.keys.shifts(), max=top, count=limit))
        read = [self._read(_decode_head, fields[b"handover"], "hand-over") for _, fields in found]
        return [one for one in read if one is not None]

    def handover(self, number: int) -> Handover | None:
        """One hand-over, whole."""
        at = f"{number}-0"
        found = self.link.run(lambda client: client.xrange(self.keys.shifts(), min=at, max=at))
        return self._read(_decode_handover, found[0][1][b"handover"], "hand-over") if found else None

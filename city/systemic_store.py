"""Systemic problems in the store: those that somebody has looked at, and what was done about each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from msgspec import Struct
from msgspec import json as msgspec_json

from city.keys import Keys
from city.link import Call, Link
from city.systemic import Followed, FollowEntry

_COMMIT = (Path(__file__).parent / "systemic_commit.lua").read_bytes()
# Of the log at once, for the history of one problem: a city does a few of these a day.
_AT_ONCE = 1000

T = TypeVar("T")

_encode = msgspec_json.Encoder().encode
_decode_followed = msgspec_json.Decoder(Followed).decode
_decode_entry = msgspec_json.Decoder(FollowEntry).decode


class StoredProblem(Struct, frozen=True):
    """A problem with the bytes that it was read from: whoever changes it says which ones he saw."""

    followed: Followed
    raw: bytes


class SystemicStore:
    """The part of the store that holds systemic problems."""

    keys: Keys
    link: Link

    def _read(self, decode: Callable[[bytes], T], value: bytes, what: str) -> T | None:
        raise NotImplementedError

    def followed(self) -> list[Followed]:
        """Every problem that somebody has looked at, by id."""
        values = self.link.run(lambda client: client.hvals(self.keys.systemic()))
        read = [self._read(_decode_followed, value, "systemic problem") for value in values]
        return sorted((one for one in read if one is not None), key=lambda one: one.id)

    def followed_one(self, problem_id: str) -> StoredProblem | None:
        """One of them as the store has it now."""
        value = self.link.run(lambda client: client.hget(self.keys.systemic(), problem_id))
        found = None if value is None else self._read(_decode_followed, value, "systemic problem")
        return None if value is None or found is None else StoredProblem(found, value)

    def commit_followed(self, before: StoredProblem | None, after: Followed, entry: FollowEntry) -> bool:
        """Write a problem and the line of its history; False where somebody was first.

        Sent again after StoreDown it is written once.
        """
        raw = b"" if before is None else before.raw
        names = [self.keys.systemic(), self.keys.systemic_log()]
        return bool(self.link.write(Call(_COMMIT, names, [after.id, raw, _encode(after), _encode(entry)])))

    def follow_entries(self, problem_id: str) -> list[FollowEntry]:
        """The history of a problem, newest line first: as far back as it was begun, however long ago that is."""
        entries: list[FollowEntry] = []
        newest = "+"
        while True:
            found = self._log_before(newest)
            for _, fields in found:
                if fields.get(b"problem") != problem_id.encode():
                    continue
                one = self._read(_decode_entry, fields[b"entry"], "systemic problem's entry")
                if one is not None:
                    entries.append(one)
                    if one.version <= 1:  # its first line
                        return entries
            if len(found) < _AT_ONCE:
                return entries
            newest = f"({found[-1][0].decode()}"

    def _log_before(self, newest: str) -> list[tuple[bytes, dict[bytes, bytes]]]:
        found: list[tuple[bytes, dict[bytes, bytes]]] = self.link.run(
            lambda client: client.xrevrange(self.keys.systemic_log(), max=newest, count=_AT_ONCE)
        )
        return found

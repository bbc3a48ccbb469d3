"""The reject stream: what could not be stored, why, and how it is found, read and taken away again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from city.keys import Keys
from city.link import Call, Link

_FORGET = (Path(__file__).parent / "forget_rejects.lua").read_bytes()
# Of a search among rejects: each entry has its whole message with it.
_REJECTS_CHUNK, _REJECTS_CHUNKS = 200, 10


class StoredReject(NamedTuple):
    entry_id: str
    feed: str
    reason: str
    detail: str
    topic: str
    payload: bytes
    received_ms: int


class RejectsKept(NamedTuple):
    """How much the reject stream holds now."""

    messages: int
    size_bytes: int  # of what is in it; the oldest go when it passes store.rejects_max_bytes


class RejectStore:
    """The part of the store that holds rejects."""

    keys: Keys
    link: Link

    def rejects(self, *, limit: int, before: str | None = None) -> list[StoredReject]:
        """The newest rejects first; `before` is the entry id of the last one seen."""
        top = f"({before}" if before else "+"
        found = self.link.run(lambda client: client.xrevrange(self.keys.rejects(), max=top, count=limit))
        return [_stored_reject(entry_id, fields) for entry_id, fields in found]

    def find_rejects(
        self, *, limit: int, before: str | None = None, feed: str | None = None, reason: str | None = None
    ) -> tuple[list[StoredReject], str | None]:
        """The newest rejects of a feed and a reason, at most `limit`, and where to go on (`before`), None at the end.

        Looks at a few thousand entries a call: with a filter it may find fewer, or none, before the end.
        """
        filtered = feed is not None or reason is not None
        chunk = _REJECTS_CHUNK if filtered else limit
        found: list[StoredReject] = []
        for _ in range(_REJECTS_CHUNKS if filtered else 1):
            seen = self.rejects(limit=chunk, before=before)
            for reject in seen:
                before = reject.entry_id
                if (feed is None or reject.feed == feed) and (reason is None or reject.reason == reason):
                    found.append(reject)
                    if len(found) == limit:
                        return found, before
            if len(seen) < chunk:
                return found, None
        return found, before

    def reject(self, entry_id: str) -> StoredReject | None:
        """One reject with all its bytes, None if it is not kept (any more)."""
        found = self.link.run(lambda client: client.xrange(self.keys.rejects(), min=entry_id, max=entry_id))
        return _stored_reject(*found[0]) if found else None

    def rejects_between(self, after: str, last: str, *, count: int) -> list[StoredReject]:
        """At most `count` rejects, oldest first, behind the id `after` up to the id `last`."""
        found = self.link.run(lambda client: client.xrange(self.keys.rejects(), min=f"({after}", max=last, count=count))
        return [_stored_reject(entry_id, fields) for entry_id, fields in found]

    def delete_rejects(self, entry_ids: Sequence[str]) -> None:
        """Take rejects out of the stream; those that are gone already are no error."""
        if not entry_ids:
            return
        call = Call(_FORGET, [self.keys.rejects(), self.keys.rejects_size()], list(entry_ids))
        self.link.write(call)

    def rejects_kept(self) -> RejectsKept:
        """How much the reject stream holds now."""

        def fill(pipe: Any) -> None:
            pipe.xlen(self.keys.rejects())
            pipe.get(self.keys.rejects_size())

        length, size_bytes = self.link.together(fill)
        return RejectsKept(length, int(size_bytes or 0))


def _stored_reject(entry_id: bytes, fields: Mapping[bytes, bytes]) -> StoredReject:
    return StoredReject(
        entry_id=entry_id.decode(),
        feed=fields[b"feed"].decode(),
        reason=fields[b"reason"].decode(),
        detail=fields[b"detail"].decode("utf-8", "replace"),
        topic=fields[b"topic"].decode("utf-8", "replace"),
        payload=fields[b"payload"],
        received_ms=int(fields[b"received_ms"]),
    )

"""Alarms and incidents in the store: written with what happened to them and their writer's memory, in one go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, TypeVar

import structlog
from msgspec import Struct, msgpack
from msgspec import json as msgspec_json

from city.alarms import Alarm, Transition
from city.incidents import Incident, IncidentEntry
from city.keys import Keys
from city.link import Call, Link
from city.notices import Notice
from city.streams import Streams

_COMMIT = (Path(__file__).parent / "alarm_commit.lua").read_bytes()

log = structlog.get_logger()

T = TypeVar("T")

_encode = msgspec_json.Encoder().encode
_decode_alarm = msgspec_json.Decoder(Alarm).decode
_decode_incident = msgspec_json.Decoder(Incident).decode
_decode_entry = msgspec_json.Decoder(IncidentEntry).decode
_decode_transition = msgspec_json.Decoder(Transition).decode
_pack = msgpack.Encoder().encode
WATCHER = "alarms"
# Of the alarm log, for the history of one alarm.
_LOOKED_AT = 20_000
# So many names are looked for in the bytes; with more, decoding is cheaper.
_SOUGHT_MAX = 3


class Changed(Struct, frozen=True):
    """An alarm as its writer knew it and as it is to be; None: not there."""

    before: Alarm | None
    after: Alarm | None

    @property
    def id(self) -> str:
        alarm = self.after or self.before
        assert alarm is not None
        return alarm.id


class ChangedIncident(Struct, frozen=True):
    """The same of an incident; they are never forgotten."""

    before: Incident | None
    after: Incident


class Remembered(Struct, frozen=True, kw_only=True):
    """What the watching process wants to have again when it is started anew, as far as it changed."""

    owner: str
    cursors: Mapping[int, str]
    fields: Mapping[str, bytes]
    forgotten: Sequence[str] = ()


class AlarmCommit(Struct, frozen=True, kw_only=True):
    """What is written together: changes, what happened, who is told of it, and what the watching process remembers."""

    alarms: Sequence[Changed] = ()
    transitions: Sequence[Transition] = ()
    incidents: Sequence[ChangedIncident] = ()
    entries: Sequence[IncidentEntry] = ()
    notices: Sequence[Notice] = ()
    remembered: Remembered | None = None


class Others(Struct, frozen=True, kw_only=True):
    """What others changed meanwhile: nothing was written. False where there is nothing."""

    alarms: list[str]
    incidents: list[str]

    def __bool__(self) -> bool:
        return bool(self.alarms or self.incidents)


class AlarmStore:
    """The part of the store that holds alarms."""

    keys: Keys
    link: Link
    streams: Streams

    def _read(self, decode: Callable[[bytes], T], value: bytes, what: str) -> T | None:
        raise NotImplementedError

    def commit_alarms(self, commit: AlarmCommit, *, keep_s: float) -> Others:
        """Write all of it, or nothing: then says whose alarms and incidents are others by now.

        `keep_s` is how far the streams of events go back. Sent again after StoreDown a commit with `remembered` is
        written once. Raises StoreFenced where another process has become the owner.
        """
        # What was stored in other words: by a newer version, or unreadable.
        stored: dict[str, str] = {}
        while True:
            others = self._commit(commit, stored, keep_s)
            differ = self._in_other_words(commit, others)
            if not differ.keys() - stored.keys():
                return others
            stored |= differ

    def _in_other_words(self, commit: AlarmCommit, others: Others) -> dict[str, str]:
        """Of what was found changed: the stored JSON of those that are what they were taken for, or nothing at all.

        One record that this version writes in other words, or cannot read, must not hold up all the others.
        """
        befores: dict[str, Alarm | Incident | None] = {one.id: one.before for one in commit.alarms}
        befores |= {one.after.id: one.before for one in commit.incidents}
        found: dict[str, str] = {}
        places: list[tuple[str, list[str], Callable[[bytes], Any]]] = [
            (self.keys.alarms(), others.alarms, _decode_alarm),
            (self.keys.incidents(), others.incidents, _decode_incident),
        ]
        for key, names, decode in places:
            for name in names:
                raw = self.link.run(lambda client, key=key, name=name: client.hget(key, name))  # type: ignore[misc]
                if raw is None:
                    continue
                known = self._read(decode, raw, name)
                if known is None:
                    log.error("unreadable_overwritten", id=name, stored=raw[:500])
                elif _json(known) != _json(befores[name]):
                    continue
                found[name] = raw.decode(errors="replace")
        return found

    def _commit(self, commit: AlarmCommit, stored: Mapping[str, str], keep_s: float) -> Others:
        keys, remembered = self.keys, commit.remembered
        cursors: list[Any] = []
        fields: list[Any] = []
        if remembered is not None:
            cursors = [word for p, cursor in remembered.cursors.items() for word in (f"cursor:{p}", cursor)]
            fields = [word for name, value in remembered.fields.items() for word in (name, value.decode())]
        receivers = list(dict.fromkeys(notice.receiver for notice in commit.notices))
        header = (
            [(one.id, stored.get(one.id) or _json(one.before), _json(one.after)) for one in commit.alarms],
            [_encode(one).decode() for one in commit.transitions],
            [
                (one.after.id, stored.get(one.after.id) or _json(one.before), _json(one.after))
                for one in commit.incidents
            ],
            [_encode(one).decode() for one in commit.entries],
            cursors,
            fields,
            list(remembered.forgotten) if remembered else [],
            [(receivers.index(one.receiver) + 1, _encode(one).decode()) for one in commit.notices],
        )
        names = [
            *(keys.alarms(), keys.alarm_events(), keys.alarm_log()),
            *(keys.incidents(), keys.incident_events(), keys.incident_log()),
            *(keys.checkpoint(WATCHER), keys.memory(WATCHER)),
            *(keys.outbox(receiver) for receiver in receivers),
        ]
        arguments = [remembered.owner if remembered else "", int(keep_s * 1000), _pack(header)]
        answer = self.link.write(Call(_COMMIT, names, arguments))
        return Others(
            alarms=[commit.alarms[at - 1].id for at in answer if at > 0],
            incidents=[commit.incidents[-at - 1].after.id for at in answer if at < 0],
        )

    def alarms(self) -> list[Alarm]:
        """Every alarm that is not normal, is held, or was not normal not long ago; newest rise first."""
        values = self.link.run(lambda client: client.hvals(self.keys.alarms()))
        alarms = [alarm for value in values if (alarm := self._read(_decode_alarm, value, "alarm")) is not None]
        return sorted(alarms, key=lambda a: (-a.raised_ms, a.id))

    def alarm(self, alarm_id: str) -> Alarm | None:
        """One alarm as the store has it now."""
        value = self.link.run(lambda client: client.hget(self.keys.alarms(), alarm_id))
        return None if value is None else self._read(_decode_alarm, value, "alarm")

    def alarm_tip(self) -> str:
        return self._tip(self.keys.alarm_events())

    def read_alarms(self, cursor: str, *, block_ms: int) -> tuple[str, list[Alarm]]:
        """Alarms as they changed after `cursor`, and the cursor behind them."""
        return self._changes(self.keys.alarm_events(), b"alarm", _decode_alarm, cursor, block_ms)

    def transitions(self, *, after: str = "-", count: int = 1000) -> list[tuple[str, Transition]]:
        """The alarm log from an entry id on, oldest first: (entry id, transition)."""
        low = after if after == "-" else f"({after}"
        found = self.link.run(lambda client: client.xrange(self.keys.alarm_log(), min=low, count=count))
        read = [(one.decode(), self._read(_decode_transition, f[b"transition"], "transition")) for one, f in found]
        return [(entry_id, transition) for entry_id, transition in read if transition is not None]

    def newest_transitions(self, alarms: Set[str]) -> list[Transition]:
        """What happened to these alarms, newest first, among the newest transitions of all."""
        found = self.link.run(lambda client: client.xrevrange(self.keys.alarm_log(), count=_LOOKED_AT))
        values = _holding((fields[b"transition"] for _, fields in found), alarms)
        read = [self._read(_decode_transition, value, "transition") for value in values]
        return [one for one in read if one is not None and one.alarm in alarms]

    # --- incidents --------------------------------------------------------------------------

    def incidents(self) -> list[Incident]:
        """Every incident that there was, the newest first."""
        values = self.link.run(lambda client: client.hvals(self.keys.incidents()))
        read = [self._read(_decode_incident, value, "incident") for value in values]
        return sorted((one for one in read if one is not None), key=lambda one: (-one.opened_ms, one.id))

    def incident(self, incident_id: str) -> Incident | None:
        """One incident as the store has it now."""
        value = self.link.run(lambda client: client.hget(self.keys.incidents(), incident_id))
        return None if value is None else self._read(_decode_incident, value, "incident")

    def incident_tip(self) -> str:
        return self._tip(self.keys.incident_events())

    def read_incidents(self, cursor: str, *, block_ms: int) -> tuple[str, list[Incident]]:
        """Incidents as they changed after `cursor`, and the cursor behind them."""
        return self._changes(self.keys.incident_events(), b"incident", _decode_incident, cursor, block_ms)

    def newest_entries(self, incidents: Set[str]) -> list[IncidentEntry]:
        """The timelines of these incidents, newest line first, among the newest lines of all."""
        found = self.link.run(lambda client: client.xrevrange(self.keys.incident_log(), count=_LOOKED_AT))
        values = _holding((fields[b"entry"] for _, fields in found), incidents)
        read = [self._read(_decode_entry, value, "incident's entry") for value in values]
        return [one for one in read if one is not None and one.incident in incidents]

    def _tip(self, stream: str) -> str:
        found = self.link.run(lambda client: client.xrevrange(stream, count=1))
        return found[0][0].decode() if found else "0-0"

    def _changes(
        self, stream: str, field: bytes, decode: Callable[[bytes], T], cursor: str, block_ms: int
    ) -> tuple[str, list[T]]:
        changed: list[T] = []
        for _, found in self.streams.read({stream: cursor}, block_ms=max(1, block_ms), count=1000):
            for entry_id, fields in found:
                cursor = entry_id.decode()
                if (read := self._read(decode, fields.get(field, b""), field.decode())) is not None:
                    changed.append(read)
        return cursor, changed

    # --- the watching process ---------------------------------------------------------------

    def own_alarms(self, owner: str) -> tuple[dict[int, str], dict[str, bytes]]:
        """Become the one process that watches; gives its cursors by partition, and what it remembered."""

        def fill(pipe: Any) -> None:
            pipe.hset(self.keys.checkpoint(WATCHER), "owner", owner)
            pipe.hgetall(self.keys.checkpoint(WATCHER))
            pipe.hgetall(self.keys.memory(WATCHER))

        _, fields, memory = self.link.together(fill, transaction=True)
        cursors = {
            int(name.decode().partition(":")[2]): value.decode()
            for name, value in fields.items()
            if name.startswith(b"cursor:")
        }
        return cursors, {name.decode(): value for name, value in memory.items()}


def _holding(values: Iterable[bytes], wanted: Set[str]) -> Iterable[bytes]:
    """Of encoded values those that may speak of what is wanted: to look for its bytes is cheaper than to decode."""
    if len(wanted) > _SOUGHT_MAX:
        return values
    sought = [_encode(one) for one in wanted]  # as it stands there: quoted and escaped
    return (value for value in values if any(one in value for one in sought))


def _json(value: Alarm | Incident | None) -> str:
    if value is None:
        return ""
    # As it would be read back: a whole number that is a float must not look like another one.
    decode: Callable[[bytes], Any] = _decode_alarm if isinstance(value, Alarm) else _decode_incident
    return _encode(decode(_encode(value))).decode()

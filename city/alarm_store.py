"""The alarms in the store: written with their transitions and their writer's memory, in one go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct, msgpack
from msgspec import json as msgspec_json

from city.alarms import Alarm, Transition
from city.keys import Keys
from city.link import Call, Link
from city.streams import Streams

_COMMIT = (Path(__file__).parent / "alarm_commit.lua").read_bytes()

T = TypeVar("T")

_encode = msgspec_json.Encoder().encode
_decode_alarm = msgspec_json.Decoder(Alarm).decode
_decode_transition = msgspec_json.Decoder(Transition).decode
_pack = msgpack.Encoder().encode
WATCHER = "alarms"
# Of the alarm log, for the history of one alarm.
_LOOKED_AT = 20_000


class Changed(Struct, frozen=True):
    """An alarm as its writer knew it and as it is to be; None: not there."""

    before: Alarm | None
    after: Alarm | None

    @property
    def id(self) -> str:
        alarm = self.after or self.before
        assert alarm is not None
        return alarm.id


class Remembered(Struct, frozen=True, kw_only=True):
    """What the watching process wants to have again when it is started anew, as far as it changed."""

    owner: str
    cursors: Mapping[int, str]
    fields: Mapping[str, bytes]
    forgotten: Sequence[str] = ()


class AlarmStore:
    """The part of the store that holds alarms."""

    keys: Keys
    link: Link
    streams: Streams

    def _read(self, decode: Callable[[bytes], T], value: bytes, what: str) -> T | None:
        raise NotImplementedError

    def commit_alarms(
        self,
        changes: Sequence[Changed],
        transitions: Sequence[Transition],
        *,
        keep_s: float,
        remembered: Remembered | None = None,
    ) -> list[int]:
        """Write changes, or nothing: then the positions of those whose alarm is another one by now.

        Sent again after StoreDown it is written once. Raises StoreFenced where another process has become the owner.
        """
        keys = self.keys
        cursors: list[Any] = []
        fields: list[Any] = []
        if remembered is not None:
            cursors = [word for p, cursor in remembered.cursors.items() for word in (f"cursor:{p}", cursor)]
            fields = [word for name, value in remembered.fields.items() for word in (name, value)]
        header = (
            [(one.id, _json(one.before), _json(one.after)) for one in changes],
            [_json(one) for one in transitions],
            cursors,
            [word if isinstance(word, str) else word.decode() for word in fields],
            list(remembered.forgotten) if remembered else [],
        )
        names = [keys.alarms(), keys.alarm_events(), keys.alarm_log(), keys.checkpoint(WATCHER), keys.memory(WATCHER)]
        arguments = [remembered.owner if remembered else "", int(keep_s * 1000), _pack(header)]
        (answer,) = self.link.send([Call(_COMMIT, names, arguments)]).answers()
        if isinstance(answer, Exception):
            raise answer
        return [position - 1 for position in answer]

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
        found = self.link.run(lambda client: client.xrevrange(self.keys.alarm_events(), count=1))
        return found[0][0].decode() if found else "0-0"

    def read_alarms(self, cursor: str, *, block_ms: int) -> tuple[str, list[Alarm]]:
        """Alarms as they changed after `cursor`, and the cursor behind them."""
        name = self.keys.alarm_events()
        alarms: list[Alarm] = []
        for _, found in self.streams.read({name: cursor}, block_ms=max(1, block_ms), count=1000):
            for entry_id, fields in found:
                cursor = entry_id.decode()
                if (alarm := self._read(_decode_alarm, fields.get(b"alarm", b""), "alarm")) is not None:
                    alarms.append(alarm)
        return cursor, alarms

    def transitions(self, *, after: str = "-", count: int = 1000) -> list[tuple[str, Transition]]:
        """The alarm log from an entry id on, oldest first: (entry id, transition)."""
        low = after if after == "-" else f"({after}"
        found = self.link.run(lambda client: client.xrange(self.keys.alarm_log(), min=low, count=count))
        read = [(one.decode(), self._read(_decode_transition, f[b"transition"], "transition")) for one, f in found]
        return [(entry_id, transition) for entry_id, transition in read if transition is not None]

    def newest_transitions(self, alarms: Set[str]) -> list[Transition]:
        """What happened to these alarms, newest first, among the newest transitions of all."""
        found = self.link.run(lambda client: client.xrevrange(self.keys.alarm_log(), count=_LOOKED_AT))
        read = [self._read(_decode_transition, fields[b"transition"], "transition") for _, fields in found]
        return [one for one in read if one is not None and one.alarm in alarms]

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


def _json(value: Alarm | Transition | None) -> str:
    if value is None:
        return ""
    # As it would be read back: a whole number that is a float must not look like another alarm.
    return _encode(_decode_alarm(_encode(value)) if isinstance(value, Alarm) else value).decode()

"""The alarms in the store: written with their transitions and their writer's memory, in one go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, msgpack
from msgspec import json as msgspec_json

from city.alarms import Alarm, Transition
from city.keys import Keys
from city.link import Call, Link

_COMMIT = (Path(__file__).parent / "alarm_commit.lua").read_bytes()

_encode = msgspec_json.Encoder().encode
_pack = msgpack.Encoder().encode
WATCHER = "alarms"


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
    return "" if value is None else _encode(value).decode()

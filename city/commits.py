"""A batch as the scripts take it: what `commit.lua` and `reject.lua` are called with. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

from msgspec import Struct, msgpack
from msgspec import json as msgspec_json

from city.events import Event, Facet, PassengerCount, VehiclePosition
from city.keys import Keys
from city.link import Call
from city.messages import Reading, Reject

_COMMIT = (Path(__file__).parent / "commit.lua").read_bytes()
_REJECT = (Path(__file__).parent / "reject.lua").read_bytes()

_encode = msgspec_json.Encoder().encode
_pack = msgpack.Encoder().encode
# Entities whose CRC-32 is kept; beyond it they are computed anew.
_CRCS_MAX = 400_000


class Keep(Struct, frozen=True, kw_only=True):
    """How long the streams go back."""

    events_s: float
    rejects_max_bytes: int
    hold_s: float = 3600  # events that are not archived yet stay so long at most


KEEP = Keep(events_s=900, rejects_max_bytes=64 << 20)


class Part(Struct):
    """What one script writes of a batch: a partition's readings, or the rejects."""

    partition: int | None  # None: rejects
    readings: list[Reading]
    rejects: list[Reject]
    # What tells each one's message again: CRC-32 of the payload, and of the entity or the topic.
    digests: list[int]

    def __len__(self) -> int:
        return len(self.readings) + len(self.rejects)

    def items(self) -> Iterator[tuple[Reading | Reject, int]]:
        """Each reading or reject with its digest."""
        return zip(self.readings or self.rejects, self.digests, strict=True)

    def pieces(self, most: int) -> list[Part]:
        """Itself in pieces of `most` readings or rejects."""
        if len(self) <= most:
            return [self]
        cuts = [slice(start, start + most) for start in range(0, len(self), most)]
        return [Part(self.partition, self.readings[cut], self.rejects[cut], self.digests[cut]) for cut in cuts]

    def halves(self) -> list[Part]:
        """Itself in two, where it holds two at least."""
        return self.pieces((len(self) + 1) // 2)


class Commits:
    """Makes parts of batches and the calls that write them."""

    def __init__(self, keys: Keys, keep: Keep) -> None:
        self._keys = keys
        self._keep = keep
        self._crcs: dict[str, int] = {}

    def parts(self, readings: Sequence[Reading], rejects: list[Reject]) -> list[Part]:
        """The batch by what one script writes, in the order given."""
        partitions, crcs = self._keys.partitions, self._crcs
        parts: dict[int, Part] = {}
        for reading in readings:
            event = reading.event
            # An attribute is five times cheaper than the property that gives it.
            entity = event.vehicle_id if type(event) is VehiclePosition else event.entity
            crc = crcs.get(entity)
            if crc is None:
                crc = self.crc(entity)
            part = parts.get(crc % partitions)
            if part is None:
                part = parts[crc % partitions] = Part(crc % partitions, [], [], [])
            part.readings.append(reading)
            part.digests.append(crc32(reading.message.payload) << 32 | crc)
        found = list(parts.values())
        if rejects:
            found.append(Part(None, [], rejects, [reject_digest(reject) for reject in rejects]))
        return found

    def crc(self, entity: str) -> int:
        """CRC-32 of an entity's id."""
        found = self._crcs.get(entity)
        if found is None:
            if len(self._crcs) >= _CRCS_MAX:
                self._crcs.clear()
            found = self._crcs[entity] = crc32(entity.encode("utf-8", "surrogatepass"))
        return found

    def call(self, worker: str, number: int, part: Part, now_ms: int) -> Call:
        """The script's run that writes `part` under a batch number."""
        packed = struct.pack(f"<{len(part.digests)}Q", *part.digests)
        if part.partition is None:
            return self.reject_call(worker, number, part.rejects, packed, counted=True)
        keys, partition = self._keys, part.partition
        names = list(keys.of_commit(partition))
        header: list[list[Any]] = []
        blobs: list[bytes] = []
        for facet, readings in _by_facet(part.readings).items():
            group, blob = _group(facet, readings)
            names += keys.of_facet(partition, facet)
            header.append(group)
            blobs.append(blob)
        keep_ms, hold_ms = int(self._keep.events_s * 1000), int(self._keep.hold_s * 1000)
        return Call(_COMMIT, names, [worker, number, now_ms, keep_ms, packed, _pack(header), hold_ms, *blobs])

    def order(self, part: Part) -> list[Reading]:
        """The readings in the order in which the script counts them."""
        return [reading for readings in _by_facet(part.readings).values() for reading in readings]

    def reject_call(
        self, worker: str, number: int, rejects: Sequence[Reject], digests: bytes, *, counted: bool
    ) -> Call:
        """The run that writes rejects; `counted=False` for those that another script has counted."""
        keys = self._keys
        names = [keys.batches(None), keys.counts(None), keys.rejects(), keys.digests(None), keys.rejects_size()]
        arguments: list[Any] = [worker, number, self._keep.rejects_max_bytes, int(counted), digests]
        for reject in rejects:
            message = reject.message
            topic = message.topic.encode("utf-8", "surrogatepass")
            arguments += [reject.feed, reject.reason.value, reject.detail, topic, message.payload, message.received_ms]
        return Call(_REJECT, names, arguments)


def reject_digest(reject: Reject) -> int:
    message = reject.message
    return crc32(message.payload) << 32 | crc32(message.topic.encode("utf-8", "surrogatepass"))


def _by_facet(readings: Sequence[Reading]) -> dict[Facet, list[Reading]]:
    # By type first: an enumeration's hash is a call into Python.
    kinds: dict[type[Event], list[Reading]] = {}
    for reading in readings:
        kind = type(reading.event)
        group = kinds.get(kind)
        if group is None:
            group = kinds[kind] = []
        group.append(reading)
    return {kind.facet: group for kind, group in kinds.items()}


def _group(facet: Facet, readings: list[Reading]) -> tuple[list[Any], bytes]:
    """A group of the header, as `commit.lua` describes it, and its events as a JSON array."""
    events: list[Event] = [reading.event for reading in readings]
    jsons = [_encode(event) for event in events]
    keys, slots, marks = _names(events)
    feeds = [f"~{reading.feed}" if reading.message.retained else reading.feed for reading in readings]
    one_feed = feeds.count(feeds[0]) == len(feeds)
    group = [
        facet.value,
        feeds[0] if one_feed else feeds,
        keys,
        [str(event.measured_ms) for event in events],
        [len(json) for json in jsons],
        slots,
        marks,
        [_counts(event) for event in events] if facet is Facet.PASSENGERS else False,
    ]
    return group, b"[" + b",".join(jsons) + b"]"


def _names(events: list[Event]) -> tuple[list[str], list[str] | Literal[False], list[str] | Literal[False]]:
    """Keys, slots and marks of events of one type; False for slots that are the keys, and for marks that are empty."""
    kind = type(events[0])
    keys = [event.vehicle_id if type(event) is VehiclePosition else event.key for event in events]
    slots: list[str] | Literal[False] = False
    if kind.slot is not Event.slot:
        slots = [event.slot for event in events] if any(getattr(event, "kind", "") for event in events) else False
    marks: list[str] | Literal[False] = False
    if kind.mark is not Event.mark:
        marks = [event.mark for event in events]
    return keys, slots, marks


def _counts(event: Event) -> list[int | bool]:
    """[passengers more, False], or [False, passengers on board]."""
    if not isinstance(event, PassengerCount):
        return [False, False]
    if event.onboard is not None:
        return [False, event.onboard]
    return [(event.boarded or 0) - (event.alighted or 0), False]

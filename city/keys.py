"""Every Redis name: what it holds, its type, how long it lives, who writes and who reads.

The part in braces is the cluster hash tag: all state of one entity is in its partition's
slot, all state of the city as a whole in the city's slot. `docs/contracts.md` lists the
same names; a test compares the two.
"""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

from city.events import Facet


class Name(NamedTuple):
    """One family of Redis keys, for documentation and tests."""

    pattern: str
    type: str
    lives: str
    writer: str
    reader: str
    holds: str


NAMES: tuple[Name, ...] = (
    Name(
        "markaz:{<city>:<p>}:latest:<facet>",
        "hash",
        "for ever",
        "ingest",
        "dashboard, alarms, history",
        "newest event of each entity, JSON",
    ),
    Name(
        "markaz:{<city>:<p>}:measured:<facet>",
        "hash",
        "for ever",
        "ingest",
        "ingest",
        "time of measuring that newest-wins compares, epoch ms, and marks after a colon",
    ),
    Name(
        "markaz:{<city>:<p>}:events",
        "stream",
        "store.events_keep_s, until archived",
        "ingest",
        "dashboard, alarms, history",
        "one entry a batch; a field a facet with a JSON array of events, `<facet>:late` for those out of order",
    ),
    Name(
        "markaz:{<city>:<p>}:archived",
        "string",
        "for ever",
        "history",
        "ingest",
        "id of the last entry of `events` that the archive has: none behind it is deleted, but for `history.hold_s`",
    ),
    Name(
        "markaz:{<city>:<p>}:counts",
        "hash",
        "for ever",
        "ingest",
        "dashboard, alarms",
        "`<feed>:stored`, `<feed>:late`, `<feed>:rejected:<reason>`, `<feed>:received`, `<feed>:last_ms`",
    ),
    Name(
        "markaz:{<city>:<p>}:batches",
        "hash",
        "for ever",
        "ingest",
        "ingest",
        "last batch number of each worker and the last 256 one by one, so that a batch sent twice counts once; "
        "`<worker>:fence` below which it may not write",
    ),
    Name(
        "markaz:{<city>:<p>}:digests",
        "hash",
        "the last 256 batches of each worker",
        "ingest",
        "ingest",
        "which messages were stored, 8 bytes each, to know again what the broker sends again",
    ),
    Name(
        "markaz:{<city>:<p>}:onboard",
        "hash",
        "for ever",
        "ingest",
        "ingest",
        "passengers on board, summed up; a colon; when the vehicle last said a number of its own",
    ),
    Name(
        "markaz:{<city>}:counts",
        "hash",
        "for ever",
        "ingest",
        "dashboard, alarms",
        "the same counters for messages that belong to no partition",
    ),
    Name(
        "markaz:{<city>}:batches",
        "hash",
        "for ever",
        "ingest",
        "ingest",
        "the same for rejects",
    ),
    Name(
        "markaz:{<city>}:digests",
        "hash",
        "the last 256 batches of each worker",
        "ingest",
        "ingest",
        "the same for rejects",
    ),
    Name(
        "markaz:{<city>}:rejects_size",
        "string",
        "for ever",
        "ingest",
        "alarms, dashboard",
        "bytes of all that is in the reject stream",
    ),
    Name(
        "markaz:{<city>}:rejects",
        "stream",
        "store.rejects_max_bytes",
        "ingest",
        "dashboard",
        "feed, reason, detail, topic, payload (the original bytes), received_ms, bytes",
    ),
    Name(
        "markaz:{<city>}:alarms",
        "hash",
        "for ever (open), store.alarms_keep_s (cleared)",
        "alarms",
        "dashboard",
        "alarm id → JSON",
    ),
    Name(
        "markaz:{<city>}:alarm_events",
        "stream",
        "store.alarms_keep_s",
        "alarms",
        "dashboard, history",
        "one entry a change: `alarm` JSON",
    ),
    Name(
        "markaz:{<city>}:alarm_log",
        "stream",
        "for ever",
        "alarms, dashboard",
        "dashboard, history",
        "one entry a transition of an alarm: `transition` JSON",
    ),
    Name(
        "markaz:{<city>}:incidents",
        "hash",
        "for ever",
        "alarms, dashboard",
        "dashboard, alarms",
        "incidents by id, JSON",
    ),
    Name(
        "markaz:{<city>}:incident_events",
        "stream",
        "store.alarms_keep_s",
        "alarms, dashboard",
        "dashboard, alarms",
        "one entry a change: `incident` JSON as it is after it",
    ),
    Name(
        "markaz:{<city>}:incident_log",
        "stream",
        "for ever",
        "alarms, dashboard",
        "dashboard",
        "one entry a line of an incident's timeline: `entry` JSON",
    ),
    Name(
        "markaz:{<city>}:shift",
        "string",
        "for ever",
        "dashboard",
        "dashboard",
        "the present shift, with a hand-over that only one has signed, JSON",
    ),
    Name(
        "markaz:{<city>}:shift_log",
        "stream",
        "for ever",
        "dashboard",
        "dashboard",
        "one entry a line that an operator wrote: `line` JSON",
    ),
    Name(
        "markaz:{<city>}:shifts",
        "stream",
        "for ever",
        "dashboard",
        "dashboard",
        "one entry a hand-over that both have signed, entry id = its number: `handover` JSON",
    ),
    Name(
        "markaz:{<city>}:systemic",
        "hash",
        "for ever",
        "dashboard",
        "dashboard",
        "systemic problems that somebody has looked at, by id, JSON",
    ),
    Name(
        "markaz:{<city>}:systemic_log",
        "stream",
        "for ever",
        "dashboard",
        "dashboard",
        "one entry a line of a systemic problem's history: `problem` its id, `entry` JSON",
    ),
    Name(
        "markaz:{<city>}:outbox:<receiver>",
        "stream",
        "until the receiver has it",
        "alarms",
        "alarms",
        "what a receiver is to be told, oldest first: `notice` JSON",
    ),
    Name(
        "markaz:{<city>}:outbox_refused",
        "stream",
        "1,000 entries",
        "alarms",
        "a person",
        "what a receiver called wrong: `receiver`, `reason`, `notice` JSON",
    ),
    Name(
        "markaz:{<city>}:checkpoint:<worker>",
        "hash",
        "for ever",
        "alarms, history",
        "alarms, history",
        "`cursor:<p>` stream ids read so far, `state` the worker's own JSON, `owner` the one process that may write",
    ),
    Name(
        "markaz:{<city>}:memory:<worker>",
        "hash",
        "for ever",
        "alarms",
        "alarms",
        "what it remembers: `<rule>:<key>` → a detector's JSON; `nuisance:…` what chatters or floods, "
        "`escalation:<alarm>` who waits for whom, `notices:cursor` how far the log was told",
    ),
    Name(
        "markaz:{<city>}:held:<worker>",
        "string",
        "a minute after its holder's last word",
        "rejects",
        "rejects",
        "who works under a name that only one may have",
    ),
    Name(
        "markaz:{<city>}:partitions",
        "string",
        "for ever",
        "ingest",
        "ingest",
        "`store.partitions` of who wrote here first",
    ),
    Name(
        "markaz:{<city>}:workers",
        "hash",
        "until the worker leaves",
        "ingest",
        "dashboard",
        "worker → JSON of its figures, written every second or two",
    ),
    Name(
        "markaz:{<city>}:archive",
        "string",
        "for ever",
        "history",
        "dashboard, alarms",
        "how the archive stands: JSON of its figures, written every few seconds",
    ),
    Name(
        "markaz:{<city>}:archive_known",
        "string",
        "for ever",
        "history",
        "history",
        "which archive the streams were archived to last, and its commit, JSON: another one is not begun unasked",
    ),
    Name(
        "markaz:{<city>}:samples:<series>",
        "stream",
        "store.samples_keep_s",
        "history",
        "dashboard",
        "entry id = sample time in epoch ms; `sample` JSON (series: kpis, areas, vehicles)",
    ),
)


def partition_of(entity: str, partitions: int) -> int:
    """The partition of an entity: CRC-32 of its id, so that any language finds it."""
    return crc32(entity.encode("utf-8", "surrogatepass")) % partitions


class Keys:
    """The names of one city."""

    def __init__(self, city: str, partitions: int) -> None:
        self.city = city
        self.partitions = partitions
        self._city = f"markaz:{{{city}}}:"
        self._partition = [f"markaz:{{{city}:{p}}}:" for p in range(partitions)]
        # What every batch asks for, made once.
        self._of_commit: dict[int, tuple[str, ...]] = {}
        self._of_facet: dict[tuple[int, str], tuple[str, str]] = {}

    def latest(self, partition: int, facet: Facet | str) -> str:
        return f"{self._partition[partition]}latest:{facet}"

    def measured(self, partition: int, facet: Facet | str) -> str:
        return f"{self._partition[partition]}measured:{facet}"

    def events(self, partition: int) -> str:
        return f"{self._partition[partition]}events"

    def archived(self, partition: int) -> str:
        return f"{self._partition[partition]}archived"

    def archive(self) -> str:
        return f"{self._city}archive"

    def archive_known(self) -> str:
        return f"{self._city}archive_known"

    def counts(self, partition: int | None) -> str:
        return f"{self._prefix(partition)}counts"

    def batches(self, partition: int | None) -> str:
        return f"{self._prefix(partition)}batches"

    def digests(self, partition: int | None) -> str:
        return f"{self._prefix(partition)}digests"

    def onboard(self, partition: int) -> str:
        return f"{self._partition[partition]}onboard"

    def of_commit(self, partition: int) -> tuple[str, ...]:
        """What `commit.lua` is given of a partition, in its order."""
        names = self._of_commit.get(partition)
        if names is None:
            own = (self.batches, self.counts, self.events, self.digests, self.onboard, self.archived)
            names = self._of_commit[partition] = tuple(name(partition) for name in own)
        return names

    def of_facet(self, partition: int, facet: Facet) -> tuple[str, str]:
        """And of a group: its newest events and their times."""
        # By its text: an enumeration's hash is a call into Python.
        found = self._of_facet.get((partition, facet.value))
        if found is None:
            found = self.latest(partition, facet), self.measured(partition, facet)
            self._of_facet[partition, facet.value] = found
        return found

    def agreed_partitions(self) -> str:
        return f"{self._city}partitions"

    def rejects_size(self) -> str:
        return f"{self._city}rejects_size"

    def rejects(self) -> str:
        return f"{self._city}rejects"

    def alarms(self) -> str:
        return f"{self._city}alarms"

    def alarm_events(self) -> str:
        return f"{self._city}alarm_events"

    def alarm_log(self) -> str:
        return f"{self._city}alarm_log"

    def incidents(self) -> str:
        return f"{self._city}incidents"

    def incident_events(self) -> str:
        return f"{self._city}incident_events"

    def incident_log(self) -> str:
        return f"{self._city}incident_log"

    def shift(self) -> str:
        return f"{self._city}shift"

    def shift_log(self) -> str:
        return f"{self._city}shift_log"

    def shifts(self) -> str:
        return f"{self._city}shifts"

    def systemic(self) -> str:
        return f"{self._city}systemic"

    def systemic_log(self) -> str:
        return f"{self._city}systemic_log"

    def outbox(self, receiver: str) -> str:
        return f"{self._city}outbox:{receiver}"

    def outbox_refused(self) -> str:
        return f"{self._city}outbox_refused"

    def memory(self, worker: str) -> str:
        return f"{self._city}memory:{worker}"

    def checkpoint(self, worker: str) -> str:
        return f"{self._city}checkpoint:{worker}"

    def held(self, worker: str) -> str:
        return f"{self._city}held:{worker}"

    def workers(self) -> str:
        return f"{self._city}workers"

    def samples(self, series: str) -> str:
        return f"{self._city}samples:{series}"

    def _prefix(self, partition: int | None) -> str:
        return self._city if partition is None else self._partition[partition]

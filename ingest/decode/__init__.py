"""The formats that Markaz understands, one module each, and which topics they take.

A format is registered in `FORMATS`; its topic filters stand in `config.yaml` under
`ingest.topics`, by the same name. Feeds that `ingest.mappings` declares are formats of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from msgspec import structs

from city.mappings import FeedMapping
from city.messages import Reading, Received, Reject, RejectReason
from ingest.decode import cap, frigate, gtfs_rt, hfp, mapping, native, owntracks, traccar, waltti_apc
from ingest.decode.outcome import UNKNOWN_FEED, Format, Outcome, Read, Undecodable, pass_over, refusing, rejected

# Enough to see what it is; the reject stream must not become the way to fill the store.
_TOO_LARGE_KEPT_BYTES = 4096
# Ten times the topics of a city; beyond it what is known of topics is looked up anew.
_TOPICS_MAX = 200_000

FORMATS: Mapping[str, Format] = {
    "native": native.FORMAT,
    "hfp": hfp.FORMAT,
    "gtfs_rt": gtfs_rt.FORMAT,
    "waltti_apc": waltti_apc.FORMAT,
    "frigate": frigate.FORMAT,
    "traccar": traccar.FORMAT,
    "owntracks": owntracks.FORMAT,
    "cap": cap.FORMAT,
}


class _Route(NamedTuple):
    levels: tuple[str, ...]
    format: Format


class Decoders:
    """The configured formats, and the one limit that holds for all of them."""

    def __init__(
        self,
        topics: Mapping[str, Sequence[str]],
        *,
        payload_max_bytes: int,
        mappings: Mapping[str, FeedMapping] = MappingProxyType({}),
    ) -> None:
        """`topics`: format's or mapping's name → MQTT topic filters (`$share/<group>/` before them is understood).

        Where filters overlap, a mapping has the topic before a format: it was declared on purpose.
        """
        formats = {name: mapping.format_of(name, one) for name, one in mappings.items()} | dict(FORMATS)
        self._routes = [
            _Route(_filter_levels(topic_filter), form)
            for name, form in formats.items()
            for topic_filter in topics.get(name, ())
        ]
        self._payload_max_bytes = payload_max_bytes
        # The most that any of them reads.
        self.payload_max_bytes = max(
            [route.format.payload_max_bytes or payload_max_bytes for route in self._routes], default=payload_max_bytes
        )
        self._bound: dict[str, Read] = {}

    def decode(self, message: Received) -> tuple[Outcome, ...]:
        """What a message says: its readings and rejects, none only of our own topics; never raises."""
        return self._reader(message)(message)

    def decode_all(self, messages: Iterable[Received], readings: list[Reading], rejects: list[Reject]) -> None:
        """What messages say, put to the readings and rejects."""
        # One loop and no calls that can be spared: every message comes through here.
        bound, limit = self._bound, self._payload_max_bytes
        for message in messages:
            read = bound.get(message.topic)
            if read is None or len(message.payload) > limit:
                read = self._reader(message)
            for outcome in read(message):
                if isinstance(outcome, Reading):
                    readings.append(outcome)
                else:
                    rejects.append(outcome)

    def _reader(self, message: Received) -> Read:
        """The reader for a topic that is new, or a payload that may be too large."""
        topic = message.topic
        levels = topic.split("/")
        for route in self._routes:
            if _matches(route.levels, levels):
                form = route.format
                read = self._bound.get(topic)
                if read is None:
                    read = form.bind(topic)
                    if form.topics_repeat:
                        self._keep(topic, read)
                limit = form.payload_max_bytes or self._payload_max_bytes
                if len(message.payload) > limit and read is not pass_over:
                    return _refuse_size(read, limit)
                return read
        problem = Undecodable(RejectReason.UNKNOWN_TOPIC, "no configured format takes this topic")
        return refusing(UNKNOWN_FEED, problem)

    def _keep(self, topic: str, read: Read) -> None:
        if len(self._bound) >= _TOPICS_MAX:
            self._bound.clear()
        self._bound[topic] = read


def _refuse_size(read: Read, payload_max_bytes: int) -> Read:
    return lambda message: (_too_large(read, message, payload_max_bytes),)


def _too_large(read: Read, message: Received, payload_max_bytes: int) -> Outcome:
    """A reject with the beginning of the payload."""
    kept = structs.replace(message, payload=message.payload[:_TOO_LARGE_KEPT_BYTES])
    # An empty payload is refused by every format, under the feed that the topic belongs to.
    feed = read(Received(message.topic, b"", message.received_ms))[0].feed
    detail = (
        f"{len(message.payload)} bytes, {payload_max_bytes} are allowed; the first {len(kept.payload)} bytes are kept"
    )
    return rejected(feed, Undecodable(RejectReason.TOO_LARGE, detail), kept)


def _filter_levels(topic_filter: str) -> tuple[str, ...]:
    levels = topic_filter.split("/")
    return tuple(levels[2:] if levels[0] == "$share" else levels)


def _matches(wanted: tuple[str, ...], levels: list[str]) -> bool:
    for at, level in enumerate(wanted):
        if level == "#":
            return True
        if at >= len(levels) or (level != "+" and level != levels[at]):
            return False
    return len(levels) == len(wanted)

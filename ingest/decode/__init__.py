"""The formats that Markaz understands, one module each, and which topics they take.

A format is registered in `FORMATS`; its topic filters stand in `config.yaml` under
`ingest.topics`, by the same name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from city.models import Received, RejectReason
from ingest.decode import hfp, native
from ingest.decode.outcome import UNKNOWN_FEED, Format, Outcome, Read, Undecodable, refusing, rejected

# Enough to see what it is; the reject stream must not become the way to fill the store.
_TOO_LARGE_KEPT_BYTES = 4096
# Ten times the topics of a city; beyond it what is known of topics is looked up anew.
_TOPICS_MAX = 200_000

FORMATS: Mapping[str, Format] = {
    "native": native.FORMAT,
    "hfp": hfp.FORMAT,
}


class _Route(NamedTuple):
    levels: tuple[str, ...]
    format: Format


class Decoders:
    """The configured formats, and the one limit that holds for all of them."""

    def __init__(self, topics: Mapping[str, Sequence[str]], *, payload_max_bytes: int) -> None:
        """`topics`: format name → MQTT topic filters (`$share/<group>/` before them is understood)."""
        self._routes = [
            _Route(_filter_levels(topic_filter), FORMATS[name])
            for name in FORMATS
            for topic_filter in topics.get(name, ())
        ]
        self._payload_max_bytes = payload_max_bytes
        self._bound: dict[str, Read] = {}

    def decode(self, message: Received) -> tuple[Outcome, ...]:
        """What a message says: its readings and rejects, one at least; never raises."""
        read = self._bound.get(message.topic)
        if read is None:
            read = self._bind(message.topic)
        return read(message)

    def _bind(self, topic: str) -> Read:
        levels = topic.split("/")
        for route in self._routes:
            if _matches(route.levels, levels):
                limit = route.format.payload_max_bytes or self._payload_max_bytes
                read = _limited(route.format.bind(topic), limit)
                if route.format.topics_repeat:
                    self._keep(topic, read)
                return read
        problem = Undecodable(RejectReason.UNKNOWN_TOPIC, "no configured format takes this topic")
        return refusing(UNKNOWN_FEED, problem)

    def _keep(self, topic: str, read: Read) -> None:
        if len(self._bound) >= _TOPICS_MAX:
            self._bound.clear()
        self._bound[topic] = read


def _limited(read: Read, payload_max_bytes: int) -> Read:
    """The same reader, which looks at no payload above the limit."""

    def read_message(message: Received) -> tuple[Outcome, ...]:
        if len(message.payload) > payload_max_bytes:
            return (_too_large(read, message, payload_max_bytes),)
        return read(message)

    return read_message


def _too_large(read: Read, message: Received, payload_max_bytes: int) -> Outcome:
    """A reject with the beginning of the payload."""
    kept = Received(message.topic, message.payload[:_TOO_LARGE_KEPT_BYTES], message.received_ms, message.retained)
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

"""The formats that Markaz understands, one module each, and which topics they take.

A format is registered in `FORMATS`; its topic filter stands in `config.yaml` under
`ingest.topics`, by the same name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from city.models import Received, RejectReason
from ingest.decode import hfp, native
from ingest.decode.outcome import UNKNOWN_FEED, Decoded, Undecodable, rejected

Decode = Callable[[Received], Decoded]

# Enough to see what it is; the reject stream must not become the way to fill the store.
_TOO_LARGE_KEPT_BYTES = 4096

FORMATS: Mapping[str, Decode] = {
    "native": native.decode,
    "hfp": hfp.decode,
}


class _Route(NamedTuple):
    levels: tuple[str, ...]
    decode: Decode


class Decoders:
    """The configured formats, and the one limit that holds for all of them."""

    def __init__(self, topics: Mapping[str, str], *, payload_max_bytes: int) -> None:
        """`topics`: format name → MQTT topic filter (`$share/<group>/` before it is understood)."""
        self._routes = [
            _Route(_filter_levels(topics[name]), decode) for name, decode in FORMATS.items() if name in topics
        ]
        self._payload_max_bytes = payload_max_bytes

    def decode(self, message: Received) -> Decoded:
        """What a message says: an event, a reject, or both; never raises."""
        levels = message.topic.split("/")
        for route in self._routes:
            if _matches(route.levels, levels):
                if len(message.payload) > self._payload_max_bytes:
                    return self._too_large(route.decode, message)
                return route.decode(message)
        problem = Undecodable(RejectReason.UNKNOWN_TOPIC, "no configured format takes this topic")
        return rejected(UNKNOWN_FEED, problem, message)

    def _too_large(self, decode: Decode, message: Received) -> Decoded:
        """A reject with the beginning of the payload."""
        kept = Received(message.topic, message.payload[:_TOO_LARGE_KEPT_BYTES], message.received_ms, message.retained)
        # An empty payload is refused by every format, under the feed that the topic belongs to.
        feed = decode(Received(message.topic, b"", message.received_ms)).feed
        detail = (
            f"{len(message.payload)} bytes, {self._payload_max_bytes} are allowed; "
            f"the first {len(kept.payload)} bytes are kept"
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

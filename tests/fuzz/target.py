"""What the fuzzer calls with bytes: every decoder, the MQTT parser, the mappings. Nothing may raise.

The first byte chooses the topic (or the parser), the rest is the payload. `tests/fuzz/corpus.txt` holds inputs
that reached new code, a line each in base64; `test_corpus.py` runs them with
every `make test`. To look for more, with atheris installed:

    python tests/fuzz/target.py FOLDER -max_total_time=600
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    import atheris

    with atheris.instrument_imports(include=["ingest", "city"]):
        import ingest.decode
        import ingest.mqtt_wire  # noqa: F401

import msgspec  # noqa: E402

from city.config import load_config  # noqa: E402
from city.messages import Reading, Received, Reject  # noqa: E402
from ingest.decode import Decoders  # noqa: E402
from ingest.mqtt_wire import Parser, ProtocolError  # noqa: E402

TOPICS = (
    "markaz/v1/tashkent/vehicle/v/position",
    "markaz/v1/tashkent/vehicle/v/passengers",
    "markaz/v1/tashkent/vehicle/v/fuel",
    "markaz/v1/tashkent/camera/c/event",
    "markaz/v1/tashkent/camera/c/status",
    "markaz/v1/tashkent/sensor/s/reading",
    "markaz/v1/tashkent/case/s/c",
    "/hfp/v2/journey/ongoing/vp/bus/0012/01913",
    "/hfp/v2/deadrun/upcoming/tlr/bus/0012/01913",
    "/hfp/v2/journey/ongoing/apc-partial/bus/0012/01913",
    "gtfs-rt/city",
    "apc-from-vehicle/v1/fi/waltti/vendor/system",
    "frigate/events",
    "frigate/reviews",
    "frigate/available",
    "traccar/positions",
    "traccar/events",
    "owntracks/jane/phone",
    "cap/met",
    "acme/v/gps",
)
_ACME = {
    "acme": {
        "topics": ["acme/+/gps"],
        "kind": "vehicle/position",
        "id": 1,
        "fields": {
            "ts": {"path": "t"},
            "lat": {"path": "p[0]"},
            "lon": {"path": "p[1]"},
            "speed_mps": {"path": "v.kmh", "unit": "km/h"},
        },
    }
}
_config = load_config(ROOT / "config.yaml", {"MARKAZ_INGEST__MAPPINGS": msgspec.json.encode(_ACME).decode()})
_decoders = Decoders(
    {name: [one.format(city="tashkent") for one in filters] for name, filters in _config.ingest.all_topics.items()},
    payload_max_bytes=65536,
    mappings=_config.ingest.mappings,
)


def one_input(data: bytes) -> None:
    """Decode as the first byte says; AssertionError or any other exception is a find."""
    if not data:
        return
    chosen = data[0] % (len(TOPICS) + 2)
    if chosen < len(TOPICS):
        _decode(Received(TOPICS[chosen], data[1:], 1_700_000_000_000))
    else:
        _parse(data[1:], five=chosen == len(TOPICS))


def _decode(message: Received) -> None:
    outcomes = _decoders.decode(message)
    assert outcomes or "/alarm/" in message.topic, "a message without an outcome"
    counted = 0
    for outcome in outcomes:
        if isinstance(outcome, Reject):
            outcome.detail.encode()
            counted += 1
            continue
        assert isinstance(outcome, Reading)
        counted += bool(outcome.feed)
        event = outcome.event
        assert msgspec.json.decode(msgspec.json.encode(event), type=type(event)) == event
        for text in (event.key, event.slot, event.mark, event.entity):
            text.encode()
        assert abs(event.measured_ms) < 2**53, "the store compares in doubles"
    assert counted, "a message that nobody counts"


def _parse(data: bytes, *, five: bool) -> None:
    whole, cut = _messages([data], five), _messages([data[:7], data[7:40], data[40:]], five)
    assert whole == cut, "the pieces in which bytes come must not matter"


def _messages(pieces: list[bytes], five: bool) -> object:
    parser = Parser(five=five, connection=1, payload_max_bytes=1000)
    messages: list[Received] = []
    controls: list[object] = []
    try:
        for piece in pieces:
            controls += parser.feed(piece, 1, messages)
    except ProtocolError:
        # What came before the mistake may have been taken already, or not.
        return "not MQTT"
    return messages, controls


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()

"""MQTT packets by the letter of OASIS MQTT 3.1.1 and 5.0; the section numbers are of 5.0."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from city.messages import Received
from ingest import mqtt_wire
from ingest.mqtt_wire import Connack, Control, Disconnected, Parser, Pingresp, ProtocolError, Suback

AT_MS = 1_777_870_800_000
CONNECTION = 7
LIMIT = 1000  # bytes of a payload

# --- packets as a broker writes them ---------------------------------------------------------------------


def length(value: int) -> bytes:
    """A variable byte integer (1.5.5)."""
    encoded = bytearray()
    while True:
        value, low = divmod(value, 128)
        encoded.append(low | (0x80 if value else 0))
        if not value:
            return bytes(encoded)


def packet(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + length(len(body)) + body


def text(value: bytes) -> bytes:
    return struct.pack(">H", len(value)) + value


def publish(
    topic: bytes,
    payload: bytes,
    packet_id: int = 0,
    *,
    properties: bytes | None = None,
    retained: bool = False,
    again: bool = False,
) -> bytes:
    """PUBLISH (3.3); with `properties` of MQTT 5, QoS 1 with a packet id."""
    kind = 0x30 | (0x02 if packet_id else 0) | (0x01 if retained else 0) | (0x08 if again else 0)
    body = text(topic) + (struct.pack(">H", packet_id) if packet_id else b"")
    if properties is not None:
        body += length(len(properties)) + properties
    return packet(kind, body + payload)


def user_property(name: bytes, value: bytes) -> bytes:
    return b"\x26" + text(name) + text(value)


def taken(parser: Parser, pieces: Sequence[bytes], at_ms: int = AT_MS) -> tuple[list[Received], list[Control]]:
    messages: list[Received] = []
    controls: list[Control] = []
    for piece in pieces:
        controls += parser.feed(piece, at_ms, messages)
    return messages, controls


def parser_of(*, five: bool = False) -> Parser:
    return Parser(five=five, connection=CONNECTION, payload_max_bytes=LIMIT)


def read(*pieces: bytes, five: bool = False) -> tuple[list[Received], list[Control]]:
    return taken(parser_of(five=five), pieces)


# --- what a broker says ------------------------------------------------------------------------------------


def test_a_message_has_its_topic_bytes_flags_and_the_id_to_acknowledge() -> None:
    messages, controls = read(publish("метро/1".encode(), b"\x00\xff", 513, retained=True, again=True))
    assert messages == [Received("метро/1", b"\x00\xff", AT_MS, True, True, 513, CONNECTION)]
    assert controls == []


def test_a_message_of_qos_0_asks_for_no_acknowledgement() -> None:
    messages, _ = read(publish(b"a", b""))
    assert messages == [Received("a", b"", AT_MS, False, False, 0, CONNECTION)]


def test_a_topic_that_is_not_utf_8_is_still_a_message() -> None:
    ((message,), _) = read(publish(b"a/\xff", b"x", 1))
    assert message.topic == "a/\ufffd"


def test_connack_says_whether_the_session_is_there_and_what_keepalive_the_broker_wants() -> None:
    assert read(b"\x20\x02\x01\x00")[1] == [Connack(True, 0)]
    assert read(b"\x20\x02\x00\x05")[1] == [Connack(False, 5)]
    properties = b"\x21\x00\x14" + b"\x12" + text(b"given-id") + user_property(b"a", b"b") + b"\x13\x00\x0a"
    body = b"\x01\x00" + length(len(properties)) + properties
    assert read(packet(0x20, body), five=True)[1] == [Connack(True, 0, 10)]
    assert read(b"\x20\x03\x00\x84\x00", five=True)[1] == [Connack(False, 0x84)]
    # A broker of MQTT 3.1.1 refuses version 5 in its own words.
    assert read(b"\x20\x02\x00\x01", five=True)[1] == [Connack(False, 1)]


def test_suback_has_a_code_a_topic() -> None:
    assert read(b"\x90\x04\x00\x01\x01\x80")[1] == [Suback(1, (1, 0x80))]
    reason = b"\x1f" + text(b"not yours")
    body = b"\x00\x01" + length(len(reason)) + reason + b"\x01\x87"
    assert read(packet(0x90, body), five=True)[1] == [Suback(1, (1, 0x87))]


def test_pingresp_unsuback_and_disconnect() -> None:
    assert read(b"\xd0\x00", b"\xb0\x02\x00\x02")[1] == [Pingresp(), Suback(2, ())]
    assert read(b"\xe0\x00", b"\xe0\x02\x8e\x00", five=True)[1] == [
        Disconnected(0),
        Disconnected(mqtt_wire.SESSION_TAKEN_OVER),
    ]


PROPERTIES = st.none() | st.lists(
    st.sampled_from([b"\x01\x01", b"\x02\x00\x00\x00\x09", b"\x03" + text(b"application/json"), b"\x23\x00\x05"])
    | st.builds(user_property, st.binary(max_size=40), st.binary(max_size=200)),
    max_size=4,
).map(b"".join)
MESSAGES = st.tuples(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=12),
    st.binary(max_size=60) | st.integers(0, 3000).map(bytes),
    st.integers(0, 65535),
    st.booleans(),
    st.booleans(),
)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.booleans())
def test_a_stream_cut_anywhere_says_the_same(data: st.DataObject, five: bool) -> None:
    stream, said, heard = b"", [], []
    for _ in range(data.draw(st.integers(1, 12))):
        what = data.draw(st.sampled_from(["message"] * 5 + ["pingresp", "connack", "suback"]))
        if what == "message":
            topic, payload, packet_id, retained, again = data.draw(MESSAGES)
            properties = (data.draw(PROPERTIES) or b"") if five else None
            name = topic.encode()
            stream += publish(name, payload, packet_id, properties=properties, retained=retained, again=again)
            said.append(Received(topic, payload, AT_MS, retained, again, packet_id, CONNECTION))
        elif what == "pingresp":
            stream += b"\xd0\x00"
            heard.append(Pingresp())
        elif what == "connack":
            stream += b"\x20\x03\x01\x00\x00" if five else b"\x20\x02\x01\x00"
            heard.append(Connack(True, 0))
        else:
            stream += b"\x90\x05\x00\x01\x00\x01\x02" if five else b"\x90\x04\x00\x01\x01\x02"
            heard.append(Suback(1, (1, 2)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    messages, controls = read(*pieces, five=five)
    assert messages == said
    assert controls == heard


@pytest.mark.parametrize("size", [1, 7, 1000, 65_536, 1 << 18])
def test_a_packet_longer_than_what_is_read_at_once_is_put_together(size: int) -> None:
    payload = bytes(range(256)) * 260  # below what is kept of a packet
    stream = publish(b"a", b"before", 1) + publish(b"b", payload, 2) + publish(b"c", b"behind", 3)
    messages, _ = read(*(stream[at : at + size] for at in range(0, len(stream), size)))
    assert [(m.topic, m.payload, m.packet_id) for m in messages] == [
        ("a", b"before", 1),
        ("b", payload, 2),
        ("c", b"behind", 3),
    ]


@pytest.mark.parametrize("five", [False, True])
def test_of_a_payload_far_above_the_limit_the_beginning_is_kept_and_what_follows_is_read(five: bool) -> None:
    """A payload may have 256 MB (1.5.5): memory holds what is needed to refuse it, and the id to acknowledge it."""
    payload, step = b"0123456789" * 500_000, 10_000
    properties = user_property(b"k", b"v") if five else None
    stream = publish(b"big", payload, 9, properties=properties) + publish(b"c", b"x", 10, properties=properties)
    parser = parser_of(five=five)
    messages: list[Received] = []
    for at in range(0, len(stream), step):
        parser.feed(stream[at : at + step], AT_MS, messages)
        assert sum(map(len, parser._parts)) < 200_000
    big, behind = messages
    assert (big.topic, big.packet_id) == ("big", 9)
    assert LIMIT < len(big.payload) < 200_000
    assert payload.startswith(big.payload)
    assert (behind.topic, behind.payload) == ("c", b"x")


def test_properties_that_are_not_kept_whole_make_a_message_that_is_refused_by_its_size() -> None:
    """Their sender must not bring the worker into a loop of reading the same message and losing the connection."""
    properties = b"".join(user_property(b"k", b"v" * 60_000) for _ in range(20))
    stream = publish(b"a", b"{}", 4, properties=properties) + publish(b"b", b"{}", 5, properties=b"")
    step = 10_000
    messages, _ = read(*(stream[at : at + step] for at in range(0, len(stream), step)), five=True)
    assert [(message.topic, message.packet_id) for message in messages] == [("a", 4), ("b", 5)]
    assert len(messages[0].payload) > LIMIT
    assert messages[1].payload == b"{}"


def test_topics_are_read_anew_when_too_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_wire, "_TOPICS_MAX", 3)
    parser = parser_of()
    messages, _ = taken(parser, [publish(b"t%d" % (n % 5), b"", n + 1) for n in range(20)])
    assert [message.topic for message in messages] == [f"t{n % 5}" for n in range(20)]
    assert len(parser._topics) <= 3


# --- what is not MQTT --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"\x30\x80\x80\x80\x80\x01",  # a length of five bytes
        b"\x30\x00",  # a PUBLISH without a topic
        b"\x30\x01\x00",
        b"\x30\x02\x00\x05",  # a topic longer than its packet
        b"\x32\x03\x00\x01a",  # QoS 1 without a packet id
        b"\x32\x04\x00\x01a\x00",
        b"\x20\x01\x00",  # half a CONNACK
        b"\x90\x01\x00",
        b"\x00\x00",  # type 0 is forbidden (2.1.2)
        b"\x10\x02ab",  # a client's packet
        b"\x62\x02\x00\x01",  # of QoS 2, which nobody asked for
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
@pytest.mark.parametrize("five", [False, True])
def test_what_is_not_mqtt_is_an_error_of_the_protocol(data: bytes, five: bool) -> None:
    with pytest.raises(ProtocolError):
        read(data + bytes(300), five=five)


@pytest.mark.parametrize(
    "data",
    [
        b"\x32\x08\x00\x01a\x00\x01\x05xx",  # properties longer than their packet
        b"\x32\x06\x00\x01a\x00\x01\x80",  # and a length of them that ends within
        b"\x32\x07\x00\x01a\x00\x01\xff\xff",
        b"\x90\x03\x00\x01\x80",
        b"\x20\x07\x00\x00\x80\x80\x80\x80\x01",
    ],
)
def test_properties_that_do_not_fit_are_an_error_of_the_protocol(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(data, five=True)


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=6), st.booleans())
@example([b"\x32\x06\x00\x01a\x00\x01\x80"], True)
@example([b"\x20\x04\x00\x00\x02\x13"], True)
@example([b"\x20\x05\x00\x00\x03\x26\x00"], True)
def test_whatever_bytes_come_nothing_but_a_protocol_error_is_raised(pieces: list[bytes], five: bool) -> None:
    try:
        messages, _ = read(*pieces, five=five)
    except ProtocolError:
        return
    assert sum(len(message.payload) for message in messages) <= sum(map(len, pieces))


@settings(max_examples=500, deadline=None)
@given(st.data(), st.booleans())
def test_a_changed_packet_is_read_or_refused_and_never_reaches_into_the_next(data: st.DataObject, five: bool) -> None:
    topic, payload, packet_id, retained, again = data.draw(MESSAGES)
    properties = (data.draw(PROPERTIES) or b"") if five else None
    whole = publish(topic.encode(), payload, packet_id, properties=properties, retained=retained, again=again)
    head = 1 + len(length(len(whole) - 3))  # of the type and the length itself
    changed = bytearray(whole)
    # Its length stays, so that the next packet begins where it does.
    for at in data.draw(st.lists(st.integers(head, max(head, len(whole) - 1)), max_size=4)):
        if at < len(changed):
            changed[at] = data.draw(st.integers(0, 255))
    following = publish(b"next", b"untouched", 77, properties=b"" if five else None)
    try:
        messages, _ = read(bytes(changed) + following, five=five)
    except ProtocolError:
        return
    assert messages[-1] == Received("next", b"untouched", AT_MS, False, False, 77, CONNECTION)


# --- what the worker says ----------------------------------------------------------------------------------


def test_connect_keeps_the_session_and_bounds_what_is_on_the_way() -> None:
    given_ = {
        "client_id": "markaz-x",
        "keepalive_s": 30,
        "username": None,
        "password": None,
        "session_expiry_s": 86_400,
        "receive_maximum": 20_000,
    }
    assert mqtt_wire.connect(five=False, **given_) == (  # type: ignore[arg-type]
        b"\x10\x14\x00\x04MQTT\x04\x00\x00\x1e\x00\x08markaz-x"
    )
    five = mqtt_wire.connect(five=True, **(given_ | {"username": "u", "password": "pw"}))  # type: ignore[arg-type]
    assert five == (
        b"\x10\x24\x00\x04MQTT\x05\xc0\x00\x1e\x08\x11\x00\x01\x51\x80\x21\x4e\x20\x00\x08markaz-x\x00\x01u\x00\x02pw"
    )


def test_subscribe_asks_for_qos_1_and_in_mqtt_5_for_retained_messages_once() -> None:
    assert mqtt_wire.subscribe(["a/#", "b"], 1, five=False) == b"\x82\x0c\x00\x01\x00\x03a/#\x01\x00\x01b\x01"
    assert mqtt_wire.subscribe(["a"], 1, five=True) == b"\x82\x07\x00\x01\x00\x00\x01a\x11"
    assert mqtt_wire.unsubscribe(["a"], 2, five=False) == b"\xa2\x05\x00\x02\x00\x01a"
    assert mqtt_wire.unsubscribe(["a"], 2, five=True) == b"\xa2\x06\x00\x02\x00\x00\x01a"


def test_disconnect_may_end_the_session_where_the_protocol_can_say_so() -> None:
    assert mqtt_wire.disconnect(five=True) == b"\xe0\x00"
    assert mqtt_wire.disconnect(five=True, session_expiry_s=0) == b"\xe0\x07\x00\x05\x11\x00\x00\x00\x00"
    assert mqtt_wire.disconnect(five=False, session_expiry_s=0) == b"\xe0\x00"


def test_acknowledgements_come_in_the_order_given() -> None:
    assert mqtt_wire.acknowledgements([2, 1, 65_535]) == b"\x40\x02\x00\x02\x40\x02\x00\x01\x40\x02\xff\xff"


def test_a_long_packet_of_the_worker_has_a_length_of_several_bytes() -> None:
    topics = ["x" * 100] * 200
    made = mqtt_wire.subscribe(topics, 1, five=False)
    assert made[:4] == b"\x82" + length(len(made) - 4)

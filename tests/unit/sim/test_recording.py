"""Reading recordings and moving their times."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.recording import BadLineError, Recorded, TimeShift, encode_spaces, parse_line, record_line

RECORDINGS = Path(__file__).parents[4] / "shared" / "recordings" / "hfp"


def test_a_topic_of_a_dump_may_hold_spaces() -> None:
    line = (
        b'2023-10-29T19:46:39.452Z /hfp/v2/journey/ongoing/vp/bus/0018/00679/Lentoasema T1 T2/21:12 {"VP":{"a":" {"}}\n'
    )
    message = parse_line(line)
    assert message.topic == "/hfp/v2/journey/ongoing/vp/bus/0018/00679/Lentoasema T1 T2/21:12"
    assert message.payload == b'{"VP":{"a":" {"}}'
    assert message.at_ms == 1698608799452


@pytest.mark.parametrize(
    "line",
    [
        b"not a recording",
        b"2023-10-29T19:46:39Z /topic no json",
        b'yesterday /topic {"a":1}',
        b'2023-10-29T19:46:39 /topic {"a":1}',
        b'2023-10-29T19:46:39Z /\xff {"a":1}',
        b'{"at":"2023-10-29T19:46:39Z","topic":"t"}',
        b'{"at":"2023-10-29T19:46:39Z","topic":1,"payload":""}',
        b'{"at":"2023-10-29T19:46:39Z","topic":"t","payload_base64":"*"}',
        b"{",
    ],
)
def test_a_bad_line_is_refused(line: bytes) -> None:
    with pytest.raises(BadLineError):
        parse_line(line)


@given(payload=st.binary(max_size=200), topic=st.text(st.characters(codec="utf-8"), max_size=50), retain=st.booleans())
def test_any_payload_comes_back_from_our_own_format(payload: bytes, topic: str, retain: bool) -> None:
    message = Recorded(1698608799452.0, topic, payload, retain)
    line = record_line(message)
    assert line.count(b"\n") == 1
    assert parse_line(line) == message


def test_times_move_and_every_other_byte_stays() -> None:
    payload = b'{"VP":{"tst":"2023-10-29T10:00:05.500Z", "tsi" : 1698573605,"spd":3.00,"lat":null,"oday":"2023-10-29"}}'
    shift = TimeShift(from_ms=1698573600000, to_ms=1700000000000)  # 10:00:00Z is received first
    assert shift.payload(payload) == (
        b'{"VP":{"tst":"2023-11-14T22:13:25.500Z", "tsi" : 1700000005,"spd":3.00,"lat":null,"oday":"2023-10-29"}}'
    )


def test_gaps_shrink_with_the_speed() -> None:
    shift = TimeShift(from_ms=0, to_ms=1_700_000_000_000, speed=10)
    assert shift.moved_ms(5_000) == 1_700_000_000_500
    assert shift.payload(b'{"ts":"1970-01-01T00:00:05Z"}') == b'{"ts":"2023-11-14T22:13:20.500Z"}'


@pytest.mark.parametrize(
    ("given_ts", "moved"),
    [
        (b"1698573600", b"1700000000"),
        (b"1698573600.250", b"1700000000.250"),
        (b"1698573600250", b"1700000000250"),
        (b'"2023-10-29T15:00:00+05:00"', b'"2023-11-14T22:13:20.000Z"'),
        (b'"2023-02-31T10:00:00Z"', b'"2023-02-31T10:00:00Z"'),  # no such day: left for the receiver to refuse
        (b'"tomorrow"', b'"tomorrow"'),
        (b"null", b"null"),
    ],
)
def test_native_times_move_in_whatever_form_they_are(given_ts: bytes, moved: bytes) -> None:
    shift = TimeShift(from_ms=1698573600000, to_ms=1700000000000)
    assert shift.payload(b'{"ts":%s,"level_l":80.5}' % given_ts) == b'{"ts":%s,"level_l":80.5}' % moved


def test_spaces_become_percent_20() -> None:
    assert encode_spaces("/hfp/a b/Itä-Pakila") == "/hfp/a%20b/Itä-Pakila"


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f"no recordings at {RECORDINGS}")
def test_every_line_of_the_hfp_recordings_is_read() -> None:
    lines = [line for dump in sorted(RECORDINGS.glob("*/*.dump")) for line in dump.read_bytes().splitlines() if line]
    messages = [parse_line(line) for line in lines]
    assert len(messages) >= 1565
    assert sum(" " in m.topic for m in messages) > 300
    for message in messages:
        moved = json.loads(TimeShift(message.at_ms, message.at_ms + 86_400_000).payload(message.payload))
        before = json.loads(message.payload)
        for event, fields in before.items():
            if isinstance(fields.get("tsi"), int):
                assert moved[event]["tsi"] == fields["tsi"] + 86_400
            assert {k: v for k, v in moved[event].items() if k[:2] != "ts" and k[:2] != "tt"} == {
                k: v for k, v in fields.items() if k[:2] != "ts" and k[:2] != "tt"
            }

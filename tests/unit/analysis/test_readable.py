"""What a person sees of a message's bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.readable import SHOWN_BYTES, hex_dump, readable


def test_json_is_indented_and_its_numbers_stay_as_they_were_written() -> None:
    shown = readable(b'{"id":12345678901234567890,"v":1.50,"v":1e3,"list":[]}')
    assert shown.kind == "json"
    assert shown.text == '{\n  "id": 12345678901234567890,\n  "v": 1.50,\n  "v": 1e3,\n  "list": []\n}'


@pytest.mark.parametrize("payload", [b'{"ts": 17', "привет\nмир".encode(), b""])
def test_other_text_is_shown_as_it_came(payload: bytes) -> None:
    assert readable(payload).text == payload.decode()
    assert readable(payload).kind == "text"


@pytest.mark.parametrize("payload", [b"\xff\xfe", b"\x00\x01abc", b"\x1b[2J", b"\x08\x96\x01"])
def test_bytes_that_are_no_text_are_shown_in_hexadecimal(payload: bytes) -> None:
    shown = readable(payload)
    assert shown.kind == "binary"
    assert shown.text.startswith(f"000000  {payload[:1].hex()}")


def test_a_line_of_the_hex_dump_has_offset_bytes_and_signs() -> None:
    lines = hex_dump(bytes(range(60, 80))).split("\n")
    assert lines[0] == "000000  3c 3d 3e 3f 40 41 42 43 44 45 46 47 48 49 4a 4b  <=>?@ABCDEFGHIJK"
    assert lines[1] == f"000010  {'4c 4d 4e 4f':<47}  LMNO"


def test_signs_that_turn_the_writing_around_are_made_visible() -> None:
    assert readable('{"a": "\u202eb\x9b"}'.encode()).text == '{\n  "a": "\\u202eb\\u009b"\n}'


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (r"\u0427\u043e\u0440\u0441\u0443", "Чорсу"),
        (r"\ud83d\ude8c!", "🚌!"),
        (r"\u202e", r"\u202e"),
        (r"\u0022", r"\u0022"),
        (r"\u005c", r"\u005c"),
        (r"\\u0427", r"\\u0427"),
        (r"\\\u0427", r"\\Ч"),
    ],
)
def test_escaped_letters_are_shown_as_letters_where_that_changes_nothing(written: str, shown: str) -> None:
    assert readable(f'["{written}"]'.encode()).text == f'[\n  "{shown}"\n]'


def test_a_long_message_is_shown_by_its_beginning() -> None:
    shown = readable("я".encode() * SHOWN_BYTES)
    assert (shown.kind, shown.cut) == ("text", True)
    assert readable(("a" + "я" * SHOWN_BYTES).encode()).text.endswith("я"), "not a half character"
    assert len(shown.text.encode()) == SHOWN_BYTES


def test_json_as_deep_as_it_can_be_costs_nobody_the_page() -> None:
    assert readable(b"[" * 50_000 + b"]" * 10).kind == "text"
    assert readable(b"[" * 30_000 + b"]" * 30_000).text


@given(
    st.binary(max_size=300) | st.text(max_size=100).map(str.encode) | st.builds(json.dumps, st.text()).map(str.encode)
)
def test_whatever_comes_can_be_shown(payload: bytes) -> None:
    shown = readable(payload)
    assert all(sign.isprintable() or sign.isspace() for sign in shown.text)

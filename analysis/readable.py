"""A message's bytes as a person can read them."""

from __future__ import annotations

import re
from typing import Literal
from unicodedata import category

from msgspec import MsgspecError, Struct
from msgspec import json as msgspec_json

# What a person looks at; the whole message is there as bytes.
SHOWN_BYTES = 65_536
_HEX_A_LINE = 16
_WHITE = "\t\r\n"
# A run of JSON's \\u… escapes, or an escaped backslash, after which a `u` is only a letter.
_ESCAPES = re.compile(r"\\\\|(?:\\u[0-9a-fA-F]{4})+")


class Readable(Struct, frozen=True, kw_only=True):
    kind: Literal["json", "text", "binary"]
    text: str  # indented JSON, text as it is, or lines of hexadecimal digits
    cut: bool  # the message is longer than what is shown


def readable(payload: bytes) -> Readable:
    """JSON indented, other UTF-8 text as it came, all else as a hex dump; the first 64 KiB.

    Numbers and names of JSON stay as they were written: white space is put between them, and letters that a sender
    wrote as `\\u0427` are shown as letters. Signs that cannot be seen (a change of the writing's direction) are shown
    as `\\u202e`.
    """
    cut = len(payload) > SHOWN_BYTES
    payload = payload[:SHOWN_BYTES]
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError as error:
        # A character that the cut went through does not make a text binary.
        if not cut or error.start < SHOWN_BYTES - 3:
            return Readable(kind="binary", text=hex_dump(payload), cut=cut)
        text = payload[: error.start].decode("utf-8")
    try:
        indented = msgspec_json.format(payload, indent=2).decode("utf-8")
    except (MsgspecError, RecursionError):
        if any(category(sign) == "Cc" and sign not in _WHITE for sign in text):
            return Readable(kind="binary", text=hex_dump(payload), cut=cut)
        return Readable(kind="text", text=_visible(text), cut=cut)
    return Readable(kind="json", text=_visible(_ESCAPES.sub(_unescaped, indented)), cut=cut)


def _visible(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() or sign in _WHITE or category(sign) == "Zs" else f"\\u{ord(sign):04x}"
        for sign in text
    )


def _unescaped(run: re.Match[str]) -> str:
    """Letters for a run of escapes; what has a meaning in JSON or cannot be seen stays escaped."""
    if run[0] == "\\\\":
        return run[0]
    letters = msgspec_json.decode(f'"{run[0]}"'.encode(), type=str)
    if not letters.isprintable() or '"' in letters or "\\" in letters:
        return run[0]
    return letters


def hex_dump(payload: bytes) -> str:
    """Lines of offset, 16 bytes in hexadecimal, and the same bytes as ASCII, as `hexdump -C` has them."""
    lines = []
    for at in range(0, len(payload), _HEX_A_LINE):
        piece = payload[at : at + _HEX_A_LINE]
        digits = " ".join(f"{byte:02x}" for byte in piece)
        signs = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in piece)
        lines.append(f"{at:06x}  {digits:<{_HEX_A_LINE * 3 - 1}}  {signs}")
    return "\n".join(lines)

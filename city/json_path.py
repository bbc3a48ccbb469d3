"""Where a value stands in a JSON document: `gps.speed`, `values[0].v`, `["odd name"].x`, `$.station`.

Names are joined by dots, `[n]` is an element of an array (from 0, `[-1]` the last), `["…"]` a name that
holds dots or brackets. A path begins at the reading; with `$` in front, at the whole message.

Written here and not taken from a library: JMESPath answers null alike for what is missing, for what
is null and for a step into the wrong type. A device without a fix says null, a sender gone wrong
says something else, and the two must not look the same in the rejects.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

_STEP = re.compile(r'\.?(?P<name>[^.\[\]"$]+)|\[(?P<index>-?\d{1,6})\]|\[(?P<quoted>"[^"]*")\]')


class Absent(Enum):
    """What a path gives where the document has nothing; null is something."""

    ABSENT = 0


ABSENT = Absent.ABSENT


class WrongStep(Exception):
    """A path leads into something that has no such parts. The message says what is where."""


class JsonPath(NamedTuple):
    """A path, ready to be followed."""

    text: str
    from_message: bool  # begins at the whole message, not at the reading
    steps: tuple[str | int, ...]


def parse(text: str) -> JsonPath:
    """The path that `text` spells; ValueError if it spells none."""
    from_message = text.startswith("$")
    at = 1 if from_message else 0
    steps: list[str | int] = []
    while at < len(text):
        found = _STEP.match(text, at)
        # A dot stands between names, and only there.
        if found is None or (text[at] == ".") != (at > 0 and found["name"] is not None):
            raise ValueError(f'{text!r} is not a path: names joined by dots, [n] and ["name"]; $ is the whole message')
        if found["name"] is not None:
            steps.append(found["name"])
        else:
            steps.append(int(found["index"]) if found["index"] is not None else found["quoted"][1:-1])
        at = found.end()
    if not steps and not from_message:
        raise ValueError("a path is needed")
    return JsonPath(text, from_message, tuple(steps))


def find(path: JsonPath, reading: object, message: object) -> object:
    """What stands at the path, ABSENT where there is nothing; raises WrongStep.

    Nothing is below null: a part that is not known has no parts that are.
    """
    here = message if path.from_message else reading
    for step in path.steps:
        if here is None:
            return ABSENT
        if isinstance(step, str):
            if not isinstance(here, dict):
                raise WrongStep(f"{step} is looked for in {describe(here)}, not in an object")
            here = here.get(step, ABSENT)
        else:
            if not isinstance(here, list):
                raise WrongStep(f"[{step}] is looked for in {describe(here)}, not in an array")
            here = here[step] if -len(here) <= step < len(here) else ABSENT
        if here is ABSENT:
            return ABSENT
    return here


def describe(found: object) -> str:
    """What kind of JSON a decoded value is, in words."""
    if found is None:
        return "null"
    if isinstance(found, bool):
        return "a boolean"
    words = {str: "text", int: "a number", float: "a number", list: "an array", dict: "an object"}
    return words.get(type(found), type(found).__name__)

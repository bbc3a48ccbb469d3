"""What the dashboard and the processes that answer questions say to each other.

Light on purpose: the process that serves pages knows these words and none of the engines.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from analysis.questions import Question
from city.history.origin import Origin


class Form(StrEnum):
    """In what form an answer is wanted."""

    JSON = "json"
    CSV = "csv"
    GEOJSON = "geojson"
    PARQUET = "parquet"
    ARROW = "arrow"


class Told(Struct, frozen=True, kw_only=True):
    """What an answer says of itself."""

    at_ms: int  # when it was asked
    origin: Origin
    rollup: str | None = None  # which one answered, where one did
    next: str | None = None  # cursor of the next page
    low: float | None = None  # bounds of a distribution
    high: float | None = None
    cut: bool = False  # there is more than `limit`


class Ask(Struct, frozen=True, tag=True):
    """Answer a question."""

    question: Question
    form: Form = Form.ARROW


class Stop(Struct, frozen=True, tag=True):
    """The answer is wanted no more."""


class Moved(Struct, frozen=True, tag=True):
    """How far the answer is, 0 to 1."""

    progress: float


class Done(Struct, frozen=True, tag=True):
    """The answer; it follows in its form."""

    told: Told


class Failed(Struct, frozen=True, tag=True):
    """There is no answer: `kind` cancelled, too_much, question, history or bug; `parameter` of a question's fault."""

    kind: str
    detail: str
    parameter: str = ""

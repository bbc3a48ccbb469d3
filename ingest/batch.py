"""Messages that are taken to the store together."""

from __future__ import annotations

from dataclasses import dataclass, field

from city.messages import Reading, Received, Reject


@dataclass(slots=True, eq=False)
class Batch:
    """Messages on their way. Each ends as counted readings or rejects, or is known already."""

    messages: list[Received]
    now_ms: int
    readings: list[Reading] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    known: int = 0  # readings and rejects that the store had already
    steps_done: int = 0
    doubtful: bool = False  # any of them may be known, whether the broker marks it or not

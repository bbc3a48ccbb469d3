"""What a detector is: a pure step from a state and something seen to the next state and what it found out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from msgspec import Struct

from analysis.detectors.finding import Finding
from analysis.picture import Picture
from analysis.routes import Routes


class State(Protocol):
    """What every detector's state can say."""

    @property
    def raised_ms(self) -> int | None:
        """When the alarm that stands rose, epoch ms."""
        ...

    @property
    def waits(self) -> bool:
        """Whether time alone can change it: then `tick` is asked every second."""
        ...


class City(Struct, frozen=True):
    """What detectors may look at beside their own state. They change nothing of it."""

    picture: Picture  # the newest of every entity, with the event at hand
    routes: Routes  # lines and stops of the city's routes; empty where it has none
    capacity_default: int  # of a vehicle that does not say
    watching_since_ms: int  # nobody looked before


# A state that says nothing more is None: it need not be kept.
Step = Callable[[Any, Any, Any, City], tuple[Any, Sequence[Finding]]]
Tick = Callable[[Any, int, Any, City], tuple[Any, Sequence[Finding]]]


class Detector(Struct, frozen=True, kw_only=True):
    """One rule of config.yaml's `alarms` at work.

    step(state or None, what was seen, the rule's settings, city) → (state or None, findings)
    tick(state, now_ms, the rule's settings, city) → the same; only asked while `state.waits`
    """

    rule: str
    state: type[Struct]
    takes: tuple[type, ...]  # events, counters of feeds, …: what `step` wants to see
    key: Callable[[Any], str | None]  # whose state a thing seen moves; None: nobody's
    step: Step
    tick: Tick | None = None

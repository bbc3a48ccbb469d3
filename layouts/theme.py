"""Colours and scales that Python and the browser share."""

from __future__ import annotations

from msgspec import Struct


class Scale(Struct, frozen=True, kw_only=True):
    """How an indicator's values become classes: len(colours) = len(breaks) + 1."""

    breaks: tuple[float, ...]  # a value at a break belongs to the class above it
    colours: tuple[str, ...]
    unit: str | None = None  # a key of the catalogue under `unit.`
    whole: bool = False  # counts: a class "2" and not "2–3"


# Sequential ramps on a dark ground: more light is more of it, so they also read without hue.
_CALM = ("none", "#173a55", "#1f567d", "#2c78a8", "#4a9cc9", "#8fd0ee")
_WARM = ("#1c3a3a", "#2f5d50", "#7d7a3a", "#c98a2e", "#e8553f")

INDICATORS: dict[str, Scale] = {
    "load": Scale(
        breaks=(20, 40, 60, 80, 100),
        colours=("#163349", "#1c4c69", "#24708c", "#74833f", "#c58f2e", "#e0533d"),
        unit="percent",
    ),
    "vehicles": Scale(breaks=(1, 2, 3, 5, 8), colours=_CALM, whole=True),
    "speed": Scale(breaks=(8, 14, 20, 28), colours=tuple(reversed(_WARM)), unit="kmh"),
    "alarms": Scale(whole=True, breaks=(1, 2, 4), colours=("none", "#6e5a1f", "#b8752a", "#e0533d")),
}

PLOT = {
    "paper": "rgba(0,0,0,0)",
    "ink": "#c9d4df",
    "muted": "#8496a8",
    "grid": "#22303d",
    "lines": ("#4fb3d9", "#e0b04a", "#8fcf8a"),
}

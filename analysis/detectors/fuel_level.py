"""How much fuel went missing from a gauge's readings: the arithmetic of the fuel rule.

A gauge sloshes, drops out (0 or nothing for a reading) and is refilled. So a loss is measured
between two values that several readings hold: the level before (a median) and the level now (the
highest of the last `confirm` readings: every one of them must see the loss). For a tank that
sloshes by ±s litres the loss found is at most 2s, and a real loss is found less 2s at worst.
"""

from __future__ import annotations

from msgspec import Struct

# The highest level before is kept for so many pieces of the window: bounded state, whatever the rate.
PIECES = 8


class Level(Struct, frozen=True, array_like=True):
    """A gauge's value at a time."""

    ms: int
    value: float  # litres, or per cent of the tank


class Gauge(Struct, frozen=True, array_like=True):
    """One vehicle's readings of one unit, as far as they matter."""

    recent: tuple[Level, ...] = ()  # newest last, at most twice the readings that confirm
    peaks: tuple[Level, ...] = ()  # levels before, falling; the first is the highest


class Loss(Struct, frozen=True):
    """What is missing now, in the gauge's unit."""

    amount: float
    before: float
    now: float
    within_ms: int


def take(gauge: Gauge, level: Level, *, confirm: int, window_ms: int, since_ms: int) -> tuple[Gauge, Loss | None]:
    """The gauge with one reading more, and the loss that its last `confirm` readings confirm.

    Only readings from `since_ms` on confirm a loss. None where the level did not sink.
    """
    recent = (*gauge.recent, level)[-2 * confirm :]
    before, now = recent[:-confirm], recent[-confirm:]
    oldest_ms = now[0].ms - window_ms
    peaks = tuple(peak for peak in gauge.peaks if peak.ms >= oldest_ms) if gauge.peaks else ()
    if before and since_ms <= before[-1].ms:
        value = _median(before) if len(before) == confirm else steady(before)
        peaks = _with_peak(peaks, Level(before[-1].ms, value), window_ms // PIECES)
    gauge = Gauge(recent, peaks)
    if not peaks or len(now) < confirm or now[0].ms < since_ms:
        return gauge, None
    highest = max(one.value for one in now)
    amount = peaks[0].value - highest
    return gauge, Loss(amount, peaks[0].value, highest, level.ms - peaks[0].ms) if amount > 0 else None


def restart(gauge: Gauge, *, confirm: int) -> Gauge:
    """The gauge from now on, with the level that its last readings agree on at least as the one before."""
    recent = gauge.recent[-confirm:]
    return Gauge(recent, (Level(recent[-1].ms, steady(recent)),) if recent else ())


def steady(levels: tuple[Level, ...]) -> float:
    """The lowest reading that is no dropout: a level that was there beyond doubt."""
    return min((level.value for level in levels if level.value > 0), default=0.0)


def _median(levels: tuple[Level, ...]) -> float:
    values = sorted(level.value for level in levels)
    return values[(len(values) - 1) // 2]


def _with_peak(peaks: tuple[Level, ...], level: Level, piece_ms: int) -> tuple[Level, ...]:
    """`peaks` and one level more. A lower, older peak can never count again; nor do two in one piece."""
    if peaks and peaks[-1].value > level.value:
        return peaks if level.ms - peaks[-1].ms < piece_ms else (*peaks, level)
    return (*(peak for peak in peaks if peak.value > level.value), level)

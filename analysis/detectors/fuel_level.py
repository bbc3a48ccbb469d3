"""How much fuel went missing from a gauge's readings: the arithmetic of the fuel rules.

A gauge sloshes, drops out (0 or nothing for seconds or days) and is refilled. So a loss is measured between two values
that several readings hold: the level before and the level now, both medians; and every one of the last `confirm`
readings must see most of the loss. How much the gauge swings by itself is learnt from it: single readings that lie
outside their neighbours, and losses that came back. A loss counts only well above that (`needed`).
"""

from __future__ import annotations

from itertools import pairwise

from msgspec import Struct
from msgspec.structs import replace

# The highest level before is kept for so many pieces of the window: bounded state, whatever the rate.
PIECES = 8
# A loss must be so many times the largest swing that came back: the next swing may be a little larger …
SWING_FACTOR = 1.6
# … or more, where nobody tells when the vehicle moves.
SWING_FACTOR_UNHEARD = 2.0
# Until so many readings taught how the gauge swings, a loss must be so many times what it rose in between.
LEARNING = 100
SCATTER_FACTOR = 4.0
# A swing is half forgotten after a week: a calm weekend must not make Monday's slosh a theft.
HALF_FORGOTTEN_MS = 7 * 86_400_000
# What falls to so little of the level before in one reading is a dropout: a tank keeps a rest.
DROPOUT_SHARE = 0.01
# Two readings on the road further apart say nothing of slosh.
STEP_MAX_MS = 180_000
# After a refuel foam and float settle.
SETTLES_MS = 180_000
# Remembered to the millilitre, and a thousandth of a per cent: short to keep.
DIGITS = 3


class Level(Struct, frozen=True, array_like=True):
    """A gauge's value at a time."""

    ms: int
    value: float  # litres, or per cent of the tank


class Gauge(Struct, frozen=True, array_like=True):
    """One vehicle's readings of one unit, as far as they matter."""

    recent: tuple[Level, ...] = ()  # newest last, at most twice the readings that confirm
    peaks: tuple[Level, ...] = ()  # levels before, falling; the first is the highest
    readings: int = 0  # taken so far, up to LEARNING
    swing: float = 0.0  # the largest that came back, at `swung_ms`
    swung_ms: int = 0
    dip: float = 0.0  # the largest loss since the last that came back …
    dip_level: float = 0.0  # … and the level then
    low: float | None = None  # the lowest level since the last rise that fell back
    bump: float = 0.0  # the largest rise above it
    filled_ms: int = 0  # newest reading of the last refuel
    road: float = 0.0  # the largest step between two readings on the road, at `road_ms`
    road_ms: int = 0


class Loss(Struct, frozen=True):
    """What is missing now, in the gauge's unit."""

    amount: float  # by the medians of before and now
    before: float
    now: float
    within_ms: int
    surely: float  # that every one of the readings now sees


def dropped_out(last: float | None, value: float) -> bool:
    """Whether a reading says nothing of the tank, after `last`, the newest one that did."""
    return value <= 0.0 or (last is not None and value <= DROPOUT_SHARE * last)


def take(
    gauge: Gauge,
    level: Level,
    *,
    confirm: int,
    window_ms: int,
    since_ms: int,
    fills: float,
    surely_filled: float,
    over_gaps: bool,
) -> tuple[Gauge, Loss | None]:
    """The gauge with one reading more, and the loss that its last `confirm` readings confirm.

    Only readings from `since_ms` on confirm a loss. A rise of `fills` may be a refuel (one of `surely_filled` is):
    nothing from before it counts, nor while it settles. A level from before the window counts only over a gap in the
    readings, if `over_gaps`. None where the level did not sink.
    """
    recent = (*gauge.recent, level)[-2 * confirm :]
    before, now = recent[:-confirm], recent[-confirm:]
    if recent[0].ms >= since_ms:
        gauge = _learn_scatter(gauge, recent)
    oldest_ms = now[0].ms - window_ms
    peaks = tuple(peak for peak in gauge.peaks if peak.ms >= oldest_ms) if gauge.peaks else ()
    filled_ms = gauge.filled_ms
    if before and before[0].ms >= since_ms:
        value = _median(before) if len(before) == confirm else steady(before)
        if _median(now) - value >= needed(gauge, fills, level.ms):
            peaks, filled_ms = (), level.ms
            # The rest of a refuel must not pass for a rise that falls back when fuel is drawn.
            gauge = replace(gauge, low=None, bump=0.0)
        elif (over_gaps or not _has_gap((*before, now[0]), window_ms)) and _settled(before, filled_ms):
            peaks = _with_peak(peaks, Level(before[-1].ms, value), window_ms // PIECES)
    gauge = replace(gauge, recent=recent, peaks=peaks, readings=min(gauge.readings + 1, LEARNING), filled_ms=filled_ms)
    if len(now) < confirm or now[0].ms < since_ms:
        return gauge, None
    highest = max(one.value for one in now)
    gauge = _learn_bump(gauge, steady(now), highest, level.ms, surely_filled)
    if not peaks:
        return gauge, None
    surely = peaks[0].value - highest
    gauge = _learn_dip(gauge, surely, highest, level.ms, surely_filled)
    if surely <= 0:
        return gauge, None
    value = _median(now)
    return gauge, Loss(peaks[0].value - value, peaks[0].value, value, level.ms - peaks[0].ms, surely)


def needed(gauge: Gauge, least: float, at_ms: int, factor: float = SWING_FACTOR) -> float:
    """The loss that is no swing of the gauge: `least`, or more of a gauge that swings."""
    return max(least, factor * _swing(gauge, at_ms))


def scattered(gauge: Gauge, loss: Loss) -> bool:
    """Whether a gauge that is not known yet goes up and down so much that the loss may be part of it."""
    return gauge.readings < LEARNING and loss.amount < SCATTER_FACTOR * max(_rise(gauge.recent), gauge.bump)


def restart(gauge: Gauge, *, confirm: int, loss: Loss | None = None, road: bool = False) -> Gauge:
    """The gauge from now on, with the level that its last readings agree on at least as the one before.

    Where they sloshed that is less, by all that they sloshed; and of readings from the `road` by all that this gauge
    is known to slosh there: it may have hung askew for minutes. A `loss` that was told may still come back.
    """
    recent = gauge.recent[-confirm:]
    peaks: tuple[Level, ...] = ()
    if recent and _settled(recent, gauge.filled_ms):
        sloshed = max(_range(gauge.recent), _faded(gauge.road, gauge.road_ms, recent[-1].ms) if road else 0.0)
        peaks = (Level(recent[-1].ms, max(0.0, steady(recent) - sloshed)),)
    dip, dip_level = (0.0, 0.0) if loss is None else (loss.amount, loss.now)
    return replace(gauge, recent=recent, peaks=peaks, dip=dip, dip_level=dip_level, low=None, bump=0.0)


def drove(gauge: Gauge, before: Gauge) -> Gauge:
    """The gauge after a reading on the road: it compares nothing, and slosh there teaches nothing of slosh at rest."""
    known = replace(
        before, recent=gauge.recent, peaks=(), readings=gauge.readings, road=gauge.road, road_ms=gauge.road_ms
    )
    return replace(known, dip=0.0, low=None, bump=0.0)


def untaught(gauge: Gauge, before: Gauge) -> Gauge:
    """The gauge after a reading on the road that may still confirm a loss: it teaches nothing of slosh at rest."""
    return replace(
        gauge,
        swing=before.swing,
        swung_ms=before.swung_ms,
        dip=before.dip,
        dip_level=before.dip_level,
        low=before.low,
        bump=before.bump,
    )


def shaken(gauge: Gauge, most: float) -> Gauge:
    """The gauge after a reading on the road, which shows how it sloshes there; a step above `most` is no slosh."""
    if len(gauge.recent) < 2:
        return gauge
    before, last = gauge.recent[-2:]
    step = abs(last.value - before.value)
    if last.ms - before.ms > STEP_MAX_MS or step > most or step <= 1.1 * _faded(gauge.road, gauge.road_ms, last.ms):
        return gauge
    return replace(gauge, road=round(step, DIGITS), road_ms=last.ms)


def forgotten(gauge: Gauge) -> Gauge:
    """The gauge without its levels; how it swings is still known."""
    return replace(gauge, recent=(), peaks=(), dip=0.0, low=None, bump=0.0)


def steady(levels: tuple[Level, ...]) -> float:
    """The lowest reading: a level that was there beyond doubt."""
    return min((level.value for level in levels if level.value > 0), default=0.0)


def _learn_scatter(gauge: Gauge, recent: tuple[Level, ...]) -> Gauge:
    """A reading that lies outside what is before it and what is after it shows how the gauge swings."""
    middle = len(recent) // 2
    if middle < 2:
        return gauge
    value = recent[middle].value
    around = (_median(recent[:middle]), _median(recent[middle + 1 :]))
    return _swung(gauge, max(value - max(around), min(around) - value), recent[-1].ms)


def _learn_dip(gauge: Gauge, amount: float, level: float, at_ms: int, surely_filled: float) -> Gauge:
    """A loss that comes back by more than half was none, unless it was filled up."""
    if amount > gauge.dip:
        return replace(gauge, dip=round(amount, DIGITS), dip_level=level)
    back = level - gauge.dip_level
    if gauge.dip == 0.0 or back <= gauge.dip / 2:
        return gauge
    swung = _swung(gauge, gauge.dip, at_ms) if back < surely_filled else gauge
    return replace(swung, dip=round(max(amount, 0.0), DIGITS), dip_level=level)


def _learn_bump(gauge: Gauge, lowest: float, highest: float, at_ms: int, surely_filled: float) -> Gauge:
    """A rise that falls back by half was none either. Fuel that was filled in stays, but for what is burned."""
    low = highest if gauge.low is None else gauge.low
    rise = lowest - low
    if rise >= surely_filled or low + gauge.bump - highest >= surely_filled:
        return replace(gauge, low=highest, bump=0.0)
    if rise > gauge.bump:
        return replace(gauge, low=low, bump=round(rise, DIGITS))
    if highest < low or highest - low < gauge.bump / 2:
        return replace(_swung(gauge, gauge.bump, at_ms), low=highest, bump=0.0)
    return gauge if gauge.low is not None else replace(gauge, low=low)


def _swung(gauge: Gauge, swing: float, at_ms: int) -> Gauge:
    # What adds less than a tenth is not worth writing.
    if swing <= 1.1 * _swing(gauge, at_ms):
        return gauge
    return replace(gauge, swing=round(swing, DIGITS), swung_ms=at_ms)


def _swing(gauge: Gauge, at_ms: int) -> float:
    return _faded(gauge.swing, gauge.swung_ms, at_ms)


def _faded(swing: float, swung_ms: int, at_ms: int) -> float:
    return swing * float(0.5 ** (max(0, at_ms - swung_ms) / HALF_FORGOTTEN_MS)) if swing else 0.0


def _settled(levels: tuple[Level, ...], filled_ms: int) -> bool:
    return not filled_ms or levels[0].ms - filled_ms >= SETTLES_MS


def _has_gap(levels: tuple[Level, ...], longest_ms: int) -> bool:
    return any(after.ms - before.ms > longest_ms for before, after in pairwise(levels))


def _median(levels: tuple[Level, ...]) -> float:
    values = sorted(level.value for level in levels)
    return values[(len(values) - 1) // 2]


def _range(levels: tuple[Level, ...]) -> float:
    values = [level.value for level in levels]
    return max(values) - min(values)


def _rise(levels: tuple[Level, ...]) -> float:
    """The most that the level rose from one reading to a later one."""
    lowest, rise = levels[0].value, 0.0
    for level in levels:
        lowest = min(lowest, level.value)
        rise = max(rise, level.value - lowest)
    return rise


def _with_peak(peaks: tuple[Level, ...], level: Level, piece_ms: int) -> tuple[Level, ...]:
    """`peaks` and one level more. A lower, older peak can never count again; nor do two in one piece."""
    if peaks and peaks[-1].value > level.value:
        return peaks if level.ms - peaks[-1].ms < piece_ms else (*peaks, level)
    return (*(peak for peak in peaks if peak.value > level.value), level)

"""Alarms that come together: which of them are one occurrence, and how far counts vary beyond chance.

Alarms are not independent of each other: a broken junction makes a dozen of them. Counted as if they were, a city where
all is alike has hot spots everywhere. Hence two steps, in this order: what a rule tells of one place within an hour is
one occurrence; what varies beyond chance all the same is estimated from day to day, and counts are divided by it before
they are tested (the effective counts of Rao and Scott 1992, A simple method for the analysis of clustered binary data,
Biometrics 48).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, gammainc

from analysis.rises import HOUR_MS, Floats, Ints

# One cause seldom makes alarms of a rule at a place for less than this, and each hour of the day is looked at alone.
TOGETHER_MS = HOUR_MS


def begins_occurrence(at_ms: Ints, group: Ints) -> npt.NDArray[np.bool_]:
    """Which rows (oldest first) begin an occurrence of their group: an hour or more after the last one began."""
    found = np.zeros(len(at_ms), dtype=bool)
    until: dict[int, int] = {}
    for row, (at, of) in enumerate(zip(at_ms.tolist(), group.tolist(), strict=True)):
        if at >= until.get(of, at):
            until[of] = at + TOGETHER_MS
            found[row] = True
    return found


def dispersion(counts: Floats, kinds: Ints, near: Floats | None = None) -> float:
    """How many times the variance of counts (steps × places) is what chance alone would leave; 1 at least.

    Chance: each occurrence of a step falls into the places by their shares among all steps of its kind, as many as the
    step has. A place that has more, or a step that has, is no dispersion; a place that has many in one step and few in
    the next is. With `near`: of each place and its neighbours together. Given both margins the variance is that of
    the hypergeometric distribution, so that sparse counts do no harm; places count alike, whatever they have.
    """
    seen = np.zeros(counts.shape[1])
    chance = np.zeros(counts.shape[1])
    for kind in np.unique(kinds):
        of = counts[kinds == kind]
        total = of.sum()
        if total < 2:
            continue
        step = of.sum(axis=1) / total
        sums = of if near is None else of @ near
        place = sums.sum(axis=0)
        seen += ((sums - np.outer(step, place)) ** 2).sum(axis=0)
        chance += place * (1 - place / total) * float((step * (1 - step)).sum()) * total / (total - 1)
    some = chance > 1e-9
    return max(1.0, float((seen[some] / chance[some]).mean())) if some.any() else 1.0


def binomial_more(count: Floats, total: Floats, share: Floats, by: Floats | float = 1.0) -> Floats:
    """One-sided p of so many or more out of `total`, when counts vary `by` times as much as by chance."""
    effective = np.minimum(count, total) / by
    p = betainc(np.maximum(effective, 1e-12), np.maximum(total / by - effective, 0.0) + 1, share)
    found: Floats = np.where(effective > 0, p, 1.0)
    return found


def poisson_more(count: Floats, mean: Floats, by: float = 1.0) -> Floats:
    """One-sided p of so many or more where `mean` are expected, when counts vary `by` times as much as by chance."""
    p = gammainc(np.maximum(count / by, 1e-12), np.maximum(mean, 1e-9) / by)
    found: Floats = np.where(count > 0, p, 1.0)
    return found

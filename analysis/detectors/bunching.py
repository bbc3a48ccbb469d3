"""Bunching: a vehicle comes right behind the one before it, at several stops in a row."""

from __future__ import annotations

from analysis.detectors.headway import detector
from analysis.detectors.passages import Seen
from city.rules.transport import Bunching

RULE = "bunching"


def _too_close(seen: Seen, rule: Bunching) -> bool:
    return seen.share < rule.share_min


def _apart(seen: Seen, rule: Bunching) -> bool:
    return seen.share >= rule.share_clear


def _recent(last_s: float, of_hour_s: float) -> float:
    """Who bunches does so within what goes now, whatever usually goes at this hour."""
    del of_hour_s
    return last_s


DETECTOR = detector(RULE, _too_close, _apart, _recent)

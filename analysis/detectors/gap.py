"""Gap: passengers waited much longer than usual for the next vehicle, at several stops in a row."""

from __future__ import annotations

from analysis.detectors.headway import detector
from city.rules.transport import Gap

RULE = "gap"


def _too_far(share: float, rule: Gap) -> bool:
    return share > rule.share_max


def _near(share: float, rule: Gap) -> bool:
    return share <= rule.share_clear


DETECTOR = detector(RULE, _too_far, _near)

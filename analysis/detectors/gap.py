"""Gap: passengers waited much longer than usual for the next vehicle, at several stops in a row."""

from __future__ import annotations

from analysis.detectors.headway import detector
from analysis.detectors.passages import Seen
from city.rules.transport import Gap

RULE = "gap"


def _too_far(seen: Seen, rule: Gap) -> bool:
    return seen.share > rule.share_max and seen.headway_s - seen.usual_s >= rule.longer_min_s


def _near(seen: Seen, rule: Gap) -> bool:
    return seen.share <= rule.share_clear


DETECTOR = detector(RULE, _too_far, _near, max)

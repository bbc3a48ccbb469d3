"""The section `alarms` of config.yaml: one rule a detector."""

from __future__ import annotations

from city.checked import Section
from city.rules.cameras import CameraAlert, CameraOffline
from city.rules.system import FeedSilent, RejectsFull
from city.rules.transport import FuelDrop, Overload


class Alarms(Section):
    fuel_drop: FuelDrop = FuelDrop()
    overload: Overload = Overload()
    camera_offline: CameraOffline = CameraOffline()
    camera_alert: CameraAlert = CameraAlert()
    feed_silent: FeedSilent = FeedSilent()
    rejects_full: RejectsFull = RejectsFull()

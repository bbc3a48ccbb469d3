"""Detectors: one module an alarm rule, each a pure step function.

A step takes a state, what was seen and the rule's numbers, and gives the next state and what it found out.
"""

from __future__ import annotations

from analysis.detectors import (
    broker_lost,
    camera_alert,
    camera_frozen,
    camera_offline,
    camera_storm,
    clock_skew,
    disk_full,
    feed_silent,
    network_failure,
    rejects_full,
    rejects_rising,
    sensor_flat,
    sensor_missing,
    sensor_rate,
    sensor_threshold,
    store_lost,
    worker_silent,
)
from analysis.detectors.detector import Detector

DETECTORS: tuple[Detector, ...] = (
    broker_lost.DETECTOR,
    camera_alert.DETECTOR,
    camera_frozen.DETECTOR,
    camera_offline.DETECTOR,
    camera_storm.DETECTOR,
    clock_skew.DETECTOR,
    disk_full.DETECTOR,
    feed_silent.DETECTOR,
    *network_failure.DETECTORS,
    rejects_full.DETECTOR,
    rejects_rising.DETECTOR,
    sensor_flat.DETECTOR,
    sensor_missing.DETECTOR,
    sensor_rate.DETECTOR,
    sensor_threshold.DETECTOR,
    store_lost.DETECTOR,
    worker_silent.DETECTOR,
)

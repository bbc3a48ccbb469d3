"""Detectors: one module an alarm rule, each a pure step function.

A step takes a state, what was seen and the rule's numbers, and gives the next state and what it found out.
"""

from __future__ import annotations

from analysis.detectors.detector import Detector

DETECTORS: tuple[Detector, ...] = ()

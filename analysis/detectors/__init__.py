"""Detectors: one module a rule, each a pure step from (state, reading) to (state, findings).

A `step` takes what an entity said, a `tick` takes the time alone (delays, ends). Both decide by the
readings' own times, so that reading the same events again gives the same alarms.
"""

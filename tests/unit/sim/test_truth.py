"""The file of planted anomalies."""

from __future__ import annotations

import json
from pathlib import Path

from sim.truth import Anomaly, TruthFile, rfc3339


def test_a_line_an_anomaly_at_once_with_times_in_utc(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    theft = Anomaly(kind="fuel_theft", entity="05-1001", start_ms=1_000, end_ms=61_250, numbers={"litres": 30.12345})
    with TruthFile(path) as truth:
        truth.write(theft)
        line = json.loads(path.read_text())
    assert line == {
        "kind": "fuel_theft",
        "entity": "05-1001",
        "start": "1970-01-01T00:00:01.000Z",
        "end": "1970-01-01T00:01:01.250Z",
        "numbers": {"litres": 30.123},
    }


def test_what_is_not_over_has_no_end(tmp_path: Path) -> None:
    with TruthFile(tmp_path / "t") as truth:
        truth.write(Anomaly(kind="crowding", entity="05-1001", start_ms=0, end_ms=None, numbers={}))
    assert json.loads((tmp_path / "t").read_text())["end"] is None


def test_times_keep_their_milliseconds() -> None:
    assert rfc3339(1_774_080_000_007) == "2026-03-21T08:00:00.007Z"

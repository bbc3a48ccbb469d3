"""What really happened: every anomaly that the simulator planted, for tests of the detectors."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import msgspec
from msgspec import Struct


class Anomaly(Struct, frozen=True, kw_only=True):
    """One planted or grown anomaly. Times are epoch milliseconds UTC."""

    kind: str  # fuel_theft, crowding, camera_offline, camera_alert, feeder_trip, voltage_sag
    entity: str  # vehicle, camera, feeder or meter id
    start_ms: int
    end_ms: int | None  # None: not over when the simulator stopped
    numbers: dict[str, float]  # what was planted, by name with unit
    detail: str = ""  # kind of the camera's alert, district of the feeder or meter


class _Line(Struct, omit_defaults=True):
    kind: str
    entity: str
    start: str
    end: str | None
    numbers: dict[str, float]
    detail: str = ""


class TruthFile:
    """JSON lines, one an anomaly, written as soon as it is known."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)

    def write(self, anomaly: Anomaly) -> None:
        self._file.write(truth_line(anomaly))

    def __enter__(self) -> TruthFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def truth_line(anomaly: Anomaly) -> bytes:
    """One line of the truth file: times as RFC 3339 UTC with milliseconds."""
    line = _Line(
        kind=anomaly.kind,
        entity=anomaly.entity,
        start=rfc3339(anomaly.start_ms),
        end=None if anomaly.end_ms is None else rfc3339(anomaly.end_ms),
        numbers={name: round(value, 3) for name, value in anomaly.numbers.items()},
        detail=anomaly.detail,
    )
    return msgspec.json.encode(line) + b"\n"


def rfc3339(epoch_ms: int) -> str:
    """`2026-03-21T08:00:00.000Z` for epoch milliseconds."""
    moment = datetime.fromtimestamp(epoch_ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{epoch_ms % 1000:03d}Z"

"""A small city's two hours, as events of every feed, drawn by chance from a seed: what engines are asked about."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from city.alarms import Action, AlarmPriority, AlarmState, Transition
from city.archive.archive import Archive
from city.archive.columns import Said, batch_of
from city.events import (
    CameraEvent,
    CameraStatus,
    Case,
    FuelReading,
    PassengerCount,
    SensorReading,
    TripUpdate,
    VehiclePosition,
    VehicleStatus,
)

FROM_MS = int(datetime(2026, 5, 4, 17, tzinfo=UTC).timestamp() * 1000)
TO_MS = FROM_MS + 3 * 3_600_000
MAHALLAS = ("1726262001", "1726262002", "1726277003", None)


def is_late(number: int) -> bool:
    """Every seventh row is."""
    return number % 7 == 0


def archived(folder: Path, seed: int = 1) -> Archive:
    """An archive of it, each feed in two commits."""
    archive = Archive.open(str(folder), "small")
    for feed, said in events(seed).items():
        late = [is_late(number) for number in range(len(said))]
        half = len(said) // 2
        archive.append({feed: [batch_of(feed, said[:half], late[:half])]}, {})
        archive.append({feed: [batch_of(feed, said[half:], late[half:])]}, {})
    return archive


def events(seed: int = 1) -> Mapping[str, list[Said]]:
    """By feed, in no order."""
    chance = random.Random(seed)

    def times() -> dict[str, int]:
        at_ms = chance.randrange(FROM_MS, TO_MS)
        return {"measured_ms": at_ms, "received_ms": at_ms + chance.randrange(20, 900)}

    def place() -> dict[str, str | None]:
        mahalla = chance.choice(MAHALLAS)
        return {"mahalla": mahalla, "district": mahalla and mahalla[:7]}

    def vehicle() -> str:
        return f"01-{1001 + chance.randrange(7)}"

    def motion() -> dict[str, object]:
        return {
            "speed_mps": chance.choice((None, 0.0, 0.3, round(chance.uniform(1, 16), 2))),
            "route": chance.choice(("40", "67", "it's; --", None)),
            "direction": chance.choice((1, 2)),
            "schedule_deviation_s": chance.choice((None, round(chance.uniform(-300, 300)))),
        }

    return {
        "position": [
            VehiclePosition(
                vehicle_id=vehicle(),
                lat=round(chance.uniform(41.2, 41.4), 6),
                lon=round(chance.uniform(69.1, 69.4), 6),
                **times(),
                **place(),
                **motion(),  # type: ignore[arg-type]
            )
            for _ in range(800)
        ],
        "vehicle_status": [
            VehicleStatus(vehicle_id=vehicle(), kind=chance.choice(("vp", "due")), **times(), **motion())  # type: ignore[arg-type]
            for _ in range(60)
        ],
        "passengers": [
            PassengerCount(
                vehicle_id=vehicle(),
                boarded=chance.choice((None, chance.randrange(9))),
                alighted=chance.randrange(9),
                onboard=chance.randrange(-2, 90),
                stop=chance.choice(("a", "b", None)),
                **times(),
            )
            for _ in range(200)
        ],
        "fuel": [
            FuelReading(
                vehicle_id=vehicle(),
                level_l=chance.uniform(20, 200),
                used_l=chance.choice((None, 5.5, 7.25, 9.0)),
                **times(),
            )
            for _ in range(150)
        ],
        "camera_event": [
            CameraEvent(
                camera_id=f"c{chance.randrange(4)}",
                kind=chance.choice(("fire", "car")),
                severity=chance.choice(("info", "alert")),
                count=chance.choice((None, 3, 60)),
                **times(),
            )
            for _ in range(80)
        ],
        "camera_status": [
            CameraStatus(camera_id=f"c{chance.randrange(4)}", online=chance.random() < 0.8, **times(), **place())
            for _ in range(40)
        ],
        "sensor": [
            SensorReading(
                sensor_id=f"s{chance.randrange(5)}",
                quantity="voltage",
                unit="V",
                network="electricity",
                value=chance.uniform(200, 250),
                **times(),
                **place(),
            )
            for _ in range(120)
        ],
        "case": [
            Case(
                source="112",
                case_id=str(chance.randrange(9)),
                category=chance.choice(("water", "road")),
                status=chance.choice(("open", "closed")),
                **times(),
                **place(),
            )
            for _ in range(40)
        ],
        "trip": [
            TripUpdate(
                trip=chance.choice(("t1", "t2", None)),
                route="40",
                schedule_deviation_s=chance.choice((None, 12.5, -40.0)),
                **times(),
            )
            for _ in range(40)
        ],
        "transition": [
            Transition(
                alarm=f"overload|{chance.randrange(3)}",
                version=number,
                action=chance.choice((Action.RISE, Action.ACKNOWLEDGE, Action.CLEAR)),
                before=AlarmState.NORMAL,
                after=AlarmState.UNACKNOWLEDGED,
                at_ms=chance.randrange(FROM_MS, TO_MS),
                rule=chance.choice(("overload", "off_route")),
                priority=chance.choice((AlarmPriority.LOW, AlarmPriority.HIGH)),
                source_kind="vehicle",
                source_id=vehicle(),
                route="40",
                **place(),
            )
            for number in range(90)
        ],
    }

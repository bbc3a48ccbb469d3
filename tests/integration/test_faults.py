"""Faults planted under load: nothing acknowledged is lost, nothing is there twice, and all goes on by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from planted import FAULTS, can_mount, run
from rig import Outcome
from servers import Mosquitto

pytestmark = pytest.mark.integration

RATE, SECONDS, VEHICLES = 800.0, 3.0, 200
RECOVERY_MAX_S = 10.0


def planted(
    directory: Path, fault: str, broker: str, client: str, *, lasts_s: float = 1.0, seconds: float = SECONDS
) -> Outcome:
    if broker == "mosquitto" and Mosquitto.binary() is None:
        pytest.skip("mosquitto is not installed")
    return run(
        directory,
        FAULTS[fault],
        broker=broker,
        client=client,
        messages=int(RATE * seconds),
        rate=RATE,
        vehicles=VEHICLES,
        lasts_s=lasts_s,
        in_thread=True,
    )


def assert_whole(outcome: Outcome) -> None:
    """Everything that the broker acknowledged is there, and there once."""
    assert outcome.sent > 0.5 * RATE * SECONDS
    assert outcome.lost == 0, outcome
    assert outcome.doubled_in_streams == 0, outcome
    assert outcome.doubled_in_counts == 0, outcome
    assert outcome.wrong_in_state == 0, outcome
    assert outcome.received == outcome.stored + outcome.late + sum(outcome.rejected.values())
    assert outcome.recovery_s < RECOVERY_MAX_S, outcome


@pytest.mark.parametrize(
    ("fault", "broker", "client"),
    [
        ("broker_restart", "nats", "lean"),
        ("broker_restart", "mosquitto", "lean"),
        ("broker_restart", "mosquitto", "paho"),
        ("broker_kill", "nats", "lean"),
        ("broker_kill_backlog", "nats", "lean"),
        ("network_cut", "nats", "lean"),
        ("network_cut", "mosquitto", "paho"),
        ("network_frozen", "mosquitto", "lean"),
        ("network_half_open", "nats", "lean"),
        ("store_kill_disk", "nats", "lean"),
        ("store_kill_disk", "mosquitto", "paho"),
        ("store_full", "nats", "lean"),
        ("store_failover", "nats", "lean"),
        ("worker_kill", "nats", "lean"),
        ("worker_kill", "mosquitto", "lean"),
        ("worker_restart", "mosquitto", "lean"),
    ],
)
def test_nothing_is_lost_or_doubled(tmp_path: Path, fault: str, broker: str, client: str) -> None:
    outcome = planted(tmp_path, fault, broker, client)
    assert_whole(outcome)
    assert outcome.rejected == {}


def test_a_store_that_hangs_holds_everything_up_and_loses_nothing(tmp_path: Path) -> None:
    outcome = planted(tmp_path, "store_hang", "nats", "lean", lasts_s=3.0)
    assert_whole(outcome)
    assert outcome.rejected == {}


def test_a_full_disk_of_the_store_holds_everything_up_and_loses_nothing(tmp_path: Path) -> None:
    if not can_mount():
        pytest.skip("only root may mount a small disk")
    outcome = planted(tmp_path, "disk_full", "nats", "lean", lasts_s=2.5)
    assert_whole(outcome)
    assert outcome.rejected == {}


def test_a_killed_mosquitto_loses_two_seconds_at_most_and_doubles_nothing(tmp_path: Path) -> None:
    """It writes its sessions down every second or two: what it took since then is gone, acknowledgements too."""
    outcome = planted(tmp_path, "broker_kill", "mosquitto", "lean")
    assert outcome.lost <= 2.5 * RATE, outcome
    assert outcome.doubled_in_streams == outcome.doubled_in_counts == outcome.wrong_in_state == 0, outcome
    assert outcome.recovery_s < RECOVERY_MAX_S, outcome


def test_while_the_workers_clock_is_an_hour_off_messages_are_rejects_and_the_streams_stay(tmp_path: Path) -> None:
    outcome = planted(tmp_path, "clock_jump", "nats", "lean", lasts_s=0.5)
    assert_whole(outcome)
    assert set(outcome.rejected) == {"stale", "future"}
    assert outcome.stored > 0.4 * outcome.sent


@pytest.mark.parametrize("broker", ["nats", "mosquitto"])
def test_a_message_that_is_published_twice_is_stored_once_and_counted_twice(tmp_path: Path, broker: str) -> None:
    outcome = planted(tmp_path, "duplicates", broker, "lean", seconds=SECONDS / 2)
    assert_whole(outcome)
    assert outcome.received == outcome.sent
    assert outcome.stored == outcome.rejected["duplicate"] == outcome.sent / 2


def test_messages_in_any_order_are_all_kept_and_the_newest_wins(tmp_path: Path) -> None:
    outcome = planted(tmp_path, "reordered", "nats", "lean")
    assert_whole(outcome)
    assert outcome.late > 0.2 * outcome.sent
    assert outcome.stored + outcome.late == outcome.sent

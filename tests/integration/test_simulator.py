"""The simulator and the replayer on real brokers, as the command line starts them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from servers import Mosquitto, Nats, Server, wait_until

from city.config import load_config
from sim.publisher import BrokerLink

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[2]

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(params=["nats", "mosquitto"])
def broker(request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue(request.param)
    return server


def url(broker: Server) -> str:
    assert isinstance(broker, Nats | Mosquitto)
    return broker.url


class Heard:
    """What a subscriber of everything got."""

    def __init__(self, broker: Server, filter_: str) -> None:
        config = load_config(ROOT / "config.yaml", {"MARKAZ_MQTT__URL": url(broker)})
        self.messages: list[tuple[str, bytes]] = []
        self._link = BrokerLink(config.mqtt, "test", subscribe=filter_, on_message=self._take)
        wait_until(self._connected)
        self.listen(0.3)

    def listen(self, seconds: float) -> None:
        self._link.pump(seconds)

    def _connected(self) -> bool:
        self._link.pump(0.05)
        return self._link.connected

    def _take(self, topic: str, payload: bytes, retained: bool) -> None:
        self.messages.append((topic, payload))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[subprocess.Popen[str]] = []

    def start_(broker: Server, *words: str) -> subprocess.Popen[str]:
        environ = {
            **os.environ,
            "MARKAZ_MQTT__URL": url(broker),
            "MARKAZ_DATA_DIR": str(tmp_path / "var"),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "markaz", *words], cwd=ROOT, env=environ, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        running.append(process)
        return process

    yield start_
    for process in running:
        process.kill()
        process.communicate()


def test_the_city_is_heard_and_stops_cleanly(broker: Server, start: Start, tmp_path: Path) -> None:
    heard = Heard(broker, "markaz/v1/tashkent/#")
    few = ("--vehicles", "30", "--cameras", "20", "--sensors", "60")
    process = start(broker, "simulate", *few, "--truth", str(tmp_path / "truth"))
    wait_until(lambda: heard.listen(0.1) or heard.messages, what="a message of the city")
    heard.listen(12.0)
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0, process.communicate()[0]
    ends = Counter(topic.split("/", 5)[5] for topic, _ in heard.messages)
    vehicles = {topic.split("/")[4] for topic, _ in heard.messages if topic.endswith("/position")}
    assert len(vehicles) == 30
    assert ends["position"] >= 30 * 10
    assert ends["passengers"] >= 30
    assert ends["fuel"] >= 20
    assert ends["status"] >= 20
    assert ends["reading"] >= 12
    # Times are of now: measured at most moments before they were heard.
    newest = json.loads(next(p for t, p in reversed(heard.messages) if t.endswith("/position")))
    assert abs(time.time() - _epoch_s(newest["ts"])) < 5


def test_a_broker_that_comes_back_hears_the_city_again_and_nothing_old(nats: Nats, start: Start) -> None:
    process = start(nats, "simulate", "--vehicles", "20", "--cameras", "5")
    heard = Heard(nats, "markaz/v1/tashkent/vehicle/+/position")
    wait_until(lambda: heard.listen(0.1) or heard.messages, what="a position")
    nats.kill()
    time.sleep(4.0)
    nats.start()
    back_at = time.time()
    again = Heard(nats, "markaz/v1/tashkent/vehicle/+/position")
    wait_until(lambda: again.listen(0.1) or again.messages, what="a position after the broker came back")
    assert time.time() - back_at < 5
    again.listen(1.0)
    old = [p for _, p in again.messages if _epoch_s(json.loads(p)["ts"]) < back_at - 1.5]
    # At most what was on its way when the broker died is repeated (QoS 1).
    assert len(old) <= 20
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0


def test_a_recording_is_replayed_in_full_on_every_broker(broker: Server, start: Start, recordings: Path) -> None:
    """Topics with spaces too: some brokers would disconnect the sender."""
    dump = recordings / "hfp" / "currentStopNull" / "hfp.dump"
    heard = Heard(broker, "/hfp/v2/#")
    begin = time.time()
    process = start(broker, "replay", str(dump), "--speed", "10000")
    wait_until(lambda: heard.listen(0.1) or len(heard.messages) >= 1034, what="every line", timeout_s=30)
    assert "sent 1034, skipped 0" in process.communicate(timeout=10)[0]
    assert process.returncode == 0
    assert all(" " not in topic for topic, _ in heard.messages)
    times = [_epoch_s(next(iter(json.loads(payload).values()))["tst"]) for _, payload in heard.messages]
    # Played fast it ends now and its gaps are true: no vehicle seems to leap.
    assert abs(max(times) - begin) < 10
    assert max(times) - min(times) > 900


def test_bad_lines_are_named_and_skipped_and_kept_bytes_are_kept(nats: Nats, start: Start, tmp_path: Path) -> None:
    recording = tmp_path / "mixed.dump"
    recording.write_bytes(
        b'2023-10-29T19:46:39.1Z t/a {"ts":"2023-10-29T19:46:39Z"}\n'
        b"rubbish\n"
        b'2023-10-29T19:46:39.2Z t/+ {"wildcard":1}\n'
        b'2023-10-29T19:46:39.3Z t/b {"tsi":1698608799, }\n'
    )
    heard = Heard(nats, "t/#")
    process = start(nats, "replay", str(recording), "--times", "keep")
    wait_until(lambda: heard.listen(0.1) or len(heard.messages) >= 2, what="both good lines")
    output = process.communicate(timeout=10)[0]
    assert "sent 2, skipped 2" in output
    assert '"line": 2' in output
    assert '"line": 3' in output
    assert heard.messages == [("t/a", b'{"ts":"2023-10-29T19:46:39Z"}'), ("t/b", b'{"tsi":1698608799, }')]


def test_what_was_recorded_can_be_replayed(nats: Nats, start: Start, tmp_path: Path) -> None:
    recording = tmp_path / "city.jsonl"
    recorder = start(nats, "replay", "--record", str(recording), "--duration", "6")
    start(nats, "simulate", "--vehicles", "10", "--cameras", "5", "--duration", "3")
    output = recorder.communicate(timeout=20)[0]
    lines = recording.read_bytes().splitlines()
    assert f"recorded {len(lines)}" in output
    assert len(lines) >= 20
    heard = Heard(nats, "markaz/v1/tashkent/vehicle/+/position")
    start(nats, "replay", str(recording), "--speed", "10", "--limit", "20").communicate(timeout=20)
    heard.listen(0.5)
    assert heard.messages


def _epoch_s(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()

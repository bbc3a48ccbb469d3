"""What a client is told of its session, and how long it waits between tries."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace

import pytest

import ingest.session
from city.config import load_config
from ingest.session import Backoff, SessionSettings, place

ROOT = Path(__file__).resolve().parents[3]


def settings_of(**environ: str) -> SessionSettings:
    given = {"MQTT__URL": "mqtt://broker"} | environ
    config = load_config(ROOT / "config.yaml", {f"MARKAZ_{name}": value for name, value in given.items()})
    return SessionSettings.of(config, client_id="w", topics=["a", "b/#"], payload_max_bytes=100)


def test_an_address_says_host_port_and_whether_it_is_encrypted() -> None:
    plain, tls = settings_of(MQTT__URL="mqtt://broker"), settings_of(MQTT__URL="mqtts://broker")
    assert (plain.host, plain.port, plain.tls) == ("broker", 1883, False)
    assert (tls.host, tls.port, tls.tls) == ("broker", 8883, True)
    assert settings_of(MQTT__URL="mqtt://broker:2883").place == "broker:2883"
    assert plain.topics == ("a", "b/#")


def test_name_and_password_come_from_the_settings_or_else_from_the_address() -> None:
    url = "mqtt://us%40er:p%2Fw@broker"
    assert (settings_of(MQTT__URL=url).username, settings_of(MQTT__URL=url).password) == ("us@er", "p/w")
    said = settings_of(MQTT__URL=url, MQTT__USERNAME="other", MQTT__PASSWORD="secret")
    assert (said.username, said.password) == ("other", "secret")


def test_the_broker_sends_no_more_than_the_queue_takes() -> None:
    assert settings_of(INGEST__QUEUE_MAX="3000").receive_maximum == 3000
    assert settings_of(INGEST__QUEUE_MAX="200000").receive_maximum == 65_535, "the protocol knows no more"


def test_a_place_has_nothing_secret_in_it() -> None:
    assert place("redis://user:secret@store:6379/0") == "store:6379"
    assert place("redis-cluster://:secret@a:1,b:2") == "a:1,b:2"
    assert place("unix:///run/store.sock") == "/run/store.sock"


def test_waits_double_up_to_a_second_and_begin_anew_after_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest.session, "time", SimpleNamespace(monotonic=lambda: 100.0))
    monkeypatch.setattr(ingest.session, "random", random.Random(1))
    wait = Backoff()
    assert wait.until == 0.0
    waits = []
    for _ in range(10):
        wait.failed()
        waits.append(wait.until - 100.0)
    longest = [0.05, 0.1, 0.2, 0.4, 0.8, *[1.0] * 5]
    assert all(most / 2 <= one <= most for one, most in zip(waits, longest, strict=True))
    assert len({round(one, 6) for one in waits[-5:]}) > 1, "not in step with the other workers"
    wait.succeeded()
    assert wait.until == 0.0
    wait.failed()
    assert wait.until - 100.0 <= 0.05

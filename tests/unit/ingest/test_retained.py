"""When a worker of a share takes what the broker has retained, and what of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from city.config import load_config
from city.messages import Received
from ingest import retained
from ingest.retained import Retained
from ingest.session import Listener, SessionRefused, SessionSettings

ROOT = Path(__file__).resolve().parents[3]
LIVE = Received("markaz/v1/tashkent/camera/a/status", b"live", 1, packet_id=7, connection=1)
KEPT = Received("markaz/v1/tashkent/camera/b/status", b"kept", 1, retained=True, packet_id=8, connection=1)


class Played:
    """A session that does what the test says."""

    def __init__(self, settings: SessionSettings, listener: Listener) -> None:
        self.settings = settings
        self.listener = listener
        self.connected = self.subscribed = True
        self.brings: list[Received] = []
        self.acknowledged: list[Received] = []
        self.closed = False
        self.refuses = False

    def connect_if_needed(self) -> None:
        if self.refuses:
            raise SessionRefused("not allowed")

    def read(self) -> None:
        brought, self.brings = self.brings, []
        if brought:
            self.listener.offer(brought)

    def wants_write(self) -> bool:
        return False

    def acknowledge(self, messages: Sequence[Received]) -> None:
        self.acknowledged += messages

    def close(self, until: float, *, forget: bool = False) -> None:
        self.closed = forget


class Scene:
    """A worker's own session, and those that are opened beside it."""

    def __init__(self, *topics: str) -> None:
        config = load_config(ROOT / "config.yaml", {"MARKAZ_MQTT__URL": "mqtt://broker"})
        settings = SessionSettings.of(config, client_id="markaz-tashkent-a", topics=topics, payload_max_bytes=1000)
        self.offered: list[Received] = []
        self.opened: list[Played] = []
        listener = Listener(self.offered.extend, lambda _: None, lambda: 1)
        self.retained = Retained(settings, self._open, listener)  # type: ignore[arg-type]
        self.own = Played(settings, listener)
        self.own.connected = self.own.subscribed = False

    def _open(self, settings: SessionSettings, listener: Listener) -> Played:
        self.opened.append(Played(settings, listener))
        return self.opened[-1]

    def turn(self, *, full: bool = False) -> None:
        self.retained.turn(self.own, full=full)  # type: ignore[arg-type]

    def later(self) -> None:
        """A turn after which the broker has been silent for long enough."""
        time.sleep(0.03)
        self.turn()

    def connect(self, *, resumed: bool) -> None:
        """The worker's session is there (again)."""
        self.own.connected = False
        self.turn()
        self.own.connected = self.own.subscribed = True
        if resumed:
            self.retained.resumed(1)
        self.turn()


@pytest.fixture
def shared() -> Scene:
    return Scene("$share/city/markaz/v1/tashkent/#", "$share/city//hfp/v2/#")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retained, "_QUIET_S", 0.02)


def test_a_worker_that_shares_nothing_gets_them_by_its_own_subscription() -> None:
    scene = Scene("markaz/v1/tashkent/#")
    scene.connect(resumed=False)
    assert scene.opened == []


def test_it_subscribes_beside_the_share_in_a_session_that_ends_with_its_connection(shared: Scene) -> None:
    shared.turn()
    assert shared.opened == [], "not before the share is subscribed to"
    shared.connect(resumed=False)
    (beside,) = shared.opened
    assert beside.settings.topics == ("markaz/v1/tashkent/#", "/hfp/v2/#")
    assert (beside.settings.session_expiry_s, beside.settings.client_id) == (0, "markaz-tashkent-a-retained")


def test_only_what_bears_the_retain_flag_is_taken_and_without_anything_to_acknowledge(shared: Scene) -> None:
    shared.own.connected = shared.own.subscribed = True
    shared.turn(full=True)
    (beside,) = shared.opened
    beside.brings = [KEPT, LIVE]
    shared.turn(full=True)
    assert shared.offered == [], "a full queue waits"
    shared.turn()
    assert [(one.payload, one.packet_id) for one in shared.offered] == [(b"kept", 0)]
    assert beside.acknowledged == [KEPT, LIVE]
    assert not beside.closed
    shared.later()
    assert beside.closed, "nothing more comes"


def test_it_is_done_at_every_start_and_when_the_broker_has_lost_the_session(shared: Scene) -> None:
    shared.connect(resumed=True)
    assert len(shared.opened) == 1, "the worker before may have died over it"
    shared.later()
    assert shared.opened[0].closed
    shared.connect(resumed=True)
    assert len(shared.opened) == 1
    shared.connect(resumed=False)
    assert len(shared.opened) == 2


def test_a_broker_that_forbids_it_stops_nobody(shared: Scene) -> None:
    shared.own.connected = shared.own.subscribed = True
    shared.turn(full=True)
    shared.opened[0].refuses = True
    shared.turn()
    assert shared.opened[0].closed
    shared.turn()
    assert len(shared.opened) == 1

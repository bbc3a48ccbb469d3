"""The faults that are planted under load, each with what it must not cost."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from flow import Flow, Message, load, renumbered
from rig import SENT_AGAIN_S, Meter, Outcome, Scene, ThreadWorker, count, follow

_HOUR_MS = 3_600_000
_AGAIN_AFTER = 50  # messages between one and its repetition
_TMPFS_BYTES = 96 << 20
_MNT_DETACH = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Something that goes wrong while messages flow, and what it needs of the scene."""

    what: str
    # Called in mid-load with the seconds to keep it up; returns when it is over.
    plant: Callable[[Scene, float], None]
    lasts_s: float = 2.0
    sent_again: bool = False  # the broker has to send again what was on its way
    order: Callable[[list[Message], float], list[Message]] = lambda messages, rate: messages
    proxied: bool = False
    replica: bool = False
    worker: Literal["any", "process", "thread"] = "any"  # process: it is killed; thread: its clock is set
    small_disk: bool = False
    settings: dict[str, str] = field(default_factory=dict)


def run(
    directory: Path,
    fault: Fault,
    *,
    broker: str,
    client: str,
    messages: int,
    rate: float,
    vehicles: int,
    lasts_s: float | None = None,
    in_thread: bool = False,
) -> Outcome:
    """One round: the fault begins after 30 % of the load; `in_thread`: the worker too, where the fault allows it."""
    flow_of = fault.order(load(messages, vehicles, rate), rate)
    with contextlib.ExitStack() as at_end:
        if fault.small_disk:
            at_end.enter_context(small_disk(directory / "store"))
        scene = Scene(
            directory,
            broker,
            client=client,
            proxied=fault.proxied,
            replica=fault.replica,
            in_thread=fault.worker == "thread" or (in_thread and fault.worker == "any"),
            settings=fault.settings,
        )
        at_end.callback(scene.close)
        flow = Flow(scene.broker.port, flow_of, rate)
        meter = Meter(scene, flow)
        flow.start()
        meter.start()
        time.sleep(0.3 * len(flow_of) / rate)
        fault.plant(scene, fault.lasts_s if lasts_s is None else lasts_s)
        ended = time.monotonic()
        flow.join()
        meter.wait_for_all(max(time.monotonic() + 0.3, ended + (SENT_AGAIN_S[broker] if fault.sent_again else 0)))
        meter.stop()
        return count(scene, flow, meter, ended)


def _nothing(scene: Scene, lasts_s: float) -> None:
    pass


def _restart_broker(scene: Scene, lasts_s: float) -> None:
    scene.broker.stop()
    time.sleep(lasts_s)
    scene.broker.start()


def _kill_broker(scene: Scene, lasts_s: float) -> None:
    scene.broker.kill()
    time.sleep(lasts_s)
    scene.broker.start()


def _kill_broker_with_backlog(scene: Scene, lasts_s: float) -> None:
    """The worker is away when the broker is killed: all that came meanwhile is the broker's alone."""
    scene.worker.stop()
    time.sleep(lasts_s)
    scene.broker.kill()
    scene.broker.start()
    scene.worker.start()


def _cut(scene: Scene, lasts_s: float) -> None:
    assert scene.wire is not None
    scene.wire.cut()
    time.sleep(lasts_s)
    scene.wire.heal()


def _freeze(scene: Scene, lasts_s: float) -> None:
    assert scene.wire is not None
    scene.wire.freeze()
    time.sleep(lasts_s)
    scene.wire.heal()


def _half_open(scene: Scene, lasts_s: float) -> None:
    assert scene.wire is not None
    scene.wire.freeze()
    time.sleep(lasts_s)
    scene.wire.heal_for_new()


def _restart_store(scene: Scene, lasts_s: float) -> None:
    scene.store.stop()
    time.sleep(lasts_s)
    scene.store.start()


def _kill_store(scene: Scene, lasts_s: float) -> None:
    scene.store.kill()
    time.sleep(lasts_s)
    scene.store.start()


def _hang_store(scene: Scene, lasts_s: float) -> None:
    scene.store.pause()
    time.sleep(lasts_s)
    scene.store.go_on()


def _fill_store(scene: Scene, lasts_s: float) -> None:
    with scene.admin(scene.store) as admin:
        used = admin.link.run(lambda redis: redis.info("memory"))["used_memory"]
        admin.link.run(lambda redis: redis.config_set("maxmemory", used))
        time.sleep(lasts_s)
        admin.link.run(lambda redis: redis.config_set("maxmemory", 0))


def _fail_over(scene: Scene, lasts_s: float) -> None:
    """The primary is killed, its replica promoted, the address moved; the old one comes back as its replica."""
    assert scene.replica is not None
    assert scene.store_wire is not None
    scene.store.kill()
    time.sleep(lasts_s)
    with scene.admin(scene.replica) as admin:
        admin.link.run(lambda redis: redis.replicaof("NO", "ONE"))
    scene.store_wire.cut()
    scene.store_wire.target = scene.replica.port
    scene.store_wire.heal()
    scene.store.start()
    follow(scene, scene.store, scene.replica)


def _kill_worker(scene: Scene, lasts_s: float) -> None:
    """As often as `lasts_s` has seconds, at moments that nobody chose; started again as the supervisor does."""
    for _ in range(max(1, round(lasts_s))):
        scene.worker.kill()
        time.sleep(0.5)
        scene.worker.start()
        time.sleep(1.0 + random.random())


def _restart_worker(scene: Scene, lasts_s: float) -> None:
    scene.worker.stop()
    time.sleep(lasts_s)
    scene.worker.start()


def _fill_disk(scene: Scene, lasts_s: float) -> None:
    ballast = scene.directory / "store" / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    time.sleep(lasts_s)
    ballast.unlink()


def _jump_clock(scene: Scene, lasts_s: float) -> None:
    assert isinstance(scene.worker, ThreadWorker)
    for ahead_ms in (_HOUR_MS, -_HOUR_MS):
        scene.worker.ahead_ms = ahead_ms
        time.sleep(lasts_s)
    scene.worker.ahead_ms = 0


def _twice(messages: list[Message], rate: float) -> list[Message]:
    """Each message, and again before its vehicle says something newer: after that it would be late."""
    found: list[Message] = []
    for start in range(0, len(messages), _AGAIN_AFTER):
        found += 2 * messages[start : start + _AGAIN_AFTER]
    return renumbered(found)


def _shuffled(messages: list[Message], rate: float) -> list[Message]:
    """In any order within five seconds."""
    window, rng = max(2, int(5 * rate)), random.Random(5)
    found: list[Message] = []
    for start in range(0, len(messages), window):
        piece = messages[start : start + window]
        rng.shuffle(piece)
        found += piece
    return renumbered(found)


FAULTS: dict[str, Fault] = {
    "broker_restart": Fault(what="broker restarted (SIGTERM, 2 s away)", plant=_restart_broker, sent_again=True),
    "broker_kill": Fault(what="broker killed (-9, 2 s away)", plant=_kill_broker, sent_again=True),
    "broker_kill_backlog": Fault(
        what="broker killed while the worker is away",
        plant=_kill_broker_with_backlog,
        lasts_s=4.0,
        sent_again=True,
        worker="process",
    ),
    "network_cut": Fault(
        what="connections to the broker broken, 3 s", plant=_cut, lasts_s=3.0, proxied=True, sent_again=True
    ),
    "network_frozen": Fault(
        what="nothing gets through, 3 s", plant=_freeze, lasts_s=3.0, proxied=True, sent_again=True
    ),
    "network_half_open": Fault(
        what="nothing for 3 s, then the worker's connection is dead",
        plant=_half_open,
        lasts_s=3.0,
        proxied=True,
        sent_again=True,
    ),
    "store_restart": Fault(what="store restarted (SIGTERM, 2 s away)", plant=_restart_store),
    "store_kill": Fault(what="store killed (-9, 2 s away)", plant=_kill_store),
    "store_kill_disk": Fault(
        what="the same with `store.durability: disk`", plant=_kill_store, settings={"MARKAZ_STORE__DURABILITY": "disk"}
    ),
    "store_hang": Fault(what="store hangs (SIGSTOP, 5 s)", plant=_hang_store, lasts_s=5.0),
    "store_full": Fault(what="store full (maxmemory, 3 s)", plant=_fill_store, lasts_s=3.0),
    "store_failover": Fault(
        what="primary killed, replica promoted (`store.replicas: 1`)", plant=_fail_over, lasts_s=1.0, replica=True
    ),
    "worker_kill": Fault(
        what="worker killed (-9) three times", plant=_kill_worker, lasts_s=3.0, sent_again=True, worker="process"
    ),
    "worker_restart": Fault(
        what="worker restarted (SIGTERM, 2 s away)", plant=_restart_worker, sent_again=True, worker="process"
    ),
    "disk_full": Fault(what="the store's disk full, 4 s", plant=_fill_disk, lasts_s=4.0, small_disk=True),
    "clock_jump": Fault(what="worker's clock +1 h, then −1 h, 2 s each", plant=_jump_clock, worker="thread"),
    "duplicates": Fault(what="every message published twice", plant=_nothing, order=_twice),
    "reordered": Fault(what="order shuffled within 5 s", plant=_nothing, order=_shuffled),
}


# --- a disk that can be filled -----------------------------------------------------------------------


def can_mount() -> bool:
    """Whether this process may have a small disk of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mount(b"tmpfs", b"/nonexistent", b"tmpfs", 0, None)
    return ctypes.get_errno() == errno.ENOENT


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of its own in `folder`; needs root."""
    libc = ctypes.CDLL(None, use_errno=True)
    folder.mkdir(parents=True, exist_ok=True)
    if libc.mount(b"tmpfs", str(folder).encode(), b"tmpfs", 0, f"size={_TMPFS_BYTES}".encode()):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    try:
        yield
    finally:
        libc.umount2(str(folder).encode(), _MNT_DETACH)

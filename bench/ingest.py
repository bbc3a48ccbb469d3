"""How fast ingest takes messages in, how late they are stored, and what else does the same job.

    python bench/ingest.py                            every part, 3 rounds, about 15 minutes
    python bench/ingest.py --quick                    one short round of the main figures, to see that everything works
    python bench/ingest.py --only live,latency        some parts
    python bench/ingest.py --only memory --messages 10000000

Real brokers and stores, on this machine, started anew for every figure. mosquitto writes its sessions to disk every
half hour, its own default; `mosquitto-saving` does it every second, as in deploy/mosquitto.conf. Positions of about
300 bytes of 2,000 vehicles, QoS 1. Rounds of all subjects are taken in turn, so that a noisy minute hits them alike;
medians count.

live      The publisher sends as fast as the broker takes it. Rate: messages / time from the first publish to the last
          message stored. Subjects: `bare` acknowledges and forgets (bench/bare.py), `lean` and `paho` are
          `markaz ingest`, `nodered` is bench/peers/nodered.
drain     Messages wait in the broker's session, then the receiver comes. Rate: from its connection to the last stored.
embedded  As live, on the broker and the store that `markaz up` starts.
share     As live, with two workers on a shared subscription.
latency   From the publisher's stamp in the message to its arrival at a reader that blocks on the event streams.
memory    The worker's memory over many messages: its first and its last tenth.
areas     Time of a point's areas, and how many of a million points shapely alone decides otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent)]

import reader  # noqa: E402 - found only after the line above
from exact import measure_areas  # noqa: E402
from rig import ROOT, VEHICLES, Process, Rig, Row, cpu_s, nodered_missing, pid_of, rig, rss_mb  # noqa: E402

SUBJECTS = ("bare", "lean", "paho", "nodered")
PARTS = ("live", "drain", "embedded", "share", "latency", "memory", "areas")
QUICK_PARTS = ("live", "latency", "areas")
RESULTS = ROOT / "bench" / "results" / "ingest.json"


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rounds: int
    warm_up: int  # messages before a live figure: caches, JIT and scripts are ready then
    live: dict[str, int]  # messages a subject; the slow ones get fewer
    drain: dict[str, int]
    embedded: int
    latency: tuple[tuple[str, int], ...]  # (servers, messages a second)
    latency_s: float  # seconds a rate, beside the first two
    points: int


FULL = Size(
    rounds=3,
    warm_up=20_000,
    live={"bare": 300_000, "lean": 300_000, "paho": 100_000, "nodered": 60_000},
    drain={"bare": 200_000, "lean": 200_000, "paho": 100_000, "nodered": 60_000},
    embedded=200_000,
    latency=(
        ("embedded", 5_000),
        ("mosquitto", 10_000),
        ("mosquitto", 20_000),
        ("mosquitto-saving", 10_000),
        ("mosquitto-saving", 20_000),
    ),
    latency_s=15,
    points=1_000_000,
)
QUICK = Size(
    rounds=1,
    warm_up=4_000,
    live={"bare": 40_000, "lean": 40_000, "paho": 15_000, "nodered": 10_000},
    drain={"bare": 40_000, "lean": 40_000, "paho": 10_000, "nodered": 8_000},
    embedded=30_000,
    latency=(("mosquitto", 10_000),),
    latency_s=2,
    points=100_000,
)


class Costs:
    """Processor time of processes, a message."""

    def __init__(self, **processes: int) -> None:
        self._processes = processes
        self._before = {name: cpu_s(pid) for name, pid in processes.items()}

    def us(self, messages: int) -> Row:
        return {
            f"{name}_us": round((cpu_s(pid) - self._before[name]) / messages * 1e6, 1)
            for name, pid in self._processes.items()
        }


def checked(on: Rig, sent: int) -> Row:
    """What is wrong with what the store has: all of it must be 0."""
    counted = on.counted()
    audit = on.audit()
    return {
        "lost": max(0, sent - counted.received),
        "doubled": max(0, counted.received - sent) + audit["doubled"],
        "late": counted.late,
        "rejected": counted.rejected,
        "stale": audit["stale"],
    }


def live(subject: str, messages: int, warm_up: int, kind: str = "mosquitto") -> Row:
    with rig(kind) as on:
        receiver = on.start(subject, warm_up + messages)
        on.publish(warm_up, prefix="warm-", seed=9)
        if subject != "bare":
            on.wait_received(warm_up)
        return loaded(on, [receiver], messages, warm_up, bare=subject == "bare")


def loaded(on: Rig, receivers: Sequence[Process], messages: int, warm_up: int, *, bare: bool = False) -> Row:
    """Publish as fast as the broker takes it, until all is stored."""
    load = on.load(messages)
    # The bare reader ends by itself, and tells its own.
    pids = {} if bare else {f"worker{number or ''}": one.pid for number, one in enumerate(receivers)}
    costs = Costs(**pids, store=pid_of(on.store_server), broker=pid_of(on.broker), publisher=load.pid)
    load.go()
    if bare:
        told = json.loads(receivers[0].line())
        worker_us = round(told["cpu_s"] / told["received"] * 1e6, 1)
        row: Row = {"worker_us": worker_us, **costs.us(messages)}
        last, result = told["last"], {"lost": warm_up + messages - told["received"], "doubled": 0}
        published = load.told()
    else:
        on.wait_received(warm_up + messages)
        row = costs.us(messages)
        last = on.last_write()
        published = load.told()
        result = checked(on, warm_up + messages)
    took = last - published.begin
    published_per_s = messages / (published.end - published.begin)
    return {"per_s": round(messages / took), "published_per_s": round(published_per_s), **row, **result}


def drain(subject: str, messages: int) -> Row:
    """Messages wait at the broker, then the receiver comes back."""
    with rig("mosquitto") as on:
        on.start(subject, 1).stop()  # from now on the broker keeps the session
        published = on.publish(messages, prefix="bus-", seed=1)
        if subject == "bare":
            told = json.loads(on.start(subject, messages).line())
            row: Row = {"worker_us": round(told["cpu_s"] / messages * 1e6, 1)}
            took, result = told["last"] - told["connected"], {"lost": messages - told["received"], "doubled": 0}
        else:
            receiver = on.start(subject, messages)
            # From a moment after its start, which costs more than what it takes meanwhile.
            costs = Costs(worker=receiver.pid, store=pid_of(on.store_server), broker=pid_of(on.broker))
            on.wait_received(messages)
            row = costs.us(messages)
            took, result = on.last_write() - receiver.connected_at, checked(on, published.sent)
        return {"per_s": round(messages / took), **row, **result}


def share(messages: int, warm_up: int) -> Row:
    with rig("mosquitto", MARKAZ_INGEST__SHARE="bench") as on:
        workers = [on.worker(name) for name in ("a", "b")]
        on.publish(warm_up, prefix="warm-", seed=9)
        on.wait_received(warm_up)
        return loaded(on, workers, messages, warm_up)


def latency(kind: str, rate: int, seconds: float, settings: Mapping[str, str]) -> Row:
    """publish → stored at a steady rate; the first two seconds do not count."""
    warm_up_s = 2.0
    messages = int(rate * (seconds + warm_up_s)) // 50 * 50
    with rig(kind, **settings) as on:
        worker = on.worker()
        load = on.load(messages, rate=rate, stamp=True)
        costs = Costs(worker=worker.pid, store=pid_of(on.store_server), broker=pid_of(on.broker), publisher=load.pid)
        seen = reader.Reader(on.store)
        load.go()
        seen.read(lambda: on.wait_received(messages, every_s=0.5))
        row = costs.us(messages)
        published = load.told()
        sent_per_s = published.sent / (published.end - published.begin)
        return {
            **seen.delays_ms(after_ms=int((published.begin + warm_up_s) * 1000)),
            "published_per_s": round(sent_per_s),
            **row,
            **checked(on, messages),
        }


def memory(messages: int, rate: int) -> Row:
    """Megabytes of a worker, the median of the first and of the last tenth of the messages."""
    # The event streams of an hour at this rate would fill the machine.
    with rig("mosquitto", MARKAZ_STORE__EVENTS_KEEP_S="30") as on:
        worker = on.worker()
        load = on.load(messages, rate=rate, stamp=True)
        load.go()
        samples: list[tuple[int, float]] = []
        while (received := on.counted().received) < messages:
            samples.append((received, rss_mb(worker.pid)))
            time.sleep(min(0.5, messages / rate / 100))
            if len(samples) > 60 and samples[-60][0] == received:
                break
        published = load.told()
        first = [mb for received, mb in samples if 0 < received <= messages / 10]
        last = [mb for received, mb in samples if received > messages * 0.9]
        return {
            "messages": published.sent,
            "rate": rate,
            "first_tenth_mb": round(statistics.median(first), 1),
            "last_tenth_mb": round(statistics.median(last), 1),
            "most_mb": round(max(mb for _, mb in samples), 1),
            "lost": published.sent - on.counted().received,
        }


# --- rounds ---------------------------------------------------------------------------------------


def in_turn(rounds: int, runs: Mapping[str, Callable[[], Row]]) -> dict[str, list[Row]]:
    """Every run once a round."""
    found: dict[str, list[Row]] = {name: [] for name in runs}
    for number in range(rounds):
        for name, run in runs.items():
            row = run()
            found[name].append(row)
            told = " ".join(f"{key} {value}" for key, value in row.items())
            print(f"  round {number + 1}  {name}: {told}", flush=True)
    return found


def medians(rows: Sequence[Row]) -> Row:
    """Of every number its median; of what must be 0 its highest."""
    strict = {"lost", "doubled", "late", "rejected", "stale", "wrong"}
    found: Row = {}
    for key in rows[0]:
        values = [value for row in rows if isinstance(value := row.get(key), int | float)]
        if values:
            found[key] = max(values) if key in strict else round(statistics.median(values), 3)
        else:
            found[key] = rows[0][key]
    return found


def run_part(part: str, size: Size, given: argparse.Namespace) -> dict[str, list[Row]]:
    subjects = [one for one in SUBJECTS if one in given.subjects]
    if part == "live":
        return in_turn(size.rounds, {one: partial(live, one, size.live[one], size.warm_up) for one in subjects})
    if part == "drain":
        return in_turn(size.rounds, {one: partial(drain, one, size.drain[one]) for one in subjects})
    if part == "embedded":
        return in_turn(size.rounds, {"embedded": partial(live, "lean", size.embedded, size.warm_up, "embedded")})
    if part == "share":
        return in_turn(size.rounds, {"two workers": partial(share, size.live["lean"], size.warm_up)})
    if part == "latency":
        settings = dict(one.split("=", 1) for one in given.set)
        return in_turn(
            size.rounds,
            {f"{kind} {rate}": partial(latency, kind, rate, size.latency_s, settings) for kind, rate in size.latency},
        )
    if part == "memory":
        return in_turn(1, {"worker": partial(memory, given.messages, given.memory_rate)})
    return in_turn(size.rounds, {"districts and mahallas": partial(measure_areas, size.points)})


def ratios(parts: dict[str, dict[str, list[Row]]]) -> Row:
    """How the subjects stand to each other."""
    found: Row = {}
    for part in ("live", "drain"):
        rates = {name: float(medians(rows)["per_s"]) for name, rows in parts.get(part, {}).items()}
        for other in ("bare", "paho", "nodered"):
            if "lean" in rates and other in rates:
                found[f"{part}: lean / {other}"] = round(rates["lean"] / rates[other], 2)
    return found


def show(parts: dict[str, dict[str, list[Row]]]) -> None:
    for part, runs in parts.items():
        rows = {name: medians(some) for name, some in runs.items()}
        columns = list(dict.fromkeys(key for row in rows.values() for key in row))
        widths = [max(len(column), 9) + 2 for column in columns]
        heads = "".join(f"{column:>{width}}" for column, width in zip(columns, widths, strict=True))
        print(f"\n{part:24}{heads}")
        for name, row in rows.items():
            cells = "".join(f"{row.get(column, '–'):>{width}}" for column, width in zip(columns, widths, strict=True))
            print(f"{name:24}{cells}")
    for name, ratio in ratios(parts).items():
        print(f"{name:24}{ratio:>11}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--only", help=f"of {', '.join(PARTS)}; all, or {', '.join(QUICK_PARTS)} with --quick")
    parser.add_argument("--subjects", default=",".join(SUBJECTS), help=f"of live and drain: of {', '.join(SUBJECTS)}")
    parser.add_argument("--rounds", type=int, help="3, or 1 with --quick")
    parser.add_argument("--messages", type=int, help="of the memory part; 300,000, or 30,000 with --quick")
    parser.add_argument("--memory-rate", type=int, default=15_000, help="messages a second of the memory part")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of the latency part: MARKAZ_STORE__PARTITIONS=4",
    )
    given = parser.parse_args()
    wanted = given.only.split(",") if given.only else QUICK_PARTS if given.quick else PARTS
    given.subjects = given.subjects.split(",")
    if unknown := [*({*wanted} - {*PARTS}), *({*given.subjects} - {*SUBJECTS})]:
        parser.error(f"unknown: {', '.join(unknown)}")
    base = QUICK if given.quick else FULL
    size = Size(**{**vars(base), "rounds": given.rounds or base.rounds})
    given.messages = (given.messages or (30_000 if given.quick else 300_000)) // 50 * 50
    if {"live", "drain"} & {*wanted} and "nodered" in given.subjects and (why := nodered_missing()):
        print(f"Node-RED is left out: {why}")
        given.subjects.remove("nodered")
    begin = time.monotonic()
    parts: dict[str, dict[str, list[Row]]] = {}
    for part in PARTS:
        if part in wanted:
            print(part, flush=True)
            parts[part] = run_part(part, size, given)
    show(parts)
    about = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "quick": given.quick,
        "rounds": size.rounds,
        "set": given.set,
        "vehicles": VEHICLES,
        "seconds": round(time.monotonic() - begin),
        "ratios": ratios(parts),
        "medians": {part: {name: medians(rows) for name, rows in runs.items()} for part, runs in parts.items()},
        "runs": parts,
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(about, indent=1))


if __name__ == "__main__":
    main()

"""Plants faults under load and counts every message afterwards.

    python bench/faults.py                                        # each fault on each broker, three rounds
    python bench/faults.py --broker nats --fault store_kill --rounds 5 --client paho

Prints a table of medians and writes every round to bench/results/faults.json (faults-paho.json). A fault that loses
or doubles anything beyond its broker's promise ends it with exit code 1.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "integration")]

from planted import FAULTS, can_mount, run  # noqa: E402 - found only after the line above
from rig import BROKERS, Outcome  # noqa: E402
from servers import Mosquitto  # noqa: E402

RATE, VEHICLES, SECONDS = 3000.0, 2000, 15.0
# What nobody promises: mosquitto writes its sessions down every second or two, and a store with
# `appendfsync everysec` may answer before it writes while its disk is busy.
UNPROMISED = {
    ("mosquitto", "broker_kill"),
    ("mosquitto", "broker_kill_backlog"),
    ("mosquitto", "store_kill"),
    ("nats", "store_kill"),
}
COLUMNS = ("sent", "stored", "late", "rejected", "lost", "doubled", "recovery, s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", choices=sorted(BROKERS), action="append", help="default: each that is installed")
    parser.add_argument("--client", choices=("lean", "paho"), default="lean")
    parser.add_argument("--fault", choices=sorted(FAULTS), action="append", help="default: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=RATE, help="messages a second")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long messages flow")
    given = parser.parse_args()
    brokers = given.broker or [name for name in BROKERS if name != "mosquitto" or Mosquitto.binary()]
    names = given.fault or [name for name, fault in FAULTS.items() if not fault.small_disk or can_mount()]
    rounds: dict[tuple[str, str], list[Outcome]] = {}
    # In turn, so that a noisy minute hits all alike.
    for number in range(given.rounds):
        for name in names:
            for broker in brokers:
                outcome = one_round(name, broker, given.client, given.rate, given.seconds)
                rounds.setdefault((name, broker), []).append(outcome)
                print(f"round {number + 1}: {broker}, {name}: {line(outcome)}", file=sys.stderr, flush=True)
        save(given.client, given.rate, given.seconds, rounds)
    for broker in brokers:
        print(f"\n{broker}, client {given.client}, {given.rate:.0f} messages/s for {given.seconds:.0f} s\n")
        print(table([(FAULTS[name].what, rounds[name, broker]) for name in names]))
    broken = [key for key, outcomes in rounds.items() if not all(kept(*key, one) for one in outcomes)]
    for name, broker in broken:
        print(f"{broker} does not hold: {name}", file=sys.stderr)
    return 1 if broken else 0


def one_round(name: str, broker: str, client: str, rate: float, seconds: float) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="markaz-faults-") as folder:
        return run(
            Path(folder),
            FAULTS[name],
            broker=broker,
            client=client,
            messages=int(rate * seconds),
            rate=rate,
            vehicles=VEHICLES,
        )


def kept(name: str, broker: str, outcome: Outcome) -> bool:
    """Whether nothing was lost and nothing doubled, as far as the broker promises."""
    if (broker, name) in UNPROMISED:
        return outcome.doubled_in_streams == 0
    return outcome.lost == outcome.doubled_in_streams == outcome.doubled_in_counts == outcome.wrong_in_state == 0


def line(outcome: Outcome) -> str:
    return " · ".join(f"{name} {value}" for name, value in zip(COLUMNS, cells([outcome]), strict=True))


def cells(outcomes: Sequence[Outcome]) -> list[str]:
    """Medians of what varies, the worst of what must be zero."""
    reasons = sorted({reason for one in outcomes for reason in one.rejected})
    rejected = [
        f"{statistics.median(one.rejected.get(reason, 0) for one in outcomes):,.0f} {reason}" for reason in reasons
    ]
    doubled = max(one.doubled_in_streams + one.doubled_in_counts + one.wrong_in_state for one in outcomes)
    return [
        *(f"{statistics.median(getattr(one, what) for one in outcomes):,.0f}" for what in ("sent", "stored", "late")),
        ", ".join(rejected) or "0",
        " · ".join(f"{one.lost:,}" for one in outcomes) if any(one.lost for one in outcomes) else "0",
        f"{doubled:,}",
        " · ".join(f"{one.recovery_s:.1f}" for one in outcomes),
    ]


def table(rows: Sequence[tuple[str, Sequence[Outcome]]]) -> str:
    """Markdown."""
    lines = [("fault", *COLUMNS), ("---",) * (len(COLUMNS) + 1), *((what, *cells(outcomes)) for what, outcomes in rows)]
    return "\n".join(f"| {' | '.join(one)} |" for one in lines)


def save(client: str, rate: float, seconds: float, rounds: dict[tuple[str, str], list[Outcome]]) -> None:
    results = ROOT / "bench" / "results"
    results.mkdir(parents=True, exist_ok=True)
    told = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "client": client,
        "rate_per_s": rate,
        "seconds": seconds,
        "rounds": [
            {"fault": name, "broker": broker, "outcomes": [one.as_json() for one in outcomes]}
            for (name, broker), outcomes in rounds.items()
        ],
    }
    (results / ("faults.json" if client == "lean" else f"faults-{client}.json")).write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    sys.exit(main())

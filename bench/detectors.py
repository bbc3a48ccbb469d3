"""How well the detectors tell what happened, and what they cost.

    python bench/detectors.py                      a week with planted truth, a clean week's tanks, and speed
    python bench/detectors.py --quick              a day of each, to see that everything works
    python bench/detectors.py --seeds 1,2,3 --days 7 --only week
    python bench/detectors.py --only clean --seeds 1,2,3
    python bench/detectors.py --only speed

week      A simulated city (bench/week: 120 buses on 12 routes, cameras, sensors, Markaz itself) with planted truth goes
          through `analysis.detection.Detection` as in the watching process: events in the order of their measuring,
          a tick every five seconds, counters every ten. Its alarms are held against the truth.
clean     The same tanks, and nobody steals: every alarm of a theft is false.
series    A gauge alone, of which nobody tells whether its bus moves: slosh of ±9 l in three manners, a dropout to 0 of
          26 hours that begins at 77 l, four refuels, no theft.
speed     What an event costs, see bench/detector_speed.py.

An alarm about what is clear is found or false; about what is not clear (a delay of 14 minutes) it is neither, and shown
apart. The same truth told again is shown apart too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench"), str(ROOT / "tests" / "unit" / "analysis" / "detectors")]

from detector_speed import Speed, speed  # noqa: E402 - found only after the line above
from levels import SLOSHES  # noqa: E402
from levels import week as level_series  # noqa: E402
from week.cars import CARS, QUARTER, QUARTER_M, YARD, YARD_M, square  # noqa: E402
from week.city import City  # noqa: E402
from week.score import Match, Raised, match, score  # noqa: E402
from week.truth import DAY_S, HOUR_S, MONDAY_MS, Truth, ms  # noqa: E402

from analysis.detection import Detection  # noqa: E402
from analysis.routes import Routes  # noqa: E402
from analysis.schedule import Clock  # noqa: E402
from city.alarms import Action  # noqa: E402
from city.config import load_config  # noqa: E402
from city.events import FuelReading  # noqa: E402
from city.routes import load_routes  # noqa: E402
from city.rules import Alarms  # noqa: E402
from city.rules.sensors import RateLimit, SensorLimit  # noqa: E402
from city.rules.transport import Fence  # noqa: E402

CITY_DIR = ROOT / "data" / "tashkent"
RESULTS = ROOT / "bench" / "results" / "detectors.json"
TICK_S, LOOK_S, WRITE_S = 5, 10, 60
RUSH_HOURS = (6, 10)
TANKS = ("fuel_drop", "refuel", "excessive_use")

# What an installation sets by itself: limits and fences. All else is the default.
LIMITS = (
    SensorLimit(network="electricity", quantity="voltage", unit="V", high=253, low=198, low_low=150, deadband=2),
    SensorLimit(network="water", quantity="pressure", unit="bar", low=2, low_low=0.5, deadband=0.2),
    SensorLimit(network="gas", quantity="pressure", unit="kPa", low=1.8, low_low=0.5, deadband=0.1),
)
RATES = (RateLimit(network="water", quantity="pressure", unit="bar", fall_max=1, within_s=300),)
SERVICE_CARS = tuple(f"car-{number}" for number in range(CARS))
FENCES = {
    "quarter": Fence(when="leaves", vehicles=SERVICE_CARS, polygon=square(QUARTER, QUARTER_M)),
    "yard": Fence(when="enters", vehicles=SERVICE_CARS, polygon=square(YARD, YARD_M)),
}


def site_rules(only: Sequence[str] = ()) -> Alarms:
    """The rules as `config.yaml` has them, with limits and fences; some alone where only those are wanted."""
    rules = load_config(ROOT / "config.yaml", {}).alarms
    changed: dict[str, Any] = {
        "sensor_threshold": rules.sensor_threshold.model_copy(update={"limits": LIMITS}),
        "sensor_rate": rules.sensor_rate.model_copy(update={"limits": RATES}),
        "geofence": rules.geofence.model_copy(update={"fences": FENCES}),
    }
    for name in Alarms.model_fields if only else ():
        if name not in only:
            changed[name] = getattr(rules, name).model_copy(update={"enabled": False})
    return rules.model_copy(update=changed)


@dataclass
class Played:
    """A week that went through the detectors."""

    alarms: list[Raised] = field(default_factory=list)
    truths: list[Truth] = field(default_factory=list)
    events: int = 0
    detecting_s: float = 0.0
    memory_bytes: int = 0


def play(city: City, detection: Detection, *, looks: bool = True) -> Played:
    """Let a city's time pass before the detectors."""
    played, standing = Played(), dict[str, Raised]()
    detection.tick(ms(-TICK_S))
    for hour, events in enumerate(city.hours()):
        played.events += len(events)
        place = 0
        begin = time.perf_counter()
        for at_s in range(hour * HOUR_S + TICK_S, (hour + 1) * HOUR_S + TICK_S, TICK_S):
            first, until_ms = place, ms(at_s)
            while place < len(events) and events[place].measured_ms < until_ms:
                place += 1
            batch = events[first:place]
            detection.apply([(event, False) for event in batch])
            if looks:
                city.watch.count(batch)
            detection.tick(until_ms)
            if looks and at_s % LOOK_S == 0:
                for look in city.watch.looks(at_s, LOOK_S):
                    detection.see(look)
            if at_s % WRITE_S == 0:
                played.memory_bytes += sum(map(len, detection.changed_memory()[0].values()))
                take_down(detection, standing, played.alarms)
        played.detecting_s += time.perf_counter() - begin
        detection.incidents.forget(ms(at_s - DAY_S))
    played.alarms += standing.values()
    played.truths = city.truth()
    return played


def take_down(detection: Detection, standing: dict[str, Raised], over: list[Raised]) -> None:
    """Note what rose and ended since the last time.

    What another rule's alarm explains is told to nobody. What a flood of alarms holds back was found all the same.
    """
    explained: dict[str, float] = {}
    for one in detection.book.transitions():
        rule, _, key = one.alarm.partition(":")
        at_s = (one.at_ms - MONDAY_MS) / 1000
        if one.action is Action.SUPPRESS and one.reason in Alarms.model_fields:
            explained[one.alarm] = at_s
        elif one.action is Action.RISE and explained.get(one.alarm) != at_s:
            standing[one.alarm] = Raised(rule, key, at_s)
        elif one.action is Action.CLEAR and one.alarm in standing:
            over.append(msgspec.structs.replace(standing.pop(one.alarm), end_s=at_s))
    detection.written()


def detection_of(rules: Alarms) -> Detection:
    return Detection(rules, 80, Clock(ZoneInfo("Asia/Tashkent")), Routes(load_routes(CITY_DIR)))


def series(seeds: int) -> dict[str, int]:
    """Refuels and thefts that are told of level series with four refuels and no theft."""
    told: Counter[str] = Counter()
    for slosh in SLOSHES:
        for seed in range(seeds):
            given = level_series(seed, slosh=slosh, days=9)
            told["series"] += 1
            told["refuels"] += len(given.refuels)
            detection = detection_of(site_rules(TANKS))
            for at_s, level_l in given.readings:
                detection.see(
                    FuelReading(measured_ms=ms(at_s), received_ms=ms(at_s), vehicle_id="bus", level_l=level_l)
                )
                if at_s % HOUR_S == 0:
                    detection.tick(ms(at_s))
            rises = Counter(
                one.alarm.split(":")[0] for one in detection.book.transitions() if one.action is Action.RISE
            )
            told["refuels told"] += rises["refuel"]
            told["thefts told"] += rises["fuel_drop"]
            told["series with exactly its refuels"] += rises["refuel"] == len(given.refuels) and not rises["fuel_drop"]
    print(f"\n{dict(told)}")
    return dict(told)


# --- figures ----------------------------------------------------------------------------------------


def by_rule(played: Sequence[Played]) -> dict[str, list[Match]]:
    """Of every rule and week, alarms and truths together."""
    found: dict[str, list[Match]] = {}
    for one in played:
        rules = {truth.rule for truth in one.truths} | {alarm.rule for alarm in one.alarms}
        for rule in sorted(rules):
            truths = [truth for truth in one.truths if truth.rule == rule]
            found.setdefault(rule, []).append(match(truths, [alarm for alarm in one.alarms if alarm.rule == rule]))
    return found


def together(matches: Sequence[Match]) -> Match:
    whole = Match([], [], [], [])
    for one in matches:
        whole.hits += one.hits
        whole.false += one.false
        whole.unclear += one.unclear
        whole.again += one.again
    return whole


def thefts(matched: Match) -> dict[str, dict[str, str]]:
    """Of each size, place and pace: found of planted."""
    found: dict[str, Counter[str]] = {}
    for hit in matched.hits:
        size, where, pace = hit.truth.label.split("|")
        for column in ("all", where, pace):
            counted = found.setdefault(size, Counter())
            counted[f"{column} planted"] += 1
            counted[f"{column} found"] += hit.delay_s is not None
    columns = ("all", "night", "asleep", "terminal", "fast", "slow")
    return {
        size: {one: f"{found[size][f'{one} found']}/{found[size][f'{one} planted']}" for one in columns}
        for size in sorted(found, key=lambda size: float(size.split()[0]))
    }


def rush_noise(played: Sequence[Played], days: int) -> dict[str, float]:
    """Alarms an hour by rule, 06 to 10 o'clock, that no planted truth explains."""
    counted: Counter[str] = Counter()
    for one in played:
        planted: dict[tuple[str, str], list[Truth]] = {}
        for truth in one.truths:
            if truth.planted:
                planted.setdefault((truth.rule, truth.key), []).append(truth)
        for alarm in one.alarms:
            explained = any(
                truth.start_s - 5 <= alarm.at_s <= truth.end_s + truth.slack_s
                for truth in planted.get((alarm.rule, alarm.key), ())
            )
            if RUSH_HOURS[0] <= alarm.at_s % DAY_S / HOUR_S < RUSH_HOURS[1] and not explained:
                counted[alarm.rule] += 1
    hours = len(played) * days * (RUSH_HOURS[1] - RUSH_HOURS[0])
    return {rule: round(number / hours, 2) for rule, number in counted.most_common()}


def show(played: Sequence[Played], days: int) -> dict[str, Any]:
    """Print the tables; what of them is kept."""
    rules = {rule: together(matches) for rule, matches in by_rule(played).items()}
    rows = [score(rule, matched) for rule, matched in rules.items()]
    heads = ("truths", "found", "false", "unclear", "again", "precision", "recall", "delay, s")
    print("\n" + f"{'rule':22}" + "".join(f"{head:>10}" for head in heads))
    for row in rows:
        precision, recall = ("–" if share is None else f"{share:.3f}" for share in (row.precision, row.recall))
        delay = "–" if row.delay_s is None else f"{row.delay_s:,.0f}"
        cells = (row.truths, row.found, row.false, row.unclear, row.again, precision, recall, delay)
        print(f"{row.rule:22}" + "".join(f"{cell:>10}" for cell in cells))
    stolen = thefts(rules["fuel_drop"]) if "fuel_drop" in rules else {}
    for size, columns in stolen.items():
        print(f"theft of {size:>5}: " + ", ".join(f"{name} {share}" for name, share in columns.items()))
    noise = rush_noise(played, days)
    print(f"alarms an hour, 06–10, not planted: {sum(noise.values()):.1f}: {noise}")
    events, took = sum(one.events for one in played), sum(one.detecting_s for one in played)
    print(f"{events:,} events; {took / max(1, events) * 1e6:.1f} µs an event with ticks and memory")
    return {
        "rules": [msgspec.structs.asdict(row) | {"precision": row.precision, "recall": row.recall} for row in rows],
        "thefts": stolen,
        "rush_alarms_an_hour": noise,
        "events": events,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="1", help="comma-separated; a week each (default: 1)")
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="a day of each, and a short measurement")
    parser.add_argument("--only", default="week,clean,series,speed", help="parts, comma-separated (default: all)")
    parser.add_argument("--rules", default="", help="only these rules, comma-separated")
    parser.add_argument("--false", action="store_true", help="list false alarms and what was missed")
    given = parser.parse_args()
    seeds = [int(one) for one in given.seeds.split(",")]
    days, clean_days = (1, 1) if given.quick else (given.days, given.days)
    only = [one for one in given.rules.split(",") if one]
    parts = given.only.split(",")
    result: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "seeds": seeds,
        "days": days,
    }
    if "week" in parts:
        played = []
        for seed in seeds:
            begin = time.perf_counter()
            played.append(play(City(seed, days, CITY_DIR), detection_of(site_rules(only))))
            print(f"seed {seed}: {played[-1].events:,} events in {time.perf_counter() - begin:.0f} s", flush=True)
        result["week"] = show(played, days)
        if given.false:
            list_wrong(played)
    if "clean" in parts:
        for seed in seeds:
            city = City(seed, clean_days, CITY_DIR, thieves=False)
            one = play(city, detection_of(site_rules(TANKS)), looks=False)
            told = Counter(alarm.rule for alarm in one.alarms)
            print(f"\nclean, seed {seed}: {told['fuel_drop']} thefts told of {clean_days} days of tanks, nobody stole")
            result.setdefault("clean", {})[str(seed)] = {"days": clean_days, "thefts_told": told["fuel_drop"]}
    if "series" in parts:
        result["series"] = series(2 if given.quick else 20)
    if "speed" in parts:
        figures = speed(Speed(seconds=30 if given.quick else 120, rounds=1 if given.quick else 3), site_rules())
        result["speed"] = figures
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    # Parts that were not measured now stay as they were.
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(before | result, indent=1))


def list_wrong(played: Sequence[Played]) -> None:
    for rule, matches in by_rule(played).items():
        for matched in matches:
            for alarm in matched.false:
                print(f"false   {rule:20} {alarm.key:24} {_when(alarm.at_s)}")
            for hit in matched.hits:
                if hit.delay_s is None:
                    truth = hit.truth
                    print(
                        f"missed  {rule:20} {truth.key:24} {_when(truth.start_s)} … {_when(truth.end_s)} {truth.label}"
                    )


def _when(at_s: float) -> str:
    return f"{int(at_s // DAY_S)}d {int(at_s % DAY_S // HOUR_S):02}:{int(at_s % HOUR_S // 60):02}:{int(at_s % 60):02}"


if __name__ == "__main__":
    main()

"""The alarm log is read from the beginning of its span, followed, and taken up again after the store was away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from msgspec import json as msgspec_json
from servers import Valkey, ValkeyCluster, wait_until

from analysis.alarm_load import DAY_MS, HOUR_MS
from city.alarm_store import AlarmCommit, Changed
from city.alarms import Action, Alarm, AlarmPriority, AlarmState, Transition
from city.config import Config, load_config
from city.keys import Keys
from city.store import Store
from dashboard.load_reader import SPAN_MS, LoadReader

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
NOW = time.time_ns() // 1_000_000
LOG = Keys("tashkent", 4).alarm_log()


@pytest.fixture
def config(valkey: Valkey) -> Config:
    if isinstance(valkey, ValkeyCluster):
        pytest.skip("entries with times of long ago are written by a plain client")
    return load_config(ROOT / "config.yaml", {"MARKAZ_REDIS__URL": valkey.url})


def rise(number: int, at_ms: int, action: Action = Action.RISE) -> Transition:
    before, after = AlarmState.NORMAL, AlarmState.UNACKNOWLEDGED
    if action is Action.CLEAR:
        before, after = after, before
    return Transition(
        alarm=f"r:{number}", version=2 if action is Action.CLEAR else 1, action=action, before=before, after=after,
        at_ms=at_ms, rule="r", priority=AlarmPriority.LOW, source_kind="vehicle", source_id=str(number),
    )  # fmt: skip


def write(valkey: Valkey, *transitions: Transition) -> None:
    """Entries of the log under the times of their transitions."""
    client = redis.Redis.from_url(valkey.url)
    pipe = client.pipeline(transaction=False)
    for number, one in enumerate(transitions):
        pipe.xadd(LOG, {"transition": msgspec_json.encode(one)}, id=f"{one.at_ms}-{number}")
    pipe.execute()
    client.close()


@contextmanager
def reading(config: Config) -> Iterator[LoadReader]:
    reader = LoadReader(config)
    reader.start()
    try:
        wait_until(lambda: reader.report(HOUR_MS) is not None, what="the log's end")
        yield reader
    finally:
        reader.stop()


def announced(reader: LoadReader, span_ms: int = SPAN_MS) -> int:
    report = reader.report(span_ms)
    assert report is not None
    return report.announced


def test_it_reads_the_span_and_nothing_before_it(config: Config, valkey: Valkey) -> None:
    old = [rise(n, NOW - SPAN_MS - DAY_MS + n) for n in range(300)]
    write(valkey, *old, *(rise(1000 + n, NOW - 2 * DAY_MS + n) for n in range(700)))
    with reading(config) as reader:
        assert (reader.read, announced(reader)) == (700, 700)
        assert announced(reader, DAY_MS) == 0


def test_before_the_first_entry_nothing_is_known(config: Config, valkey: Valkey) -> None:
    write(valkey, rise(1, NOW - 2 * HOUR_MS))
    with reading(config) as reader:
        report = reader.report(SPAN_MS)
    assert report is not None
    assert report.since_ms == NOW - 2 * HOUR_MS
    # Windows of ten minutes: at both ends a part of one.
    assert report.windows <= (report.until_ms - report.since_ms) / 600_000 + 2


def test_what_comes_later_is_followed(config: Config, valkey: Valkey) -> None:
    with reading(config) as reader:
        assert announced(reader) == 0
        write(valkey, rise(1, time.time_ns() // 1_000_000))
        wait_until(lambda: announced(reader) == 1, what="the alarm")
        assert reader.pulse == (1, False)


def test_an_alarm_that_stands_since_before_the_span_is_stale(config: Config, valkey: Valkey) -> None:
    standing = Alarm(
        id="r:1", rule="r", priority=AlarmPriority.LOW, source_kind="vehicle", source_id="1",
        state=AlarmState.ACKNOWLEDGED, condition=AlarmState.ACKNOWLEDGED, active=True,
        raised_ms=NOW - SPAN_MS - DAY_MS, version=2,
    )  # fmt: skip
    store = Store.of(config)
    assert not store.commit_alarms(AlarmCommit(alarms=[Changed(None, standing)]), keep_s=60)
    store.close()
    write(valkey, rise(2, NOW - HOUR_MS))
    with reading(config) as reader:
        report = reader.report(SPAN_MS)
    assert report is not None
    assert [(one.alarm, one.since_ms) for one in report.stale] == [("r:1", standing.raised_ms)]


def test_after_a_loss_of_the_store_it_goes_on_where_it_was(config: Config, valkey: Valkey) -> None:
    write(valkey, *(rise(n, NOW - HOUR_MS + n) for n in range(20)))
    with reading(config) as reader:
        valkey.kill()
        time.sleep(0.5)
        assert announced(reader) == 20, "what was read stays"
        valkey.start()
        write(valkey, rise(99, time.time_ns() // 1_000_000))
        # Without persistence the log begins anew; what was told of before is neither lost nor told twice.
        wait_until(lambda: announced(reader) == 21, what="the alarm")

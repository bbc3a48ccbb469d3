"""The archive's writer on a real store: every event of the streams is in it once, whatever is killed, away or full."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import archiving
import msgspec
import pyarrow.parquet as pq
import pytest
import redis
import structlog
from servers import Valkey, wait_until

from city.alarms import Action, AlarmPriority, AlarmState, Transition
from city.archive.archive import Archive, ArchiveDown
from city.archive.columns import events_of
from city.archive.verify import verify
from city.archive_source import ArchiveSource, entry_ms, entry_order
from city.commits import Keep
from city.config import Config, load_config
from city.events import Event, FuelReading, PassengerCount, VehiclePosition
from city.messages import Reading, Received
from city.store import Store, StoreDown, now_ms
from ingest.archiver import Archiver

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[2]
CITY = "tashkent"
EVER = (0, 1 << 60)


def settings(valkey_url: str, folder: Path, partitions: int = 4) -> Config:
    """The shipped settings with a store and an archive of the test's own; what it flushes, it flushes at once."""
    environ = {"MARKAZ_HISTORY__FLUSH_EVERY_S": "0.05", "MARKAZ_HISTORY__COMPACT_FILES": "4"}
    environ |= {"MARKAZ_REDIS__URL": valkey_url, "MARKAZ_HISTORY__URL": str(folder)}
    environ["MARKAZ_STORE__PARTITIONS"] = str(partitions)
    return load_config(ROOT / "config.yaml", environ)


def of(event: Event) -> Reading:
    return Reading("feed", event, Received("topic", b"{}", event.received_ms))


class Load:
    """A city that speaks without pause: positions, some of them late, counts and fuel, as ingest writes them."""

    def __init__(self, store: Store, vehicles: int = 40) -> None:
        self._store = store
        self._vehicles = vehicles
        self._random = random.Random(1)
        self._batch = 0
        self.now_ms = now_ms()

    def batch(self) -> None:
        self._batch += 1
        self.now_ms += 1000
        said: list[Event] = []
        for n in range(self._vehicles):
            at = {"vehicle_id": f"v{n}", "measured_ms": self.now_ms, "received_ms": self.now_ms + 5}
            said.append(VehiclePosition(**at, lat=41.3 + n / 1e4, lon=69.2, route="28"))
            if n % 5 == 0:
                said.append(VehiclePosition(**(at | {"measured_ms": self.now_ms - 3_600_000 + n}), lat=41.0, lon=69.0))
            if n % 7 == 0:
                said.append(PassengerCount(**at, boarded=3, alighted=1))
                said.append(FuelReading(**at, level_l=50.0 + self._random.random()))
        self._store.commit("w", self._batch, [of(event) for event in said], [], now_ms=self.now_ms)

    def until(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.batch()
            stop.wait(0.005)


Row = tuple[str, str, int, bool]


def streamed(store: Store) -> Counter[Row]:
    """Every event that is in the store's streams: facet, entity, time, late."""
    cursors = dict.fromkeys(range(store.keys.partitions), "0-0")
    found: Counter[Row] = Counter()
    while entries := store.read_events(cursors, block_ms=1, count=1000):
        for entry in entries:
            found.update(
                (stored.event.facet.value, stored.event.entity, stored.event.measured_ms, stored.late)
                for stored in entry.events
            )
    return found


def rows_of(feed: str, path: Path) -> list[Row]:
    table = pq.read_table(path, partitioning=None, columns=["vehicle_id", "measured_ms", "late"])
    return [(feed, row["vehicle_id"], row["measured_ms"], row["late"]) for row in table.to_pylist()]


def archived(archive: Archive) -> Counter[Row]:
    """Every row that the log lists."""
    archive.refresh()
    files = [file for feed in archive.feeds for file in archive.files(feed, *EVER)]
    return Counter(row for file in files for row in rows_of(file.feed, Path(file.url)))


def on_disk(folder: Path) -> Counter[Row]:
    """Every row of every Parquet file that lies there, listed or not."""
    found = (folder / CITY).rglob("*.parquet")
    return Counter(row for path in found for row in rows_of(path.relative_to(folder / CITY).parts[0], path))


@pytest.fixture
def store(valkey: Valkey) -> Iterator[Store]:
    opened = Store(valkey.url, CITY, 4)
    yield opened
    opened.close()


def caught_up(config: Config) -> Archiver:
    """An archiver that has archived all that the streams have."""
    store = Store.of(config)
    archiver = Archiver(config, ArchiveSource(store))
    archiver.step()
    while not {str(p): tip for p, tip in store.tips().items() if tip != "0-0"}.items() <= archiver._cursors.items():
        archiver.step()
    archiver.flush()
    store.close()
    return archiver


def killing(config: Config, kills: int, processes: int) -> None:
    """Start the writers again and again and kill them -9 at any moment of their work."""
    moments = random.Random(2)
    archive = Archive.open(config.history.url, CITY)
    for _ in range(kills):
        archive.refresh()
        before = archive.number
        started = [archiving.start(config) for _ in range(processes)]
        wait_until(lambda: archive.refresh() or archive.number > before, what="a commit")  # noqa: B023
        time.sleep(moments.uniform(0, 0.25))
        for process in started:
            process.kill()
            process.join(10)


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("kills", "processes"), [(50, 1), (12, 2)])
def test_what_is_killed_under_load_archives_every_event_once(
    valkey: Valkey, store: Store, tmp_path: Path, kills: int, processes: int
) -> None:
    """kill -9 again and again, by one writer and by two at once: rows in the archive = events in the streams."""
    config = settings(valkey.url, tmp_path)
    stop = threading.Event()
    load = threading.Thread(target=Load(store).until, args=[stop])
    load.start()
    try:
        killing(config, kills, processes)
    finally:
        stop.set()
        load.join()
    expected = streamed(store)
    archive = Archive.open(str(tmp_path), CITY)
    caught_up(config)
    assert archived(archive) == expected
    archive.compact(files_max=2)
    archive.sweep(grace_s=0)
    assert on_disk(tmp_path) == expected
    found = verify(Archive.open(str(tmp_path), CITY), deep=True)
    assert found.problems == []
    assert found.rows == sum(expected.values())
    assert any(late for *_, late in expected), "late events were among them"


# --- what else may go wrong ---------------------------------------------------------------------------


def vehicle(name: str, at_ms: int) -> Reading:
    return of(VehiclePosition(vehicle_id=name, measured_ms=at_ms, received_ms=at_ms, lat=41.3, lon=69.2))


BEGAN = now_ms()


def say(store: Store, number: int) -> None:
    """One batch, with one event of its own time."""
    store.commit("w", number, [vehicle("v", BEGAN + number)], [], now_ms=BEGAN)


def test_the_stream_waits_for_the_archive_and_not_for_ever(valkey: Valkey, tmp_path: Path) -> None:
    """Behind `events_keep_s` an entry goes when it is archived, and unarchived when `hold_s` is over too."""
    store = Store(valkey.url, CITY, 1, keep=Keep(events_s=0.2, rejects_max_bytes=1 << 20, hold_s=60))
    source = ArchiveSource(store)
    for number in range(300):
        say(store, number)
    source.archived({"0": (before := store.tips()[0])})
    # Streams are cut in whole nodes of a hundred entries.
    for number in range(300, 600):
        say(store, number)
    time.sleep(0.3)
    say(store, 600)
    first = source.standing(["0"])["0"].first
    assert entry_order("0-1") < entry_order(first) <= entry_order(before), "what is archived goes, what is not stays"
    hasty = Store(valkey.url, CITY, 1, keep=Keep(events_s=0.2, rejects_max_bytes=1 << 20, hold_s=0.25))
    say(hasty, 601)
    assert entry_order(source.standing(["0"])["0"].first) > entry_order(before)
    hasty.close()
    store.close()


def test_what_the_store_deleted_before_it_was_archived_is_told_and_the_rest_goes_on(
    valkey: Valkey, tmp_path: Path
) -> None:
    store = Store(valkey.url, CITY, 1, keep=Keep(events_s=0.2, rejects_max_bytes=1 << 20, hold_s=0.2))
    config = settings(valkey.url, tmp_path, partitions=1)
    say(store, 0)
    caught_up(config)
    for number in range(1, 400):
        say(store, number)
    time.sleep(0.3)
    say(store, 400)
    standing = ArchiveSource(store).standing(["0"])["0"]
    assert standing.deleted > 1
    caught_up(config)
    archive = Archive.open(str(tmp_path), CITY)
    (gap,) = archive.gaps
    assert (gap.stream, gap.entries) == ("0", standing.deleted - 1)
    assert gap.to_ms == entry_ms(standing.first)
    assert sum(archived(archive).values()) == 401 - gap.entries
    caught_up(config)._tell()
    assert len(Archive.open(str(tmp_path), CITY).gaps) == 1, "a gap is told once"
    told = store.archive_figures()
    assert told is not None
    assert told.lost is not None, "also by one who was started after it"
    assert (told.gaps, told.lost.entries, told.lost.streams) == (1, gap.entries, ("0",))
    assert (told.lost.from_ms, told.lost.to_ms, told.lost.found_ms) == (gap.from_ms, gap.to_ms, gap.at_ms)
    assert (told.rows, told.bytes) == (401 - gap.entries, sum(file.bytes for file in archive.all_files()))
    store.close()


def test_a_stream_that_was_trimmed_up_to_the_archive_has_no_gap(valkey: Valkey, tmp_path: Path) -> None:
    store = Store(valkey.url, CITY, 1, keep=Keep(events_s=0.2, rejects_max_bytes=1 << 20, hold_s=60))
    config = settings(valkey.url, tmp_path, partitions=1)
    ArchiveSource(store).hold()
    for number in range(400):
        say(store, number)
    caught_up(config)
    time.sleep(0.3)
    say(store, 400)
    assert ArchiveSource(store).standing(["0"])["0"].deleted > 100
    caught_up(config)
    archive = Archive.open(str(tmp_path), CITY)
    assert archive.gaps == []
    assert sum(archived(archive).values()) == 401
    store.close()


def test_while_the_folder_cannot_be_written_the_archiver_waits_says_so_and_loses_nothing(
    valkey: Valkey, store: Store, tmp_path: Path
) -> None:
    home = tmp_path / "history"
    home.write_text("no folder")
    config = settings(valkey.url, home)
    own = Store.of(config)
    stop = threading.Event()
    with structlog.testing.capture_logs() as said:
        thread = threading.Thread(target=Archiver(config, ArchiveSource(own)).run, args=[stop])
        thread.start()
        try:
            load = Load(store)
            for _ in range(20):
                load.batch()
            wait_until(lambda: [one for one in said if one["event"] == "archive_waits"], what="a word about it")
            wait_until(lambda: (told := ArchiveSource(store).told()) and told.waits_for == "archive", what="figures")
            home.unlink()
            expected = streamed(store)
            wait_until(lambda: home.is_dir() and archived(Archive.open(str(home), CITY)) == expected, what="all rows")
        finally:
            stop.set()
            thread.join()
    own.close()
    assert [one["event"] for one in said if one["event"].startswith("archive_")].count("archive_waits") == 1
    assert "history" in next(one["error"] for one in said if one["event"] == "archive_waits")


def test_while_the_store_is_away_the_archiver_waits_and_goes_on_behind_its_last_commit(
    valkey: Valkey, store: Store, tmp_path: Path
) -> None:
    config = settings(valkey.url, tmp_path)
    own = Store.of(config)
    stop = threading.Event()
    thread = threading.Thread(target=Archiver(config, ArchiveSource(own)).run, args=[stop])
    thread.start()
    try:
        load = Load(store)
        load.batch()
        wait_until(lambda: sum(archived(Archive.open(str(tmp_path), CITY)).values()) > 0, what="the first rows")
        time.sleep(1.2)  # the store's append-only file is on the disk
        valkey.kill()
        time.sleep(0.5)
        valkey.start()
        store.link.hang_up()
        for _ in range(5):
            load.batch()
        expected = streamed(store)
        wait_until(lambda: archived(Archive.open(str(tmp_path), CITY)) == expected, what="all rows")
    finally:
        stop.set()
        thread.join()
    own.close()


def test_while_the_folder_is_away_at_the_first_start_the_store_keeps_everything_and_the_wait_is_seen(
    valkey: Valkey, tmp_path: Path
) -> None:
    store = Store(valkey.url, CITY, 1, keep=Keep(events_s=0.3, rejects_max_bytes=1 << 20, hold_s=60))
    home = tmp_path / "history"
    home.write_text("no folder")
    config = settings(valkey.url, home, partitions=1)
    archiver = Archiver(config, ArchiveSource(store))
    with pytest.raises(ArchiveDown):
        archiver.step()
    for number in range(300):
        say(store, number)
    time.sleep(0.5)
    say(store, 300)
    assert ArchiveSource(store).standing(["0"])["0"].deleted == 0
    archiver._tell()
    told = store.archive_figures()
    assert told is not None
    assert told.lag_s >= 0.5
    home.unlink()
    caught_up(config)
    archive = Archive.open(str(home), CITY)
    assert (sum(archived(archive).values()), archive.gaps) == (301, [])
    store.close()


def test_the_lag_is_the_age_of_the_oldest_event_that_is_in_no_file(valkey: Valkey, tmp_path: Path) -> None:
    """Also right after a commit, while much more is still to be read."""
    store = Store(valkey.url, CITY, 1)
    config = settings(valkey.url, tmp_path, partitions=1)
    for number in range(200):
        say(store, number)
    archiver = Archiver(config, ArchiveSource(store), lambda: now_ms() + 100_000)
    archiver.step()
    archiver.flush()
    archiver._tell()
    told = store.archive_figures()
    assert told is not None
    assert (told.rows_written, told.lag_s >= 100) == (64, True)
    store.close()


def test_a_store_that_is_full_gives_way_and_is_filled_and_archived_again(valkey: Valkey, tmp_path: Path) -> None:
    """What only waits for the archive goes, the oldest first, when nothing else would make room; and that is told."""
    store = Store(valkey.url, CITY, 1, keep=Keep(events_s=0.2, rejects_max_bytes=1 << 20, hold_s=3600))
    config = settings(valkey.url, tmp_path, partitions=1)
    say(store, 0)
    caught_up(config)
    for number in range(1, 300):
        said = [vehicle(f"v{n}", BEGAN + number * 1000 + n) for n in range(200)]
        store.commit("w", number, said, [], now_ms=BEGAN)
    time.sleep(0.3)
    with redis.Redis.from_url(valkey.url) as client:
        client.config_set("maxmemory", client.info("memory")["used_memory"] - 100_000)
        refused = 0
        for number in range(300, 320):
            try:
                say(store, number)
            except StoreDown as down:
                assert "maxmemory" in str(down)  # noqa: PT017
                refused += 1
        assert 0 < refused < 10
        caught_up(config)
        client.config_set("maxmemory", 0)
    archive = Archive.open(str(tmp_path), CITY)
    kept = sum(archived(archive).values())
    assert 299 * 100 < kept < 299 * 200, "most of it"
    assert sum(gap.entries or 0 for gap in archive.gaps) * 200 + kept == 1 + 299 * 200 + 20 - refused
    store.close()


def test_an_archiver_begins_in_a_store_that_takes_no_word(valkey: Valkey, tmp_path: Path) -> None:
    """It reads, commits and trims, which is what makes room."""
    store = Store(valkey.url, CITY, 1)
    config = settings(valkey.url, tmp_path, partitions=1)
    for number in range(300):
        say(store, number)
    with redis.Redis.from_url(valkey.url) as client:
        client.config_set("maxmemory", 1_000_000)
        archiver = Archiver(config, ArchiveSource(store))
        archiver._keep_ms = 0
        for _ in range(12):
            with suppress(StoreDown):
                archiver.step()
        with suppress(StoreDown):
            archiver.flush()
        assert sum(archived(Archive.open(str(tmp_path), CITY)).values()) == 300
        assert client.xlen(store.keys.events(0)) < 200
        client.config_set("maxmemory", 0)
    store.close()


def test_a_stream_from_a_clock_that_was_ahead_is_trimmed_behind_the_archive(valkey: Valkey, tmp_path: Path) -> None:
    """Its entries never grow old by the clock that went back."""
    store = Store(valkey.url, CITY, 1, keep=Keep(events_s=0.2, rejects_max_bytes=1 << 20, hold_s=60))
    with redis.Redis.from_url(valkey.url) as client:
        client.xadd(store.keys.events(0), {"position": b"[]"}, id=f"{now_ms() + 86_400_000}-0")
        for number in range(500):
            say(store, number)
        ArchiveSource(store).archived({"0": store.tips()[0]})
        say(store, 500)
        assert client.xlen(store.keys.events(0)) < 200
    store.close()


def test_what_a_store_lost_or_was_emptied_of_is_told(valkey: Valkey, tmp_path: Path) -> None:
    store = Store(valkey.url, CITY, 1, keep=Keep(events_s=0.2, rejects_max_bytes=1 << 20, hold_s=0.2))
    config = settings(valkey.url, tmp_path, partitions=1)
    for number in range(300):
        say(store, number)
        if number % 10 == 9:
            caught_up(config)
    assert sum(archived(Archive.open(str(tmp_path), CITY)).values()) == 300
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
    for number in range(300, 500):
        say(store, number)
    time.sleep(0.3)
    say(store, 500)
    deleted = ArchiveSource(store).standing(["0"])["0"].deleted
    assert deleted >= 100
    caught_up(config)
    archive = Archive.open(str(tmp_path), CITY)
    assert [gap.entries for gap in archive.gaps] == [deleted]
    assert sum(archived(archive).values()) == 501 - deleted
    ahead = f"{now_ms() + 60_000}-0"
    archive.append({}, {"0": ahead})
    say(store, 501)
    archiver = Archiver(config, ArchiveSource(store))
    archiver.step()
    say(store, 502)
    archiver.step()
    archiver.flush()
    archive.refresh()
    assert (archive.gaps[-1].to_ms, archive.gaps[-1].entries) == (entry_ms(ahead), None), "the store is behind it"
    assert archive.cursors()["0"] == store.tips()[0], "and what it says from now on is archived"
    store.close()


def test_an_archive_that_is_not_the_one_of_before_is_not_begun_unasked(valkey: Valkey, tmp_path: Path) -> None:
    """A disk that is not mounted, or an old copy: what is written there would be hidden or missing afterwards."""
    store = Store(valkey.url, CITY, 1)
    home, disk = tmp_path / "history", tmp_path / "disk"
    config = settings(valkey.url, home, partitions=1)
    say(store, 0)
    caught_up(config)
    home.rename(disk)
    home.mkdir()
    say(store, 1)
    with pytest.raises(ArchiveDown, match="markaz history accept"):
        Archiver(config, ArchiveSource(store)).step()
    assert list(home.rglob("*")) == []
    home.rmdir()
    disk.rename(home)
    caught_up(config)
    assert sum(archived(Archive.open(str(home), CITY)).values()) == 2
    home.rename(disk)
    done = markaz(config, "accept")
    assert done.returncode == 0, done.stderr
    assert "commit 2" in done.stdout
    caught_up(config)
    assert sum(archived(Archive.open(str(home), CITY)).values()) == 2, "a new archive of what the store has"
    store.close()


def test_a_running_archiver_waits_for_its_folder_and_goes_on_in_another_one_only_when_that_is_accepted(
    valkey: Valkey, tmp_path: Path
) -> None:
    store = Store(valkey.url, CITY, 1)
    home, disk = tmp_path / "history", tmp_path / "disk"
    config = settings(valkey.url, home, partitions=1)
    own = Store.of(config)
    stop = threading.Event()
    thread = threading.Thread(target=Archiver(config, ArchiveSource(own)).run, args=[stop])
    thread.start()
    try:
        say(store, 0)
        wait_until(lambda: sum(archived(Archive.open(str(home), CITY)).values()) == 1, what="the first row")
        home.rename(disk)
        say(store, 1)
        wait_until(lambda: (told := store.archive_figures()) and told.waits_for == "archive", what="figures")
        assert not home.exists()
        disk.rename(home)
        wait_until(lambda: sum(archived(Archive.open(str(home), CITY)).values()) == 2, what="the second row")
        home.rename(disk)
        say(store, 2)
        wait_until(lambda: (told := store.archive_figures()) and told.waits_for == "archive", what="figures")
        ArchiveSource(store).forget()
        wait_until(lambda: sum(archived(Archive.open(str(home), CITY)).values()) == 3, what="a new archive")
    finally:
        stop.set()
        thread.join()
    own.close()
    store.close()


def test_transitions_of_alarms_are_archived_from_the_first_one(valkey: Valkey, store: Store, tmp_path: Path) -> None:
    happened = [
        Transition(
            alarm="overload:v1", version=n, action=Action.RISE,
            before=AlarmState.NORMAL, after=AlarmState.UNACKNOWLEDGED, at_ms=1_777_852_800_000 + n, rule="overload",
            priority=AlarmPriority.MEDIUM, source_kind="vehicle", source_id="v1", values={"load": 1.5},
        )
        for n in range(1, 4)
    ]  # fmt: skip
    with redis.Redis.from_url(valkey.url) as client:
        for transition in happened:
            client.xadd(store.keys.alarm_log(), {"transition": msgspec.json.encode(transition)})
    caught_up(settings(valkey.url, tmp_path))
    archive = Archive.open(str(tmp_path), CITY)
    (file,) = archive.files("transition", *EVER)
    assert events_of("transition", pq.read_table(file.url, partitioning=None)) == happened


def test_what_is_no_event_to_this_version_is_counted_and_the_rest_of_its_batch_is_archived(
    valkey: Valkey, store: Store, tmp_path: Path
) -> None:
    good = b'{"measured_ms":1777852800000,"received_ms":1777852800000,"vehicle_id":"v","lat":1.0,"lon":2.0}'
    with redis.Redis.from_url(valkey.url) as client:
        client.xadd(store.keys.events(0), {"position": b"[" + good + b',{"vehicle_id":7}]', "weather": b"[{}]"})
        client.xadd(store.keys.events(0), {"position:late": b"[" + good + b"]"})
    archiver = caught_up(settings(valkey.url, tmp_path))
    found = archived(Archive.open(str(tmp_path), CITY))
    assert found == {("position", "v", 1777852800000, late): 1 for late in (False, True)}
    assert archiver._rows.unreadable == 2


# --- by hand ------------------------------------------------------------------------------------------


def markaz(config: Config, *words: str) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"MARKAZ_HISTORY__URL": config.history.url, "MARKAZ_REDIS__URL": config.redis.url}
    command = [sys.executable, "-m", "markaz", "history", *words]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=60)


def test_the_archive_is_verified_exported_imported_and_merged_by_hand(
    valkey: Valkey, store: Store, tmp_path: Path
) -> None:
    config = settings(valkey.url, tmp_path / "a")
    load = Load(store)
    load.now_ms = 1_777_852_800_000
    for _ in range(3):
        load.batch()
        caught_up(config)
    expected = {row: n for row, n in streamed(store).items() if row[0] == "position"}
    out = tmp_path / "out.parquet"
    done = markaz(
        config, "export", "--feed", "position", "--from", "2026-05-03", "--to", "2026-05-05", "--out", str(out)
    )
    assert (done.returncode, done.stdout) == (0, f"{sum(expected.values())} rows of position in {out}\n"), done.stderr
    table = pq.read_table(out)
    assert Counter(("position", r["vehicle_id"], r["measured_ms"], r["late"]) for r in table.to_pylist()) == expected
    assert set(table["lat"].to_pylist()) >= {41.3, 41.0}

    other = settings(valkey.url, tmp_path / "b")
    done = markaz(other, "import", str(out), "--feed", "position")
    assert (done.returncode, done.stdout.split(" in ")[0]) == (0, f"{len(table)} rows: {len(table)} added"), done.stderr
    done = markaz(other, "import", str(out), "--feed", "position")
    assert done.stdout == f"{len(table)} rows: 0 added in 0 files, {len(table)} were there already\n"
    assert archived(Archive.open(other.history.url, CITY)) == expected

    done = markaz(config, "compact")
    assert done.returncode == 0, done.stderr
    done = markaz(config, "verify", "--deep")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    victim = next(tmp_path.rglob("a/**/position/**/*.parquet"))
    listed = Archive.open(config.history.url, CITY).files("position", *EVER)[0]
    Path(listed.url).write_bytes(b"")
    (victim.parent / "notes.txt").write_text("mine")
    done = markaz(config, "verify")
    assert done.returncode == 1
    assert listed.path in done.stderr
    assert "notes.txt: is not a file of the archive" in done.stderr
    assert Path(listed.url).exists()


def test_an_older_copy_is_not_written_to_by_hand(valkey: Valkey, store: Store, tmp_path: Path) -> None:
    """A merge there would make it look as new as the archive that it was copied from."""
    home, disk = tmp_path / "history", tmp_path / "disk"
    config = settings(valkey.url, home)
    load = Load(store)
    load.now_ms = 1_777_852_800_000
    for commits in range(3):
        load.batch()
        caught_up(config)
        if commits == 1:
            shutil.copytree(home, tmp_path / "copy")
    home.rename(disk)
    (tmp_path / "copy").rename(home)
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    for words in (["compact"], ["import", "nothing.parquet", "--feed", "position"]):
        done = markaz(config, *words)
        assert (done.returncode, done.stdout) == (1, "")
        assert "an older copy" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before
    assert markaz(config, "verify").returncode == 0, "to look is no harm"
    home.rename(tmp_path / "copy")
    disk.rename(home)
    assert markaz(config, "compact").returncode == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["export", "--feed", "position", "--from", "2026-05-03", "--to", "2026-05-03", "--out", "x.csv"],
            "--to is not after",
        ),
        (["export", "--feed", "position", "--from", "soon", "--to", "2026-05-03", "--out", "x.csv"], "neither"),
        (["export", "--feed", "moods", "--from", "2026-05-03", "--to", "2026-05-04", "--out", "x.csv"], "moods"),
        (["export", "--feed", "fuel", "--from", "2026-05-03", "--to", "2026-05-04", "--out", "x.geojson"], "no places"),
        (["export", "--feed", "fuel", "--from", "2026-05-03", "--to", "2026-05-04", "--out", "x.xls"], "none of"),
        (["import", "config.yaml", "--feed", "position"], "not a Parquet file"),
        (["import", "nothing.parquet", "--feed", "position"], "nothing.parquet"),
    ],
)
def test_what_cannot_be_done_is_said_on_one_line(tmp_path: Path, words: list[str], says: str) -> None:
    done = markaz(settings("redis://127.0.0.1:1", tmp_path), *words)
    assert done.returncode == 2
    assert says in done.stderr
    assert len([line for line in done.stderr.splitlines() if not line.startswith(("usage", " "))]) == 1
    assert "Traceback" not in done.stderr

"""Archive and store are one table without a seam; a file that cannot be read is named and left out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Thread

import pytest
from small_city import FROM_MS, TO_MS, archived, events, is_late

from analysis.queries.shapes import expression
from analysis.questions import Question, Shape, question
from city.archive.archive import Archive
from city.archive.columns import batch_of
from city.archive.files import ArchiveDown
from city.events import Facet
from city.history.engines import Cancelled, DuckDb, HistoryError, TooMuch, Unreadable
from city.history.history import History
from city.history.tail import Tail
from city.store import Entry, Store, Stored, StoreDown

PARTITIONS = 2


class Streams(Store):
    """The event streams in memory: entry `n-0` of a partition is its n-th batch."""

    def __init__(self, batches: Sequence[Sequence[Stored]]) -> None:
        super().__init__("redis://nowhere", "small", PARTITIONS)
        self.batches = [list(batches[p::PARTITIONS]) for p in range(PARTITIONS)]
        self.down = False

    def read_events(
        self, cursors: dict[int, str], *, block_ms: int, count: int = 64, facets: object = ()
    ) -> list[Entry]:
        if self.down:
            raise StoreDown("gone")
        found = []
        for partition, cursor in cursors.items():
            at = int(cursor.partition("-")[0])
            for number, batch in enumerate(self.batches[partition][at : at + count], start=at + 1):
                wanted = [one for one in batch if one.event.facet in facets]  # type: ignore[operator]
                found.append(Entry(partition, f"{number}-0", wanted))
                cursors[partition] = f"{number}-0"
        return found


@pytest.fixture
def engine() -> Iterator[DuckDb]:
    engine = DuckDb(threads=1, memory_mb=256)
    yield engine
    engine.close()


def stored() -> list[list[Stored]]:
    """All positions and counts in batches of ten."""
    said = [
        Stored(event, is_late(number))
        for feed in ("position", "passengers")
        for number, event in enumerate(events()[feed])
    ]
    return [said[at : at + 10] for at in range(0, len(said), 10)]


def archive_up_to(folder: Path, streams: Streams, number: int) -> Archive:
    """An archive that has the first `number` batches of every partition."""
    archive = Archive.open(str(folder), "small")
    for partition, batches in enumerate(streams.batches):
        found = [one for batch in batches[:number] for one in batch]
        rows = {}
        for feed in ("position", "passengers"):
            of_feed = [one for one in found if one.event.facet == feed]
            rows[feed] = [batch_of(feed, [one.event for one in of_feed], [one.late for one in of_feed])]
        archive.append(rows, {str(partition): f"{number}-0"})
    return archive


def count(history: History, feed: str = "position") -> int:
    view = history.view()
    table = view.table(feed, FROM_MS, TO_MS)
    return int(view.run(table.aggregate(n=table.count()))["n"][0].as_py())


@pytest.mark.parametrize("number", [0, 1, 7, 40, 1000])
def test_rows_are_there_once_wherever_the_archive_stopped(tmp_path: Path, engine: DuckDb, number: int) -> None:
    streams = Streams(stored())
    history = History(archive_up_to(tmp_path, streams, number), engine, Tail(streams))
    for feed in ("position", "passengers"):
        assert count(history, feed) == len(events()[feed])


def test_rows_stay_once_while_the_archive_goes_on(tmp_path: Path, engine: DuckDb) -> None:
    streams = Streams(stored())
    archive_up_to(tmp_path, streams, 3)
    history = History(Archive.open(str(tmp_path), "small"), engine, Tail(streams))
    assert count(history) == len(events()["position"])
    writer = Archive.open(str(tmp_path), "small")
    for partition, batches in enumerate(streams.batches):
        moved = [one for batch in batches[3:9] for one in batch if one.event.facet == "position"]
        rows = [batch_of("position", [one.event for one in moved], [one.late for one in moved])]
        writer.append({"position": rows}, {str(partition): "9-0"})
        assert count(history) == len(events()["position"])
        assert history.view().origin().commit == writer.number


def test_live_rows_bear_what_the_archive_has(tmp_path: Path, engine: DuckDb) -> None:
    """Read from the store or from a file, an answer is the same."""
    streams = Streams(stored())
    live = History(Archive.open(str(tmp_path / "none"), "small"), engine, Tail(streams))
    one = question(Question(from_ms=FROM_MS, to_ms=TO_MS, shape=Shape.ROWS, limit=5000))
    view = live.view()
    of_store = view.run(expression(view.table("position", FROM_MS, TO_MS), one, ())).to_pylist()
    assert view.origin().live_rows == len(of_store) == len(events()["position"])
    view = History(archived(tmp_path / "all"), engine, None).view()
    assert view.run(expression(view.table("position", FROM_MS, TO_MS), one, ())).to_pylist() == of_store


def test_a_store_that_is_away_is_told_and_the_archive_answers(tmp_path: Path, engine: DuckDb) -> None:
    streams = Streams(stored())
    archive = archive_up_to(tmp_path, streams, 7)
    streams.down = True
    history = History(archive, engine, Tail(streams))
    view = history.view()
    table = view.table("position", FROM_MS, TO_MS)
    assert view.run(table.aggregate(n=table.count()))["n"][0].as_py() == 7 * PARTITIONS * 10
    assert "store" in view.origin().live_missing


def test_the_past_does_not_ask_the_store(tmp_path: Path, engine: DuckDb) -> None:
    streams = Streams(stored())
    archive = archive_up_to(tmp_path, streams, 7)
    archive.append({}, {str(partition): f"{TO_MS + 7_200_000}-0" for partition in range(PARTITIONS)})
    streams.down = True
    view = History(archive, engine, Tail(streams)).view()
    view.table("position", FROM_MS, TO_MS)
    assert view.origin().live_missing == ""


@pytest.mark.parametrize("feed", ["case", "camera_status"])
def test_what_is_never_stale_is_looked_for_in_the_store_however_old(tmp_path: Path, engine: DuckDb, feed: str) -> None:
    """A case of last year may be said today: while the archive is away only the store has it."""
    streams = Streams(stored())
    archive = archive_up_to(tmp_path, streams, 7)
    archive.append({}, {str(partition): f"{TO_MS + 7_200_000}-0" for partition in range(PARTITIONS)})
    streams.down = True
    view = History(archive, engine, Tail(streams)).view()
    view.table(feed, FROM_MS, TO_MS)
    assert "store" in view.origin().live_missing


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: b"",
        lambda data: b"not Parquet at all",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-4] + b"PAR2",
        lambda data: b"\xff" * (len(data) - 8) + data[-8:],
        lambda data: data[:8] + bytes(len(data) // 2) + data[8 + len(data) // 2 :],
    ],
    ids=["empty", "foreign", "cut", "other-magic", "footer-gone", "pages-gone"],
)
def test_a_file_that_cannot_be_read_is_named_and_the_rest_answers(tmp_path: Path, engine: DuckDb, harm: object) -> None:
    archive = archived(tmp_path)
    files = archive.files("position", FROM_MS, TO_MS)
    broken = Path(files[1].url)
    broken.write_bytes(harm(broken.read_bytes()))  # type: ignore[operator]
    view = History(archive, engine, None).view()
    one = question(Question(from_ms=FROM_MS, to_ms=TO_MS, shape=Shape.ROWS, limit=5000))
    found = view.run(expression(view.table("position", FROM_MS, TO_MS), one, ()))
    assert found.num_rows == len(events()["position"]) - files[1].rows
    (skipped,) = view.origin().skipped
    assert skipped.path == files[1].path
    assert skipped.why
    assert broken.exists()


@pytest.mark.parametrize(
    "harm",
    [lambda data: None, lambda data: data[:100], lambda data: data[:8] + bytes(len(data) - 16) + data[-8:]],
    ids=["gone", "cut", "pages-gone"],
)
def test_a_file_that_is_brought_back_answers_again(
    tmp_path: Path, engine: DuckDb, harm: Callable[[bytes], bytes | None]
) -> None:
    archive = archived(tmp_path)
    now_s = [0.0]
    history = History(archive, engine, None, clock_s=lambda: now_s[0])
    files = archive.files("position", FROM_MS, TO_MS)
    place = Path(files[1].url)
    whole, harmed = place.read_bytes(), harm(place.read_bytes())
    place.unlink()
    if harmed is not None:
        place.write_bytes(harmed)
    for now_s[0] in (0.0, 30.0, 61.0):
        assert count(history) == len(events()["position"]) - files[1].rows
    place.write_bytes(whole)
    now_s[0] = 200.0
    assert count(history) == len(events()["position"])


def test_an_archive_whose_place_fails_is_no_empty_answer(tmp_path: Path, engine: DuckDb) -> None:
    """Its disk is not mounted, or does not answer: that is said, and what comes back answers at once."""
    archive = archived(tmp_path)
    history = History(archive, engine, None)
    view = history.view()
    (tmp_path / "small").rename(tmp_path / "away")
    with pytest.raises(HistoryError):
        view.table("position", FROM_MS, TO_MS)
    (tmp_path / "away").rename(tmp_path / "small")
    assert count(history) == len(events()["position"])


def test_a_place_that_does_not_answer_while_a_file_is_looked_for_is_told(
    tmp_path: Path, engine: DuckDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = archived(tmp_path)
    history = History(archive, engine, None)

    def down(path: str) -> None:
        raise ArchiveDown("timed out")

    with monkeypatch.context() as patched:
        patched.setattr(archive.folder, "open", down)
        with pytest.raises(HistoryError, match="timed out"):
            history.read_through(archive.files("position", FROM_MS, TO_MS))
    assert count(history) == len(events()["position"])
    assert history.view().origin().skipped == ()


def test_a_fault_of_the_question_does_not_read_the_files_through(
    tmp_path: Path, engine: DuckDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = History(archived(tmp_path), engine, None)
    monkeypatch.setattr(history, "read_through", lambda files: pytest.fail("read to the end"))
    view = history.view()
    table = view.table("position", FROM_MS, TO_MS)
    with pytest.raises(HistoryError) as failed:
        view.run(table.select(n=table.vehicle_id.cast("int64")))
    assert not isinstance(failed.value, Unreadable)


def test_all_files_broken_is_an_empty_answer(tmp_path: Path, engine: DuckDb) -> None:
    archive = archived(tmp_path)
    for file in archive.files("position", FROM_MS, TO_MS):
        data = Path(file.url).read_bytes()
        Path(file.url).write_bytes(data[:8] + bytes(len(data) - 16) + data[-8:])
    assert count(History(archive, engine, None)) == 0


def test_columns_that_old_files_lack_are_null(tmp_path: Path, engine: DuckDb) -> None:
    archive = archived(tmp_path)
    old = batch_of("position", events(seed=3)["position"][:5], late=False).drop_columns(["trip", "mahalla"])
    archive.append({"position": [old]}, {})
    view = History(archive, engine, None).view()
    table = view.table("position", FROM_MS, TO_MS)
    found = view.run(table.aggregate(n=table.count(), trips=table.trip.count()))
    assert found["n"][0].as_py() == len(events()["position"]) + 5


def test_a_question_that_is_cancelled_ends_at_once(tmp_path: Path, engine: DuckDb) -> None:
    history = History(archived(tmp_path), engine, None)
    table = history.table("position", FROM_MS, TO_MS).select("measured_ms")
    second, third = (table.view().select(**{name: "measured_ms"}) for name in ("b", "c"))
    # 800 rows to the third: half a billion.
    many = table.cross_join(second).cross_join(third)
    long = many.aggregate(n=(many.measured_ms + many.b + many.c).nunique())
    ended: list[float] = []

    def ask() -> None:
        with pytest.raises(Cancelled):
            engine.run(long)
        ended.append(time.monotonic())

    thread = Thread(target=ask)
    thread.start()
    time.sleep(0.5)
    began = time.monotonic()
    engine.cancel()
    thread.join(timeout=10)
    assert ended
    assert ended[0] - began < 2


def test_an_answer_beyond_its_memory_is_refused(tmp_path: Path) -> None:
    small = DuckDb(threads=1, memory_mb=1)
    history = History(archived(tmp_path), small, None)
    view = history.view()
    one = question(Question(from_ms=FROM_MS, to_ms=TO_MS, shape=Shape.ROWS, limit=5000))
    table = view.table(Facet.POSITION.value, FROM_MS, TO_MS)
    many = table.cross_join(table.view().select(other="vehicle_id"))
    with pytest.raises(TooMuch, match="query_memory_mb"):
        view.run(expression(many, one, ()).order_by("other"))
    small.close()

"""Roll-ups: made of hours that are over, made again when rows come late, and answering as the rows do."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from msgspec import structs

sys.path.insert(0, str(Path(__file__).parents[1] / "city" / "history"))

from small_city import FROM_MS, TO_MS, archived, events

from analysis.local_time import offsets
from analysis.measures import MEASURES, How
from analysis.queries.rollups import fitting
from analysis.questions import Question, Shape, question
from city.archive.archive import Archive, File, Output, Overtaken
from city.archive.columns import batch_of
from city.archive.layout import WHOLE_DAY, hour_of
from city.archive.verify import verify
from city.history.engines import DuckDb
from city.history.history import History
from city.rollups import SCHEMA
from city.settings import Rollup
from dashboard.history_answers import Answer, answer
from ingest.rollups import DAY_CLOSED_AFTER_MS, TRY_AGAIN_MS, refresh_rollups

ZONE = ZoneInfo("Asia/Tashkent")
HOUR_MS = 3_600_000
ROLLUPS = (
    Rollup(by="mahalla", every_s=900),
    Rollup(by="district", every_s=900),
    Rollup(by="route", every_s=60),
    Rollup(by="vehicle", every_s=3600),
)
LATER = TO_MS + HOUR_MS
# Of those that tell what becomes of them: one is as good as all.
FEW = ROLLUPS[:1]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return archived(tmp_path)


def history_of(archive: Archive) -> History:
    assert archive.folder.local is not None
    return History(Archive.open(str(archive.folder.local.parent), "small"), DuckDb(threads=1, memory_mb=256), None)


@pytest.fixture
def history(archive: Archive) -> History:
    return history_of(archive)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> History:
    """The history of an archive whose hours are all rolled up."""
    archive = archived(tmp_path_factory.mktemp("rolled"))
    history = history_of(archive)
    refresh_rollups(archive, history, ROLLUPS, LATER)
    return history


def asked(feed: str = "position", shape: Shape = Shape.SERIES, **more: Any) -> Question:
    return question(Question(**{"feed": feed, "from_ms": FROM_MS, "to_ms": TO_MS, "shape": shape} | more))


def rows(found: Answer) -> list[dict[str, Any]]:
    return found.table.to_pylist()


def same(left: Answer, right: Answer) -> bool:
    """Equal, but for the last digits of sums added in another order."""
    return len(rows(left)) == len(rows(right)) and all(
        one.keys() == other.keys()
        and all(
            a == b or (isinstance(a, float) and isinstance(b, float) and math.isclose(a, b, rel_tol=1e-12))
            for a, b in zip(one.values(), other.values(), strict=True)
        )
        for one, other in zip(rows(left), rows(right), strict=True)
    )


def both(history: History, one: Question, rollups: Sequence[Rollup] = ROLLUPS) -> tuple[Answer, Answer]:
    return answer(history, one, ZONE, rollups), answer(history, one, ZONE, ())


FITTING = [
    *(
        asked(feed, measure=name, by=by, every_s=every_s)
        for feed, by in (
            ("position", "mahalla"),
            ("position", "vehicle"),
            ("passengers", "vehicle"),
            ("fuel", "vehicle"),
            ("sensor", "mahalla"),
            ("transition", "mahalla"),
        )
        for name, measure in MEASURES[feed].items()
        for every_s in (3600, 7200)
        if not (measure.how is How.RISE and by == "mahalla")
    ),
    asked(measure="speed_mean", every_s=900),
    asked(measure="vehicles", every_s=900, by="district"),
    asked(measure="speed_mean", every_s=900, mahallas=("1726262001", "1726277003")),
    asked(shape=Shape.AREAS, measure="speed_max"),
    asked(shape=Shape.TOP, by="route", measure="speed_mean"),
    asked(shape=Shape.HEAT, measure="deviation_mean"),
    asked(shape=Shape.HEAT, measure="speed_mean", hours=(22, 0), weekdays=(1, 2)),
    asked(shape=Shape.TOTAL, measure="speed_mean", hours=(23,)),
    asked(shape=Shape.TOTAL, measure="count"),
    asked(measure="count", by="route", every_s=86_400),
    asked(measure="count", by="mahalla", every_s=900, from_ms=FROM_MS + 1_234_567, to_ms=TO_MS - 7_654),
]


@pytest.mark.parametrize("one", FITTING, ids=lambda one: f"{one.feed}-{one.shape}-{one.measure}-{one.by}-{one.every_s}")
def test_a_rolled_up_answer_is_that_of_the_rows(ready: History, one: Question) -> None:
    rolled, raw = both(ready, one)
    assert raw.told.rollup is None
    assert rows(raw)
    assert same(rolled, raw)
    measure = MEASURES[one.feed][one.measure]
    if measure.how is not How.ENTITIES:
        assert rolled.told.rollup is not None


@pytest.mark.parametrize(
    "one",
    [
        asked(measure="vehicles", every_s=3600, by="mahalla"),
        asked(measure="count", every_s=60, by="mahalla"),
        asked(measure="count", every_s=900, by="mahalla", vehicles=("01-1001",)),
        asked(measure="count", every_s=900, by="direction"),
        asked("fuel", measure="used", every_s=900),
        asked("position", Shape.DISTRIBUTION, measure="speed_mean"),
        asked(measure="speed_mean", every_s=3600, value_min=5.0),
    ],
    ids=["entities-of-longer-steps", "finer", "other-filter", "other-dimension", "finer-rise", "distribution", "value"],
)
def test_what_a_roll_up_cannot_say_is_answered_by_the_rows(ready: History, one: Question) -> None:
    rolled, raw = both(ready, one)
    assert rolled.told.rollup is None
    assert same(rolled, raw)


def test_the_smallest_roll_up_answers() -> None:
    clock = offsets(ZONE, FROM_MS, TO_MS)
    assert fitting(asked(measure="speed_mean", every_s=3600), ROLLUPS, clock) == ROLLUPS[1]
    assert fitting(asked(measure="speed_mean", every_s=3600, by="mahalla"), ROLLUPS, clock) == ROLLUPS[0]


def test_an_hour_is_rolled_up_once_and_only_when_it_is_over(archive: Archive, history: History) -> None:
    assert refresh_rollups(archive, history, FEW, FROM_MS + HOUR_MS) == 0
    assert refresh_rollups(archive, history, FEW, FROM_MS + HOUR_MS + 600_000) == len(FEW)
    assert refresh_rollups(archive, history, FEW, FROM_MS + HOUR_MS + 600_000) == 0
    assert refresh_rollups(archive, history, FEW, LATER) == 2 * len(FEW)


def test_hours_that_are_not_rolled_up_are_answered_by_their_rows(archive: Archive, history: History) -> None:
    refresh_rollups(archive, history, FEW, FROM_MS + HOUR_MS + 600_000)
    rolled, raw = both(history, asked(measure="speed_mean", by="mahalla", every_s=900))
    assert rolled.told.rollup == "rollup_mahalla_900"
    assert same(rolled, raw)


def test_late_rows_make_the_roll_up_of_their_hour_anew(archive: Archive, history: History) -> None:
    refresh_rollups(archive, history, FEW, LATER)
    late = [event for event in events(seed=2)["position"] if event.measured_ms < FROM_MS + HOUR_MS]
    archive.append({"position": [batch_of("position", late, late=True)]}, {})
    one = asked(measure="count", by="mahalla", every_s=900)
    # Until it is made anew the rows answer for that hour.
    rolled, raw = both(history, one)
    assert same(rolled, raw)
    assert sum(row["value"] for row in rows(rolled)) == len(events()["position"]) + len(late)
    assert refresh_rollups(archive, history, FEW, LATER) == len(FEW)
    rolled, raw = both(history, one)
    assert rolled.told.origin.archived_rows < raw.told.origin.archived_rows
    assert same(rolled, raw)
    # What the other feeds had in that hour is as it was.
    assert same(*both(history, asked("sensor", measure="value_mean", by="mahalla", every_s=900)))


def test_merged_files_of_an_hour_leave_its_roll_up_as_it_is(archive: Archive, history: History) -> None:
    refresh_rollups(archive, history, FEW, LATER)
    assert archive.compact(files_max=1) > 0
    assert refresh_rollups(archive, history, FEW, LATER) == 0
    rolled, raw = both(history, asked(measure="count", by="mahalla", every_s=900))
    assert rolled.told.rollup is not None
    assert same(rolled, raw)


def test_a_roll_up_outlives_its_rows(archive: Archive, history: History) -> None:
    one = asked(measure="speed_mean", by="mahalla", every_s=900)
    refresh_rollups(archive, history, FEW, LATER)
    before = answer(history, one, ZONE, FEW)
    files = [file.path for file in archive.files("position", 0, 1 << 62)]
    archive.publish("retain", [], remove=files)
    assert refresh_rollups(archive, history, FEW, LATER) == 0
    assert same(answer(history, one, ZONE, FEW), before)


NEXT_DAY = FROM_MS - FROM_MS % (24 * HOUR_MS) + 24 * HOUR_MS
DAY_OVER = NEXT_DAY + DAY_CLOSED_AFTER_MS


def rolled_files(archive: Archive) -> list[tuple[int, int]]:
    """(hour, rows) of the files of the roll-up."""
    archive.refresh()
    return [(file.hour, file.rows) for file in archive.files("rollup_mahalla_900", 0, 1 << 62)]


def test_a_day_that_is_over_becomes_one_file_with_the_same_answers(archive: Archive, history: History) -> None:
    refresh_rollups(archive, history, FEW, LATER)
    hours = rolled_files(archive)
    assert len(hours) == 3
    one = asked(measure="speed_mean", by="mahalla", every_s=900)
    before = answer(history, one, ZONE, FEW)
    assert refresh_rollups(archive, history, FEW, DAY_OVER - 1) == 0
    assert refresh_rollups(archive, history, FEW, DAY_OVER) == 1
    assert rolled_files(archive) == [(WHOLE_DAY, sum(rows for _, rows in hours))]
    assert refresh_rollups(archive, history, FEW, DAY_OVER) == 0
    after = answer(history, one, ZONE, FEW)
    assert after.told.rollup == "rollup_mahalla_900"
    assert after.told.origin.files == 1
    assert same(after, before)
    # A part of the day, not by whole hours: its ends are of the rows.
    ends = asked(measure="count", by="mahalla", every_s=900, from_ms=FROM_MS + 1_234_567, to_ms=TO_MS - 7_654)
    rolled, raw = both(history, ends, FEW)
    assert rolled.told.rollup is not None
    assert same(rolled, raw)


def test_late_rows_make_the_file_of_their_day_anew(archive: Archive, history: History) -> None:
    refresh_rollups(archive, history, FEW, LATER)
    refresh_rollups(archive, history, FEW, DAY_OVER)
    late = [event for event in events(seed=2)["position"] if event.measured_ms < FROM_MS + HOUR_MS]
    archive.append({"position": [batch_of("position", late, late=True)]}, {})
    one = asked(measure="count", by="mahalla", every_s=900)
    # Until then the rows answer for that hour, and the file for the others.
    rolled, raw = both(history, one, FEW)
    assert rolled.told.rollup is not None
    assert same(rolled, raw)
    assert refresh_rollups(archive, history, FEW, DAY_OVER) == 1
    assert [hour for hour, _ in rolled_files(archive)] == [WHOLE_DAY]
    rolled, raw = both(history, one, FEW)
    assert sum(row["value"] for row in rows(rolled)) == len(events()["position"]) + len(late)
    assert rolled.told.origin.files == 1
    assert same(rolled, raw)
    assert same(*both(history, asked("sensor", measure="value_mean", by="mahalla", every_s=900), FEW))
    assert refresh_rollups(archive, history, FEW, DAY_OVER) == 0


def test_an_hour_that_comes_after_its_day_joins_it(archive: Archive, history: History) -> None:
    refresh_rollups(archive, history, FEW, LATER)
    refresh_rollups(archive, history, FEW, DAY_OVER)
    added = [structs.replace(event, measured_ms=TO_MS + 5) for event in events(seed=3)["position"][:9]]
    archive.append({"position": [batch_of("position", added, late=True)]}, {})
    assert refresh_rollups(archive, history, FEW, DAY_OVER) == 1  # the hour
    assert refresh_rollups(archive, history, FEW, DAY_OVER) == 1  # and into the day
    assert [hour for hour, _ in rolled_files(archive)] == [WHOLE_DAY]
    rolled, raw = both(history, asked(measure="count", by="mahalla", every_s=900, to_ms=TO_MS + HOUR_MS), FEW)
    assert rolled.told.origin.archived_rows < raw.told.origin.archived_rows
    assert same(rolled, raw)


def test_the_file_of_a_day_is_whole_to_the_verifier(archive: Archive, history: History) -> None:
    refresh_rollups(archive, history, FEW, LATER)
    refresh_rollups(archive, history, FEW, DAY_OVER)
    archive.sweep(0.0)
    assert verify(archive, deep=True).problems == []


FEED = "rollup_mahalla_900"
COUNT = asked(measure="count", by="mahalla", every_s=900)


def path_of(archive: Archive, file: File) -> Path:
    assert archive.folder.local is not None
    return archive.folder.local / file.path


def cut(archive: Archive, file: File) -> bytes:
    """Damage a file; what it was."""
    path = path_of(archive, file)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    return whole


def total(archive: Archive, feed: str = "position", rollups: Sequence[Rollup] = FEW) -> tuple[object, bool]:
    """How many rows an answer counts, and whether a roll-up had a part in it."""
    found = answer(history_of(archive), asked(feed, Shape.TOTAL, measure="count"), ZONE, rollups)
    return rows(found)[0]["value"], found.told.rollup is not None


def test_an_hour_of_which_nothing_can_be_read_is_not_rolled_up(archive: Archive) -> None:
    archive.compact(files_max=1)
    first = [file for file in archive.all_files() if file.hour == 17]
    for file in first:
        cut(archive, file)
    history = history_of(archive)
    assert refresh_rollups(archive, history, FEW, LATER) == 2
    number = archive.number
    assert refresh_rollups(archive, history, FEW, LATER) == 0
    again = history_of(archive).archive
    assert (again.number, again.problems) == (number, [])
    assert {hour for hour, _ in rolled_files(archive)} == {18, 19}


@pytest.mark.parametrize("footer", [True, False], ids=["at-once", "while-it-is-read"])
def test_a_feed_is_rolled_up_when_all_of_its_hour_can_be_read(archive: Archive, *, footer: bool) -> None:
    file = archive.files("position", FROM_MS, FROM_MS + HOUR_MS)[0]
    path = path_of(archive, file)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20] if footer else whole[:4] + bytes(3000) + whole[3004:])
    refresh_rollups(archive, history_of(archive), FEW, LATER)
    assert total(archive)[0] != len(events()["position"]), "the rows answer, without those of the damaged file"
    assert total(archive, "sensor") == (len(events()["sensor"]), True), "what could be read is rolled up"
    path.write_bytes(whole)
    assert refresh_rollups(archive, history_of(archive), FEW, LATER) == 1
    assert total(archive) == (len(events()["position"]), True)
    assert refresh_rollups(archive, history_of(archive), FEW, LATER) == 0


def test_what_could_not_be_read_is_left_alone_for_a_while(archive: Archive) -> None:
    file = archive.files("position", FROM_MS, FROM_MS + HOUR_MS)[0]
    whole = cut(archive, file)
    unread: dict[str, int] = {}
    refresh_rollups(archive, history_of(archive), FEW, LATER, unread=unread)
    assert unread[file.path] == LATER
    path_of(archive, file).write_bytes(whole)
    soon, then = LATER + TRY_AGAIN_MS - 1, LATER + TRY_AGAIN_MS
    assert refresh_rollups(archive, history_of(archive), FEW, soon, unread=unread) == 0
    assert refresh_rollups(archive, history_of(archive), FEW, then, unread=unread) == 1
    assert unread == {}


def test_a_damaged_hour_of_a_roll_up_is_made_anew_when_its_day_is(archive: Archive, history: History) -> None:
    refresh_rollups(archive, history, FEW, LATER)
    cut(archive, archive.files(FEED, 0, 1 << 62)[0])
    refresh_rollups(archive, history_of(archive), FEW, DAY_OVER)
    assert [hour for hour, _ in rolled_files(archive)] == [WHOLE_DAY]
    assert total(archive) == (len(events()["position"]), True)


def test_a_damaged_hour_of_a_roll_up_whose_rows_are_gone_stays_listed(archive: Archive, history: History) -> None:
    refresh_rollups(archive, history, FEW, LATER)
    damaged = archive.files(FEED, 0, 1 << 62)[0]
    whole = cut(archive, damaged)
    archive.publish("retain", [], remove=[file.path for file in archive.all_files() if file.feed == "position"])
    for _ in range(2):
        refresh_rollups(archive, history_of(archive), FEW, DAY_OVER)
    assert [hour for hour, _ in rolled_files(archive)] == [17, WHOLE_DAY]
    # Who brings it back from a copy has all of it.
    path_of(archive, damaged).write_bytes(whole)
    assert refresh_rollups(archive, history_of(archive), FEW, DAY_OVER) == 1
    assert [hour for hour, _ in rolled_files(archive)] == [WHOLE_DAY]
    assert total(archive) == (len(events()["position"]), True)


@pytest.mark.parametrize("keep_days", [{"case": 1.0}, {}], ids=["kept-shortly", "now-kept-for-ever"])
def test_a_row_that_comes_after_its_hour_was_forgotten_changes_no_roll_up(
    archive: Archive, history: History, keep_days: dict[str, float]
) -> None:
    refresh_rollups(archive, history, FEW, LATER)
    refresh_rollups(archive, history, FEW, DAY_OVER)
    cases = [file.path for file in archive.all_files() if file.feed == "case"]
    archive.publish("retain", [], remove=cases)
    assert total(archive, "case") == (len(events()["case"]), True)
    archive.append({"case": [batch_of("case", events()["case"][:3], late=True)]}, {})
    assert refresh_rollups(archive, history, FEW, DAY_OVER + 40 * 24 * HOUR_MS, keep_days=keep_days) == 0
    # Nor any answer: those rows alone are not the hour.
    assert total(archive, "case") == (len(events()["case"]), True)
    archive.publish("retain", [], remove=[file.path for file in archive.all_files() if file.feed == "case"])
    assert total(archive, "case") == (len(events()["case"]), True)


def test_of_two_rollers_at_the_same_hours_one_makes_them(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    other = history_of(archive)
    slow = history_of(archive)
    view = slow.view()
    monkeypatch.setattr(slow, "view", lambda: view)  # it looked before the other one was at work
    assert refresh_rollups(other.archive, other, FEW, LATER) == 3
    assert refresh_rollups(archive, slow, FEW, LATER) == 0
    assert len(rolled_files(archive)) == 3
    assert refresh_rollups(archive, history_of(archive), FEW, DAY_OVER) == 1
    assert total(archive) == (len(events()["position"]), True)


def test_an_hour_that_is_there_twice_is_in_its_day_once(archive: Archive, history: History) -> None:
    refresh_rollups(archive, history, FEW, LATER)
    twice = archive.files(FEED, 0, 1 << 62)[0]
    tables = [history.engine.run(history.view().table_of(FEED, [twice], SCHEMA.empty_table())).cast(SCHEMA)]
    archive.publish("rollup", [Output(twice.place, tables, twice.made_of)])
    assert len(rolled_files(archive)) == 4
    refresh_rollups(archive, history, FEW, DAY_OVER)
    assert [hour for hour, _ in rolled_files(archive)] == [WHOLE_DAY]
    assert total(archive) == (len(events()["position"]), True)


def test_a_file_may_not_stand_beside_one_that_was_not_seen(archive: Archive) -> None:
    place = hour_of("position", FROM_MS)
    (batch,) = [batch_of("position", [event], late=False) for event in events()["position"][:1]]
    output = Output(place, [pa.Table.from_batches([batch])])
    number = archive.number
    with pytest.raises(Overtaken):
        archive.publish("import", [output], seen={("position", place.date): []})
    assert archive.number == number
    archive.publish("import", [output], seen={("position", "2020-01-01"): []})


def test_a_file_of_no_rows_is_refused(archive: Archive) -> None:
    number = archive.number
    with pytest.raises(ValueError, match="no rows"):
        archive.publish("rollup", [Output(hour_of(FEED, FROM_MS), [SCHEMA.empty_table()])])
    assert history_of(archive).archive.number == number
    assert verify(archive, deep=False).problems == []

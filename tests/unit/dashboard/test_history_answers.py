"""An answer that no page could show is refused in one line, before it takes the memory of the machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "city" / "history"))

from small_city import FROM_MS, TO_MS, archived

from analysis.questions import Question, Shape, question
from city.archive.archive import Archive
from city.archive.columns import batch_of
from city.areas import Areas
from city.events import FuelReading, SensorReading
from city.history.engines import DuckDb, TooMuch
from city.history.history import History
from dashboard import history_answers, history_formats
from dashboard.analyst_words import Form
from dashboard.history_answers import answer
from dashboard.history_formats import written

ZONE = ZoneInfo("Asia/Tashkent")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return archived(tmp_path_factory.mktemp("history"))


@pytest.fixture
def engine() -> Iterator[DuckDb]:
    engine = DuckDb(threads=1, memory_mb=256)
    yield engine
    engine.close()


@pytest.fixture
def history(archive: Archive, engine: DuckDb) -> History:
    return History(archive, engine, None)


@pytest.mark.parametrize("shape", [Shape.SERIES, Shape.AREAS])
def test_steps_times_groups_are_bounded(history: History, monkeypatch: pytest.MonkeyPatch, shape: Shape) -> None:
    one = question(Question(from_ms=FROM_MS, to_ms=TO_MS, shape=shape, by="mahalla", every_s=600))
    rows = answer(history, one, ZONE, ()).table.num_rows
    monkeypatch.setattr(history_answers, "ROWS_MAX", rows)
    assert answer(history, one, ZONE, ()).table.num_rows == rows
    monkeypatch.setattr(history_answers, "ROWS_MAX", rows - 1)
    with pytest.raises(TooMuch, match=f"more than {rows - 1} rows: take a longer step"):
        answer(history, one, ZONE, ())


@pytest.mark.parametrize("form", [Form.JSON, Form.CSV, Form.GEOJSON, Form.PARQUET, Form.ARROW])
def test_a_form_is_bounded_by_its_bytes(history: History, monkeypatch: pytest.MonkeyPatch, form: Form) -> None:
    one = question(Question(from_ms=FROM_MS, to_ms=TO_MS, shape=Shape.ROWS))
    found = answer(history, one, ZONE, ())
    size = len(written(found, one, form, Areas([])))
    monkeypatch.setattr(history_formats, "BYTES_MAX", size)
    assert len(written(found, one, form, Areas([]))) == size
    monkeypatch.setattr(history_formats, "BYTES_MAX", size - 1)
    with pytest.raises(TooMuch, match="longer than"):
        written(found, one, form, Areas([]))


def test_the_same_great_value_everywhere_is_one_bin(tmp_path: Path, engine: DuckDb) -> None:
    """Too great for the next whole number to be another one."""
    archive = Archive.open(str(tmp_path), "small")
    said = [
        SensorReading(sensor_id="s", quantity="energy", unit="J", value=1e17, measured_ms=at, received_ms=at)
        for at in range(FROM_MS, FROM_MS + 5)
    ]
    archive.append({"sensor": [batch_of("sensor", said, late=False)]}, {})
    one = Question(feed="sensor", from_ms=FROM_MS, to_ms=TO_MS, shape=Shape.DISTRIBUTION, measure="value_mean")
    found = answer(History(archive, engine, None), question(one), ZONE, ())
    assert found.table.to_pylist() == [{"bin": 0, "rows": 5}]


def test_a_span_that_begins_behind_a_change_of_the_clock_knows_its_step(tmp_path: Path, engine: DuckDb) -> None:
    """29 March began under the winter's clock."""
    midnight_ms = 1_774_735_200_000  # in Helsinki, where three o'clock is four on that day
    at = midnight_ms + 6 * 3_600_000
    archive = Archive.open(str(tmp_path), "small")
    said = [FuelReading(vehicle_id="h", level_l=1.0, measured_ms=at, received_ms=at)]
    archive.append({"fuel": [batch_of("fuel", said, late=False)]}, {})
    one = question(Question(feed="fuel", from_ms=at, to_ms=at + 3_600_000, every_s=86_400))
    found = answer(History(archive, engine, None), one, ZoneInfo("Europe/Helsinki"), ())
    assert found.table["bucket_ms"].to_pylist() == [midnight_ms]

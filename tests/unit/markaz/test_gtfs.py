"""`markaz gtfs`: what it says, and what it leaves on disk."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from city.config import Config, ConfigError
from city.gtfs.stored import folder as kept_folder
from city.gtfs.stored import stored
from city.settings import CityProfile
from markaz.gtfs import add_arguments, run
from tests.unit.city.gtfs.feeds import RIGHT, folder

CITIES = {"tashkent": CityProfile(names={"en": "T"}, bounds=(69, 41, 70, 42), timezone="Asia/Tashkent")}


def command(tmp_path: Path, *words: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(Config(cities=CITIES, root=tmp_path, data_dir=tmp_path / "var"), parser.parse_args(words))


def test_a_right_feed_becomes_the_citys_timetable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(tmp_path, "check") == 0
    assert "has no timetable" in capsys.readouterr().out
    assert command(tmp_path, "import", str(folder(tmp_path))) == 0
    assert command(tmp_path, "check") == 0
    said = capsys.readouterr().out
    assert "Toshshahartransxizmat, Asia/Tashkent: 2026-05-04 to 2026-05-15, 11 days with service" in said
    assert "2 routes, 3 lines, 4 stops, 6 trips" in said


def test_a_wrong_feed_is_refused_with_all_its_faults_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(tmp_path, "import", str(folder(tmp_path))) == 0
    (tmp_path / "worse").mkdir()
    wrong = folder(
        tmp_path / "worse",
        stops=RIGHT["stops.txt"].replace("69.210", "269"),
        trips=RIGHT["trips.txt"].replace("r2", "r9"),
    )
    assert command(tmp_path, "import", str(wrong)) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("markaz: stops.txt:3: stop_lon: '269' is not within ±180 degrees")
    assert said[1].startswith("markaz: trips.txt:5: route_id: 'r9' is no route_id of routes.txt")
    assert said[2].endswith("2 faults; nothing was changed")
    found = stored(kept_folder(tmp_path / "var", "tashkent"))
    assert found is not None
    assert "r2" in found[0].trips.route_id


def test_looking_at_a_feed_keeps_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(tmp_path, "check", str(folder(tmp_path))) == 0
    assert "6 trips" in capsys.readouterr().out
    assert not (tmp_path / "var").exists()


def test_an_export_backwards_in_time_is_bad_use(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--to is before --from"):
        command(tmp_path, "export", "--from", "2026-05-04", "--to", "2026-05-03", "--out", "x.zip")


def test_an_export_without_an_address_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--agency-url"):
        command(tmp_path, "export", "--from", "2026-05-04", "--out", str(tmp_path / "x.zip"))

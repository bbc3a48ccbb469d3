"""An archive that falls behind as a timeline; its writer tells its figures every look, unless a line says otherwise."""

from __future__ import annotations

import pytest
from timelines import S, Timeline, changes

from analysis.detectors.archive_behind import DETECTOR, unarchived_s
from analysis.detectors.seen import ArchiveSeen
from city.archive_figures import ArchiveFigures
from city.rules.system import ArchiveBehind

RULE = ArchiveBehind(share_max=0.25, share_clear=0.1, on_delay_s=60)
HOLD_S = 3600.0


def figures(at_s: float, lag_s: float, waits_for: str = "") -> ArchiveFigures:
    return ArchiveFigures(
        at_ms=int(at_s * S), committed_ms=0, commit=1, files=1, rows_written=0, waiting_rows=0, lag_s=lag_s,
        hold_s=HOLD_S, waits_for=waits_for,
    )  # fmt: skip


def look(at_s: float, lag_s: float, waits_for: str = "", *, told_s: float | None = None) -> ArchiveSeen:
    return ArchiveSeen(figures=figures(at_s if told_s is None else told_s, lag_s, waits_for), now_ms=int(at_s * S))


def test_an_archive_whose_folder_is_away_is_told_before_anything_is_lost_and_when_it_has_caught_up() -> None:
    line = Timeline(DETECTOR, RULE)
    for at_s in range(0, 1800, 10):
        line.see(look(10_000 + at_s, at_s, "archive"))
    line.see(look(11_810, 400))
    line.see(look(11_820, 360))
    raised, *worse, cleared = line.found
    assert changes([raised, cleared]) == [("raise", 10_960), ("clear", 11_820)]
    assert raised.values == {"lag_min": 16.0, "hold_min": 60.0, "left_min": 44.0, "waits_for": "archive"}
    assert [one.values["lag_min"] for one in worse] == [18.0, 24.0], "again at every tenth of what the store holds"


def test_what_is_caught_up_within_the_delay_is_nobodys_alarm() -> None:
    line = Timeline(DETECTOR, RULE)
    for at_s, lag_s in ((0, 36_000), (30, 20_000), (59, 900), (60, 899), (61, 36_000), (120, 36_000)):
        line.see(look(at_s, lag_s))
    assert line.found == []


def test_a_writer_that_tells_nothing_archives_nothing() -> None:
    line = Timeline(DETECTOR, RULE)
    for at_s in range(0, 7200, 10):
        line.see(look(at_s, 0, told_s=0))
    raised, *worse = line.found
    assert changes([raised]) == [("raise", 960)]
    assert raised.values["waits_for"] == "process"
    assert worse[-1].values["left_min"] == 0.0
    assert worse[-1].at_ms == 3600 * S, "once everything is lost nothing more is to be said"


def test_who_did_not_watch_knows_nothing_of_the_time_before() -> None:
    line = Timeline(DETECTOR, RULE, watching_s=86_400)
    for at_s in range(86_400, 86_400 + 1000, 10):
        line.see(look(at_s, 0, told_s=0))
    assert changes(line.found) == [("raise", 86_400 + 960)]


def test_a_clock_that_is_set_back_ends_nothing() -> None:
    line = Timeline(DETECTOR, RULE, restarts=True)
    for at_s in (0, 60, 61, 10):
        line.see(look(at_s, 1000))
    assert changes(line.found) == [("raise", 60)]


def test_the_age_of_what_is_not_archived_grows_with_the_clock() -> None:
    assert unarchived_s(figures(100, 7), 103 * S) == 10.0
    assert unarchived_s(figures(100, 7), 90 * S) == 7.0


def test_limits_that_would_chatter_are_refused() -> None:
    with pytest.raises(ValueError, match="share_clear must not be above share_max"):
        ArchiveBehind(share_max=0.1, share_clear=0.2)

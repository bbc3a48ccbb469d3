"""Alarms of before the store's log: from the archive, each once."""

from __future__ import annotations

from pathlib import Path

import pytest

from city.alarms import Action, AlarmPriority, AlarmState, Transition
from city.archive.archive import Archive
from city.archive.columns import TRANSITION, batch_of
from city.store import Store
from dashboard.alarm_past import AlarmPast, open_past

NOW_MS = 1_777_870_800_000
HOUR_MS = 3_600_000


def rise(alarm: str, at_ms: int, version: int = 1) -> Transition:
    return Transition(
        alarm=alarm, version=version, action=Action.RISE, before=AlarmState.NORMAL, after=AlarmState.UNACKNOWLEDGED,
        at_ms=at_ms, rule="overload", priority=AlarmPriority.LOW, source_kind="vehicle", source_id=alarm,
    )  # fmt: skip


class Log(Store):
    """A store of which only the log is asked."""

    def __init__(self, *entries: tuple[str, Transition]) -> None:
        self.entries = list(entries)

    def transitions(self, *, after: str = "-", count: int = 1000) -> list[tuple[str, Transition]]:
        names = [name for name, _ in self.entries]
        begin = 0 if after == "-" else names.index(after) + 1
        return self.entries[begin : begin + count]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive.open(str(tmp_path / "history"), "town")


def put(archive: Archive, *told: Transition) -> None:
    archive.append({TRANSITION: [batch_of(TRANSITION, told, False)]}, {})


def past(archive: Archive, *entries: tuple[str, Transition]) -> AlarmPast:
    found = AlarmPast(Log(*entries), archive)
    found.refresh()
    return found


def test_of_a_store_that_was_begun_anew_the_archive_has_what_was_before(archive: Archive) -> None:
    told = [rise("a", NOW_MS - 50 * HOUR_MS), rise("b", NOW_MS - 2 * HOUR_MS, 2), rise("a", NOW_MS + 5)]
    put(archive, told[1], told[0])
    put(archive, told[2])
    found = past(archive, (f"{NOW_MS}-0", told[2]))
    assert found.until_ms == NOW_MS
    assert list(found.transitions()) == told[:2]
    assert list(found.transitions(NOW_MS - 3 * HOUR_MS)) == told[1:2]
    assert list(found.transitions(0, NOW_MS - 3 * HOUR_MS)) == told[:1]


def test_what_the_log_begins_with_and_happened_a_little_earlier_is_not_told_twice(archive: Archive) -> None:
    before, earlier = rise("a", NOW_MS - 700_000), rise("a", NOW_MS - 600_000, 2)
    put(archive, before, earlier)
    assert list(past(archive, (f"{NOW_MS}-0", earlier)).transitions()) == [before]


def test_without_a_log_all_that_there_is_is_the_archives_in_the_order_of_versions(archive: Archive) -> None:
    told = [rise("a", NOW_MS, version) for version in (1, 2, 3)]
    put(archive, told[2], told[0], told[1])
    assert list(past(archive).transitions()) == told


def test_a_log_that_begins_is_seen(archive: Archive) -> None:
    log = Log()
    found = AlarmPast(log, archive)
    assert found.refresh() is False
    log.entries.append((f"{NOW_MS}-0", rise("a", NOW_MS)))
    assert found.refresh() is True
    assert found.refresh() is False


def test_a_damaged_file_is_left_out_and_stays(archive: Archive) -> None:
    put(archive, rise("a", NOW_MS))
    put(archive, rise("b", NOW_MS + HOUR_MS))
    root = archive.folder.local
    assert root is not None
    broken = root / archive.files(TRANSITION, NOW_MS, NOW_MS + 1)[0].path
    broken.write_bytes(b"nothing")
    assert [one.alarm for one in past(archive).transitions()] == ["b"]
    assert broken.read_bytes() == b"nothing"


def test_an_archive_that_cannot_be_read_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "town").write_text("a file where a folder should be")
    assert open_past(Log(), "nosuch://place", "town") is None

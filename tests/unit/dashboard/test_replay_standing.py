"""Where vehicles stood before an hour, from files that hold some of them each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.replay import HOUR_MS
from analysis.replay_tracks import Tracks
from city.archive.archive import Archive, File
from city.archive.columns import batch_of
from city.events import VehiclePosition
from dashboard import replay_tables
from dashboard.replay_standing import Standing
from dashboard.replay_tables import POSITION, file_ends, position_rows

NOON = 1_760_000_000_000 // HOUR_MS * HOUR_MS
DAY_MS = 24 * HOUR_MS


def position(vehicle: str, at_ms: int, lon: float = 69.2) -> VehiclePosition:
    return VehiclePosition(vehicle_id=vehicle, measured_ms=at_ms, received_ms=at_ms, lat=41.3, lon=lon, route="8")


def archive(folder: Path, *events: VehiclePosition, late: bool = False) -> Archive:
    opened = Archive.open(str(folder), "tashkent")
    opened.append({"position": [batch_of("position", events, late)]}, {})
    opened.refresh()
    return opened


def standing(opened: Archive, gone_after_ms: int = DAY_MS, failed: list[str] | None = None) -> Standing:
    def files(from_ms: int, to_ms: int) -> Sequence[File]:
        return opened.files("position", from_ms, to_ms)

    def named(url: str, error: Exception) -> None:
        if failed is not None:
            failed.append(url)

    return Standing(files, (), gone_after_ms, named)


def nothing_in_memory(hour_ms: int) -> Tracks | None:
    return None


def newest(told: tuple[list[Tracks], bool]) -> dict[str, int]:
    """When each vehicle was heard last, of all."""
    parts, everybody = told
    assert everybody
    found: dict[str, int] = {}
    for part in parts:
        for at, vehicle in enumerate(part.index.ids):
            row = int(part.index.starts[at + 1]) - 1
            found[vehicle] = max(
                found.get(vehicle, 0), int(part.index.measured_ms(part.index.starts[at + 1 : at + 2] - 1)[0])
            )
            assert row >= 0
    return found


def test_a_vehicle_silent_for_many_hours_still_stands_where_it_was(tmp_path: Path) -> None:
    archive(tmp_path, position("night", NOON - 20 * HOUR_MS, 69.1), position("both", NOON - 20 * HOUR_MS))
    archive(tmp_path, position("both", NOON - 10, 69.4), position("day", NOON - 20))
    opened = archive(tmp_path, position("later", NOON), position("long ago", NOON - 30 * HOUR_MS))
    found = standing(opened).before(NOON, nothing_in_memory)
    assert newest(found) == {"night": NOON - 20 * HOUR_MS, "both": NOON - 10, "day": NOON - 20}
    assert [list(part.index.ids) for part in found[0]] == [["both", "day"], ["night"]], (
        "of older hours only who fell silent"
    )
    assert newest(standing(opened, 6 * HOUR_MS).before(NOON, nothing_in_memory)) == {
        "both": NOON - 10,
        "day": NOON - 20,
    }


def test_looking_at_an_earlier_hour_finds_who_spoke_again_later(tmp_path: Path) -> None:
    """What was kept for a later hour left out who was heard in between."""
    archive(tmp_path, position("a", NOON - 5 * HOUR_MS))
    opened = archive(tmp_path, position("a", NOON - 10), position("b", NOON - 10))
    asked = standing(opened)
    assert newest(asked.before(NOON, nothing_in_memory)) == {"a": NOON - 10, "b": NOON - 10}
    assert newest(asked.before(NOON - 2 * HOUR_MS, nothing_in_memory)) == {"a": NOON - 5 * HOUR_MS}
    assert newest(asked.before(NOON, nothing_in_memory)) == {"a": NOON - 10, "b": NOON - 10}


def test_what_came_out_of_order_is_not_where_it_stood(tmp_path: Path) -> None:
    archive(tmp_path, position("a", NOON - HOUR_MS - 10))
    opened = archive(tmp_path, position("a", NOON - 10), late=True)
    assert newest(standing(opened).before(NOON, nothing_in_memory)) == {"a": NOON - HOUR_MS - 10}


def test_a_file_that_cannot_be_read_is_named_and_older_ones_stand_for_it(tmp_path: Path) -> None:
    archive(tmp_path, position("a", NOON - 2 * HOUR_MS))
    opened = archive(tmp_path, position("a", NOON - 10))
    (broken,) = opened.files("position", NOON - 10, NOON)
    Path(broken.url).write_bytes(b"PAR1 no more")
    failed: list[str] = []
    assert newest(standing(opened, failed=failed).before(NOON, nothing_in_memory)) == {"a": NOON - 2 * HOUR_MS}
    assert failed == [broken.url]


def test_an_hour_in_memory_is_not_read(tmp_path: Path) -> None:
    opened = archive(tmp_path, position("a", NOON - 20), position("a", NOON - 10))
    (file,) = opened.files("position", NOON - 20, NOON)
    whole = Tracks.of(position_rows(replay_tables.columns_of(file.url, POSITION)), ())
    Path(file.url).unlink()
    failed: list[str] = []
    found = standing(opened, failed=failed).before(NOON, lambda hour: whole if hour == NOON - HOUR_MS else None)
    assert newest(found) == {"a": NOON - 10}
    assert not failed


def test_no_question_waits_for_all_the_hours_and_asking_again_goes_on(tmp_path: Path) -> None:
    for ago in range(1, 6):
        opened = archive(tmp_path, position(f"v{ago}", NOON - ago * HOUR_MS))
    asked = standing(opened)
    heard = []
    for _ in range(5):
        found, everybody = asked.before(NOON, nothing_in_memory, read_s=0)
        heard.append((sum(len(part.index.ids) for part in found), everybody))
    assert heard == [(1, False), (2, False), (3, False), (4, False), (5, True)]


def test_only_groups_of_rows_that_are_wanted_are_read(tmp_path: Path) -> None:
    events = [position(f"v{n:02d}", NOON + at) for n in range(20) for at in range(3)]
    opened = archive(tmp_path, *events)
    (file,) = opened.files("position", NOON, NOON + 10)
    names, table = file_ends(file.url, POSITION, {f"v{n:02d}" for n in range(20) if n != 7})
    assert names == {f"v{n:02d}" for n in range(20)}
    assert table.select(["vehicle_id", "measured_ms"]).to_pylist() == [{"vehicle_id": "v07", "measured_ms": NOON + 2}]


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from("abcde"), st.integers(1, 40), st.integers(0, HOUR_MS - 1)), min_size=1, max_size=6
        ),
        min_size=1,
        max_size=5,
    ),
    st.lists(st.integers(0, 30), min_size=1, max_size=4),
)
def test_it_is_what_a_plain_search_finds(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[str, int, int]]], asked: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("history")
    heard = []
    for batch in batches:
        events = [position(who, NOON - ago * HOUR_MS + at) for who, ago, at in batch]
        heard += events
        opened = archive(folder, *events)
    one = standing(opened)
    for ago in asked:
        hour = NOON - ago * HOUR_MS
        wanted: dict[str, int] = {}
        for event in heard:
            if hour - DAY_MS <= event.measured_ms < hour:
                wanted[event.vehicle_id] = max(wanted.get(event.vehicle_id, 0), event.measured_ms)
        assert newest(one.before(hour, nothing_in_memory, read_s=60)) == wanted

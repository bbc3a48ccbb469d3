"""Every page has its turn at the past."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dashboard.replay_queue import Turns


def taken(turns: Turns[str]) -> list[str]:
    found = []
    while (one := turns.take()) is not None:
        found.append(one)
    return found


def test_pages_have_turns_and_each_asks_in_its_own_order() -> None:
    turns = Turns[str](10, 10)
    for one in ("a1", "a2", "a3", "b1", "c1", "b2"):
        turns.put(one[0], one)
    assert taken(turns) == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert len(turns) == 0


def test_who_asks_without_end_pushes_out_only_his_own_oldest() -> None:
    turns = Turns[str](100, 3)
    turns.put("calm", "calm")
    assert [turns.put("held key", str(n)) for n in range(6)] == [None, None, None, "0", "1", "2"]
    assert taken(turns) == ["calm", "3", "4", "5"]


def test_with_no_room_for_all_the_one_with_the_most_gives_way() -> None:
    turns = Turns[str](4, 3)
    for one in ("a1", "a2", "a3", "b1"):
        turns.put(one[0], one)
    assert turns.put("c", "c1") == "a1"
    assert taken(turns) == ["a2", "b1", "c1", "a3"]


def test_what_nobody_waits_for_is_forgotten() -> None:
    turns = Turns[str](10, 10)
    turns.put("a", "a1")
    turns.put("a", "a2")
    turns.remove("a", "a1")
    turns.remove("a", "a1")
    turns.remove("b", "a2")
    assert len(turns) == 1
    assert taken(turns) == ["a2"]


@given(st.lists(st.tuples(st.sampled_from(["put", "take", "remove"]), st.sampled_from("abcd")), max_size=60))
def test_nothing_is_lost_and_nothing_is_answered_twice(steps: list[tuple[str, str]]) -> None:
    turns = Turns[int](6, 3)
    waiting: dict[int, str] = {}
    for number, (what, asker) in enumerate(steps):
        if what == "put":
            waiting[number] = asker
            out = turns.put(asker, number)
            assert out != number
            if out is not None:
                del waiting[out]
        elif what == "take":
            got = turns.take()
            assert (got is None) == (not waiting)
            if got is not None:
                del waiting[got]
        elif mine := [one for one, whose in waiting.items() if whose == asker]:
            turns.remove(asker, mine[-1])
            del waiting[mine[-1]]
        assert len(turns) == len(waiting) <= 6
        assert all(list(waiting.values()).count(one) <= 3 for one in "abcd")

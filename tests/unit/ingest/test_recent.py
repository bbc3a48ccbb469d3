"""Which messages are known to be stored: from the worker's own memory, and from the store."""

from __future__ import annotations

from ingest.recent import Known, Recent


class Asked:
    """A store that counts how often it is asked."""

    def __init__(self, *known: Known) -> None:
        self.known = set(known)
        self.times = 0

    def __call__(self) -> set[Known]:
        self.times += 1
        return set(self.known)


def test_what_this_worker_sent_is_known_without_asking_the_store() -> None:
    store = Asked()
    recent = Recent(store)
    recent.remember(3, [10, 11])
    recent.remember(None, [12])
    assert recent.knows({(3, 10), (None, 12)}) == {(3, 10), (None, 12)}
    assert store.times == 0


def test_what_another_worker_stored_is_known_from_the_store() -> None:
    recent = Recent(Asked((3, 10)))
    assert recent.knows({(3, 10), (3, 11)}) == {(3, 10)}


def test_the_same_digest_in_another_partition_is_another_message() -> None:
    recent = Recent(Asked())
    recent.remember(3, [10])
    assert recent.knows({(4, 10)}) == set()


def test_unmarked_messages_are_compared_with_one_answer_of_the_store_a_session() -> None:
    store = Asked((3, 10))
    recent = Recent(store)
    assert recent.may_know(3, [10, 11]) == {10}
    assert recent.may_know(4, [10]) == set()
    store.known.add((3, 11))
    assert recent.may_know(3, [11]) == set()
    assert store.times == 1
    recent.ask_anew()
    assert recent.may_know(3, [11]) == {11}
    assert store.times == 2


def test_what_the_store_had_when_a_session_began_stays_known_when_the_store_has_forgotten_it() -> None:
    """A broker may wait half a minute before it sends again what a killed worker had stored."""
    store = Asked((3, 10), (None, 12))
    recent = Recent(store)
    recent.may_know(3, [1])
    store.known = {(3, 20)}
    assert recent.knows({(3, 10), (None, 12), (3, 11)}) == {(3, 10), (None, 12)}
    recent.ask_anew()
    assert recent.may_know(3, [10, 20, 21]) == {10, 20}


def test_what_sessions_began_with_is_bounded() -> None:
    store = Asked()
    recent = Recent(store, most=10)
    for session in range(100):
        store.known = {(0, session * 5 + n) for n in range(5)}
        recent.ask_anew()
        assert recent.may_know(0, list(range(500))) >= {digest for _, digest in store.known}
    assert len(recent.may_know(0, list(range(500)))) <= 20


def test_nothing_wanted_asks_nobody() -> None:
    store = Asked()
    assert Recent(store).knows(set()) == set()
    assert store.times == 0


def test_the_memory_is_bounded_and_keeps_the_newest() -> None:
    recent = Recent(Asked(), most=10)
    for digest in range(100):
        recent.remember(0, [digest])
        assert recent.knows({(0, digest)}) == {(0, digest)}
    recent.remember(0, [100])
    found = recent.knows({(0, digest) for digest in range(101)})
    assert found >= {(0, digest) for digest in range(91, 101)}
    assert len(found) <= 2 * 10 + 1

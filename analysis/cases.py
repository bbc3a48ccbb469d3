"""The newest word on every case, and which of them stand."""

from __future__ import annotations

from dataclasses import dataclass, field

from city.events import Case, CaseList

# Closed ones are forgotten first, then those told longest ago.
CASES_MAX = 50_000
_STANDING = frozenset({"open", "in_progress"})


@dataclass(slots=True)
class Cases:
    """Newest-wins state of cases, bounded, and of the lists that sources told (there are as many as feeds)."""

    by_key: dict[str, Case] = field(default_factory=dict)
    lists: dict[str, CaseList] = field(default_factory=dict)  # by source

    def apply(self, event: Case | CaseList) -> bool:
        """Take a case or a source's list in; False if something newer was known already."""
        known = self.lists.get(event.key) if isinstance(event, CaseList) else self.by_key.get(event.key)
        if known is not None and known.measured_ms > event.measured_ms:
            return False
        if isinstance(event, CaseList):
            self.lists[event.source] = event
        else:
            self.by_key[event.key] = event
            if len(self.by_key) > CASES_MAX:
                self._forget()
        return True

    def standing(self, now_ms: int) -> list[Case]:
        """The cases that are open or in progress and not over, by key."""
        return sorted((case for case in self.by_key.values() if self.stands(case, now_ms)), key=lambda case: case.key)

    def stands(self, case: Case, now_ms: int) -> bool:
        """Whether a case is open or in progress: its time is not over and its source has not left it out since."""
        if case.status not in _STANDING or (case.ends_ms is not None and case.ends_ms <= now_ms):
            return False
        told = self.lists.get(case.source)
        return told is None or told.measured_ms <= case.measured_ms or case.case_id in told.unread

    def _forget(self) -> None:
        """Make room for a while: sorting at every case would cost more than the room."""
        gone = sorted(self.by_key.values(), key=lambda case: (self.stands(case, 0), case.measured_ms))
        for case in gone[: CASES_MAX // 10]:
            del self.by_key[case.key]

"""Which incidents the dashboard forgets."""

from __future__ import annotations

import pytest

from city.incidents import Incident, IncidentStatus, Promise
from dashboard.feed import forgotten_incidents

NOW = 1_800_000_000_000
OWED = Promise(text="light is back", by="olim", due_ms=NOW)
KEPT = Promise(text="light is back", by="olim", due_ms=NOW, kept_ms=NOW)


@pytest.mark.parametrize(
    ("closed_ms", "promises", "forgotten"),
    [
        (None, (), False),
        (NOW + 1, (), False),
        (NOW - 1, (), True),
        (NOW - 1, (KEPT,), True),
        (NOW - 1, (KEPT, OWED), False),
    ],
)
def test_an_incident_stays_while_a_promise_is_not_kept(
    closed_ms: int | None, promises: tuple[Promise, ...], forgotten: bool
) -> None:
    status = IncidentStatus.OPEN if closed_ms is None else IncidentStatus.CLOSED
    one = Incident(
        id="20261122-001", opened_ms=1, updated_ms=1, last_ms=1, status=status, closed_ms=closed_ms, promises=promises
    )
    assert forgotten_incidents({one.id: one}, NOW) == ([one.id] if forgotten else [])

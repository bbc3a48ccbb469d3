"""New cases of citizens and agencies as what rises: by category, where they are. From the archive and the store."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.queries.cases import first_case, new_cases
from city.alarms import Action, AlarmPriority, AlarmState, Transition
from city.events import Facet
from city.history.history import View
from dashboard.systemic_words import CASE_RULE


def cases_since_ms(view: View, until_ms: int) -> int | None:
    """When the first case of all was told of, epoch ms; None where there is none. Raises HistoryError."""
    found = view.run(first_case(view.table(Facet.CASE.value, 0, until_ms)))
    at_ms = found.column("at_ms")[0].as_py()
    return None if at_ms is None else int(at_ms)


def case_rises(view: View, since_ms: int, until_ms: int) -> Iterator[Transition]:
    """A rise for every case that was first told of in the time, oldest first. Raises HistoryError.

    All rows are looked at (who is told of again is not new), but only those of the time are handed over.
    """
    found = view.run(new_cases(view.table(Facet.CASE.value, 0, until_ms), since_ms))
    for batch in found.to_batches():
        for row in batch.to_pylist():
            name = f"{row['source']}/{row['case_id']}"
            # A problem is named by its rule, and a name is part of an address.
            category = row["category"].replace("/", "-")
            yield Transition(
                # Each case is one of its own: none comes again and again like an alarm.
                alarm=f"{CASE_RULE}{name}",
                version=1,
                action=Action.RISE,
                before=AlarmState.NORMAL,
                after=AlarmState.UNACKNOWLEDGED,
                at_ms=row["at_ms"],
                rule=f"{CASE_RULE}{category}",
                priority=AlarmPriority.LOW,
                source_kind="case",
                source_id=name,
                district=row["district"],
                mahalla=row["mahalla"],
            )

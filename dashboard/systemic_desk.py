"""Systemic problems as the dashboard has them: searched now and then in another process, followed in the store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

import structlog
from msgspec import Struct
from msgspec.structs import replace

from analysis.alarm_states import NotAllowed
from analysis.systemic_deeds import BLIND, FollowAct, begin, follow, returned
from city.config import Config
from city.store import Store, StoreDown, StoreRefused, now_ms
from city.systemic import Followed, FollowEntry, FollowState, Measure, Problem
from city.systemic_store import StoredProblem
from dashboard.systemic_work import Calculation, CalculationFailed, calculate

log = structlog.get_logger()

# What happened yesterday changes no sooner; whoever wants it now asks.
EVERY_S = 3600.0
# The screens come first when a city starts.
_FIRST_AFTER_S = 45.0
_AGAIN_AFTER_S = 60.0
_TRIES = 10

Calculate = Callable[[Config, int], Calculation]


class UnknownProblem(Exception):
    """There is no such problem (any more)."""


class ProblemChanged(Exception):
    """The problem is not the one that was seen."""

    def __init__(self, one: Followed) -> None:
        super().__init__(f"the problem has changed: it is {one.state} now, version {one.version}")


class Listed(Struct, frozen=True, kw_only=True):
    """A problem as it is shown: how it is followed, what the last search found of it, and how it goes."""

    followed: Followed
    found: bool  # whether the last search found it too
    measure: Measure | None

    @property
    def problem(self) -> Problem:
        return self.followed.problem


class SystemicDesk:
    """Searches in a thread of its own; what people do is written at once. Its methods ask the store: from threads."""

    def __init__(
        self, config: Config, *, calculate: Calculate = calculate, first_after_s: float = _FIRST_AFTER_S
    ) -> None:
        self._config = config
        self._calculate = calculate
        self._first_after_s = first_after_s
        self._store = Store.of(config, timeout_s=3.0)
        self._wanted = threading.Event()
        self._stop = threading.Event()
        self._turn = threading.Lock()
        self._thread: threading.Thread | None = None
        self.calculation: Calculation | None = None
        self.searching = False
        self.failed = ""  # why the last search gave nothing; empty: it did

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="systemic", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(timeout=2)
        self._store.close()

    def search(self) -> None:
        """Have it searched anew, soon; at once where nothing is being searched."""
        # Whoever asks now is not to hear that nothing is going on.
        self.searching = self.searching or self._thread is not None
        self._wanted.set()

    def listed(self) -> list[Listed]:
        """Every problem that was found last or that somebody follows, the weightiest first."""
        known = {one.id: one for one in self._store.followed()}
        calculation = self.calculation
        found = {} if calculation is None else {one.id: one for one in calculation.problems}
        at_ms = 0 if calculation is None else calculation.at_ms
        listed = [
            _listed(known.get(name), found.get(name), calculation, at_ms) for name in dict.fromkeys([*found, *known])
        ]
        return sorted(listed, key=lambda one: (-one.problem.score, one.problem.id))

    def one(self, problem_id: str) -> tuple[Listed, list[FollowEntry]]:
        """One problem with its history, newest line first. Raises UnknownProblem."""
        known = self._store.followed_one(problem_id)
        found = self._found(problem_id)
        if known is None and found is None:
            raise UnknownProblem(problem_id)
        at_ms = 0 if self.calculation is None else self.calculation.at_ms
        listed = _listed(None if known is None else known.followed, found, self.calculation, at_ms)
        return listed, [] if known is None else self._store.follow_entries(problem_id)

    def do(self, problem_id: str, version: int, act: FollowAct) -> Listed:
        """The problem after a deed of somebody who saw `version` of it.

        Raises UnknownProblem, ProblemChanged, analysis.alarm_states.NotAllowed, StoreDown; nothing is done then.
        """
        found = self._found(problem_id)
        measured = None if self.calculation is None else self.calculation.measures.get(problem_id)
        with self._turn:
            for _ in range(_TRIES):
                stored = self._store.followed_one(problem_id)
                if stored is None and found is None:
                    raise UnknownProblem(problem_id)
                before = self._before(stored, found, act.at_ms)
                if before.version != version and act.deed not in BLIND:
                    raise ProblemChanged(before)
                after, entry = follow(before, replace(act, measure=measured))
                if self._store.commit_followed(stored, after, entry):
                    return _listed(after, found, self.calculation, act.at_ms)
        raise NotAllowed("it changes too fast just now: try again")

    # --- searching ------------------------------------------------------------------------------

    def _run(self) -> None:
        self._wanted.wait(self._first_after_s)
        while not self._stop.is_set():
            self._wanted.clear()
            done = self._search()
            self._wanted.wait(EVERY_S if done else _AGAIN_AFTER_S)

    def _search(self) -> bool:
        self.searching = True
        began = time.monotonic()
        try:
            calculation = self._calculate(self._config, now_ms())
            self.calculation, self.failed = calculation, ""
            self._reopen(calculation)
        except (CalculationFailed, StoreDown, StoreRefused) as error:
            self.failed = str(error)
            log.warning("systemic_search_failed", reason=str(error))
            return False
        except Exception:
            self.failed = "an error of the program"
            log.exception("systemic_search_failed")
            return False
        finally:
            self.searching = False
        log.info(
            "systemic_searched",
            rises=calculation.rises,
            problems=len(calculation.problems),
            search_s=round(calculation.took_s, 1),
            took_s=round(time.monotonic() - began, 1),
        )
        return True

    def _reopen(self, calculation: Calculation) -> None:
        """Open again what was mended and is there again."""
        for name, measured in calculation.measures.items():
            with self._turn:
                stored = self._store.followed_one(name)
                act = None if stored is None else returned(stored.followed, measured, calculation.at_ms)
                if stored is None or act is None:
                    continue
                after, entry = follow(self._before(stored, self._found(name), act.at_ms), act)
                if self._store.commit_followed(stored, after, entry):
                    log.info("systemic_problem_returned", problem=name)

    def _found(self, problem_id: str) -> Problem | None:
        if self.calculation is None:
            return None
        return next((one for one in self.calculation.problems if one.id == problem_id), None)

    def _before(self, stored: StoredProblem | None, found: Problem | None, at_ms: int) -> Followed:
        """What a deed is done to: the numbers that were seen are kept with it."""
        if stored is None:
            assert found is not None
            return begin(found, at_ms)
        known = stored.followed
        # Once accepted it is measured by the pattern that it was accepted with.
        fresh = found is not None and known.accepted_ms is None
        return replace(known, problem=found) if fresh and found is not None else known


def _listed(known: Followed | None, found: Problem | None, calculation: Calculation | None, at_ms: int) -> Listed:
    measures: Mapping[str, Measure] = {} if calculation is None else calculation.measures
    if known is None:
        assert found is not None
        return Listed(followed=begin(found, at_ms), found=True, measure=None)
    shown = known if found is None else replace(known, problem=found)
    measured = measures.get(known.id, known.measure)
    # Of a problem that is not done yet, what changed since it was accepted; of a closed one, how it has gone on.
    return Listed(followed=shown, found=found is not None, measure=None if known.state is FollowState.NEW else measured)

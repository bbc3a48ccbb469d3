"""The search for systemic problems: a process of its own, niced, that ends with its answer.

It loads the statistics' libraries (some hundred megabytes) and reads weeks of the alarm log: neither may be felt by the
process that serves the screens.
"""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Mapping
from multiprocessing.connection import Connection

import msgspec
from msgspec import Struct

from city.areas import load_areas
from city.background import step_back
from city.config import Config
from city.store import Store
from city.systemic import Measure, Problem


class Calculation(Struct, frozen=True, kw_only=True):
    """What a search gave, and of what."""

    at_ms: int
    took_s: float
    since_ms: int
    until_ms: int
    weeks: int
    known_since_ms: int | None  # the first alarm that is known; None: there is none
    rises: int
    cases: int = 0  # new ones in the span that was looked at for them
    problems: tuple[Problem, ...]
    measures: Mapping[str, Measure]
    without_polygon: Mapping[str, int]
    nowhere: int


class CalculationFailed(Exception):
    """The search ended without an answer; the message says why."""


_decode = msgspec.msgpack.Decoder(Calculation).decode


def calculate(config: Config, now_ms: int, *, timeout_s: float = 300.0) -> Calculation:
    """The systemic problems as of now, searched in another process. Blocks; raises CalculationFailed."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(config, now_ms, there), name="systemic", daemon=True)
    process.start()
    there.close()
    try:
        if not here.poll(timeout_s):
            raise CalculationFailed(f"no answer within {timeout_s:.0f} s")
        found = here.recv()
    except EOFError:
        raise CalculationFailed("the process ended without an answer") from None
    finally:
        here.close()
        process.join(timeout=1.0)
        if process.is_alive():
            process.kill()
            process.join()
    if isinstance(found, str):
        raise CalculationFailed(found)
    return _decode(found)


def _work(config: Config, now_ms: int, answer: Connection) -> None:
    step_back()
    # Only here: who waits for the answer is not to load the statistics.
    from dashboard.systemic_search import search_all  # noqa: PLC0415

    store = Store.of(config, timeout_s=10.0)
    try:
        found: bytes | str = msgspec.msgpack.encode(search_all(config, store, load_areas(config.city_dir), now_ms))
    except Exception as error:  # noqa: BLE001 - told to the process that asked, whatever it is
        found = f"{type(error).__name__}: {error}"
    finally:
        store.close()
    with contextlib.suppress(BrokenPipeError):
        answer.send(found)

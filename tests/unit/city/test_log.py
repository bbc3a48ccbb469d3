"""Log lines: machines get JSON with a stable name and UTC times, and nobody gets secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from threading import Thread

import pytest
import structlog

from city.log import configure_logging


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, str]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_the_process_and_a_utc_time() -> None:
    stream = io.StringIO()
    configure_logging("ingest", stream=stream)
    structlog.get_logger().info("broker_lost", url="mqtt://host", city="Тошкент")
    (line,) = lines(stream)
    assert (line["event"], line["process"], line["level"], line["city"]) == ("broker_lost", "ingest", "info", "Тошкент")
    assert datetime.fromisoformat(line["at"]).tzinfo == UTC


def test_threads_and_other_libraries_speak_the_same_way() -> None:
    stream = io.StringIO()
    configure_logging("dashboard", stream=stream)
    thread = Thread(target=lambda: structlog.get_logger().info("from_a_thread"))
    thread.start()
    thread.join()
    logging.getLogger("some.library").warning("slow: %s", 3)
    assert [(line["event"], line["process"]) for line in lines(stream)] == [
        ("from_a_thread", "dashboard"),
        ("slow: 3", "dashboard"),
    ]


@pytest.mark.parametrize("json_lines", [True, False])
def test_a_traceback_shows_no_local_variables(json_lines: bool) -> None:
    stream = io.StringIO()
    configure_logging("ingest", stream=stream, json_lines=json_lines)
    password = "".join(["hun", "ter2"])
    try:
        int(f"no number, {len(password)} letters")
    except ValueError:
        structlog.get_logger().exception("crashed")
    assert "ValueError" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


def test_debugging_and_requests_are_not_logged() -> None:
    stream = io.StringIO()
    configure_logging("dashboard", stream=stream)
    structlog.get_logger().debug("detail")
    logging.getLogger("uvicorn.access").info("GET /")
    assert stream.getvalue() == ""

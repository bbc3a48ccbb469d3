"""Logging: one event a line with its keys, JSON for machines, plain columns on a terminal.

Event names are stable, so that they can be counted and alerted on. Times are RFC 3339 UTC.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger


def configure_logging(process: str, *, stream: TextIO | None = None, json_lines: bool | None = None) -> None:
    """Send structlog's and the standard library's records to `stream` (default: standard error).

    `process` stands in every line. `json_lines` defaults to what the stream is: columns on a
    terminal, JSON elsewhere.
    """
    stream = sys.stderr if stream is None else stream
    json_lines = not stream.isatty() if json_lines is None else json_lines

    def name_process(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        # Not a context variable: threads started later would not carry it.
        event["process"] = process
        return event

    shared: list[Processor] = [
        name_process,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.StackInfoRenderer(),
    ]
    last: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
        if json_lines
        # The plain traceback: the others print local variables, and with them passwords.
        else [
            structlog.dev.ConsoleRenderer(
                timestamp_key="at", colors=True, exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        # A logger fetched by an imported module before this call must follow it too.
        cache_logger_on_first_use=False,
    )

    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # A line a request or a message is noise: their libraries speak from warnings on.
    for name in ("uvicorn.access", "httpx", "asyncio", "watchfiles"):
        logging.getLogger(name).setLevel(logging.WARNING)

"""The process `markaz dashboard`: pages and API on one port."""

from __future__ import annotations

import argparse
import os
import signal

import structlog
import uvicorn

from city.config import Config
from dashboard.app import build

log = structlog.get_logger()

DEFAULT_PORT = 8050
# Open pages are told to go within this time, then the process ends.
_SHUTDOWN_S = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Serve the pages and the API."


def run(config: Config, arguments: argparse.Namespace) -> int:
    """Serve until stopped."""
    port = config.http.port or DEFAULT_PORT
    application = build(config)
    log.info("dashboard_listens", host=config.http.host, port=port, pid=os.getpid())
    # uvicorn stops cleanly and then raises the signal once more: by then it has nothing left to do.
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, lambda *_: None)
    uvicorn.run(
        application,
        host=config.http.host,
        port=port,
        log_level="warning",
        access_log=False,
        # Compressing frames that are already packed costs four times the work of sending them.
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=_SHUTDOWN_S,
        server_header=False,
    )
    return 0

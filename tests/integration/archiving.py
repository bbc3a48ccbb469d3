"""Writers of the archive as processes that a test may kill; a module of its own, so that they start in no time."""

from __future__ import annotations

import multiprocessing
import threading
from multiprocessing.process import BaseProcess

from city.archive_source import ArchiveSource
from city.config import Config
from city.store import Store
from ingest.archiver import Archiver
from ingest.tidier import Tidier, TidierThread

_fork = multiprocessing.get_context("forkserver")
# What a process needs beside this module: pytest, because it is what runs.
_fork.set_forkserver_preload(["ingest.archiver", "pytest"])


def start(config: Config) -> BaseProcess:
    """A writer that never ends by itself, and tidies without pause."""
    process = _fork.Process(target=_archive, args=[config], daemon=True)
    process.start()
    return process


def _archive(config: Config) -> None:
    stop, tidier = threading.Event(), Tidier(config)
    TidierThread(tidier, stop, every_s=0.1).start()
    Archiver(config, ArchiveSource(Store.of(config)), tidier=tidier).run(stop)

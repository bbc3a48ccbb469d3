"""The system's Chromium, without the calls home that a closed network would refuse."""

from __future__ import annotations

import os
import shutil
from typing import Any

QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def executable() -> str | None:
    """Where Chromium is; None if this machine has none."""
    given = os.environ.get("CHROMIUM")
    return given or next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )


def launch(playwright: Any) -> Any:
    """A headless browser; raises RuntimeError where there is none."""
    path = executable()
    if path is None:
        raise RuntimeError("no Chromium found: install the system's package `chromium` or set CHROMIUM")
    return playwright.chromium.launch(executable_path=path, args=list(QUIET))

"""A folder for what does not fit memory, which does not outlive its process for long.

A process that is killed leaves its folder, with gigabytes in it maybe. The next one finds that nobody holds its lock
any more (the kernel lets go of it), and deletes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

_PREFIX = "markaz-scratch-"
# One that was made just now may not be locked yet.
_AGE_S = 60.0


class Scratch:
    """A folder of this process's own, below `parent` or where the system keeps such."""

    def __init__(self, parent: Path | None = None) -> None:
        above = parent or Path(tempfile.gettempdir())
        _clear(above)
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=above))
        self._held = os.open(self.folder, os.O_RDONLY)
        # Where the file system has no locks it is never taken for a dead one's either: `_clear` gets none there.
        with contextlib.suppress(OSError):
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self) -> None:
        """Delete it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._held)


def _clear(above: Path) -> None:
    """Delete the folders that nobody holds."""
    for folder in above.glob(f"{_PREFIX}*"):
        # Others' may be there too, and may not be ours to open.
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime < _AGE_S:
                continue
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(held)

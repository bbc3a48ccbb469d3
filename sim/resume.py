"""Where the last run stopped, kept in a file, so that the next one goes on from there.

Without it every restart would tear the buses from their places: Markaz would refuse their first
positions as impossible jumps, and take the other level in a tank for a theft.
"""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from sim.town import Memory

# Older positions are forgotten: living through the time between would take longer than it is worth.
MEMORY_MAX_AGE_S = 3600
_FORMAT = 1


def save(path: Path, memory: Memory, fingerprint: str) -> None:
    """Write what a run remembers; a crash leaves the former file or this one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    head = np.array([float(_FORMAT), float(memory.start_ms), memory.t])
    np.savez(partial, _head=head, _fingerprint=np.array(fingerprint), **memory.arrays)  # type: ignore[arg-type]
    partial.replace(path)


def load(path: Path, fingerprint: str, now_ms: int) -> Memory | None:
    """What the last run of the same city remembered, None if there is none or it is too old."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, BadZipFile, EOFError):
        return None
    head, known = arrays.pop("_head", None), arrays.pop("_fingerprint", None)
    if head is None or known is None or head[0] != _FORMAT or str(known) != fingerprint:
        return None
    memory = Memory(int(head[1]), float(head[2]), arrays)
    age_s = (now_ms - memory.start_ms) / 1000 - memory.t
    return memory if 0 <= age_s <= MEMORY_MAX_AGE_S else None

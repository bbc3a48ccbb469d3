"""What a killed process left on the disk is deleted by the next one; what a living one uses is not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from city.history.scratch import Scratch


def age(folder: Path) -> None:
    os.utime(folder, (time.time() - 3600,) * 2)


def test_a_killed_processs_folder_is_deleted_and_a_living_ones_stays(tmp_path: Path) -> None:
    living = Scratch(tmp_path)
    code = (
        "import os; from pathlib import Path; from city.history.scratch import Scratch; "
        f"(Scratch(Path({str(tmp_path)!r})).folder / 'spill').write_bytes(b'x'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[4])
    (dead,) = set(tmp_path.iterdir()) - {living.folder}
    for folder in (living.folder, dead):
        age(folder)
    foreign = tmp_path / "other"
    foreign.mkdir()
    age(foreign)
    mine = Scratch(tmp_path)
    assert set(tmp_path.iterdir()) == {living.folder, mine.folder, foreign}
    mine.close()
    living.close()
    assert list(tmp_path.iterdir()) == [foreign]


def test_a_folder_made_just_now_is_left(tmp_path: Path) -> None:
    """Between its making and its lock there is a moment."""
    (tmp_path / "markaz-scratch-new").mkdir()
    Scratch(tmp_path).close()
    assert (tmp_path / "markaz-scratch-new").exists()

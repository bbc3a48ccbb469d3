"""What the tests of ingest share lies beside them: with import mode importlib no folder is on the path."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

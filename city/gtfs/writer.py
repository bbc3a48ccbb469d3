"""A feed as a zip: the files of GTFS from rows of text, written whole or not at all."""

from __future__ import annotations

import csv
import io
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from city.gtfs.tables import TABLES

# A time of its own in each entry would make two exports of the same days differ.
_STAMP = (1980, 1, 1, 0, 0, 0)

FeedRows = Mapping[str, Sequence[Mapping[str, str]]]  # table → rows by column


def feed_bytes(rows: FeedRows) -> bytes:
    """A GTFS zip; columns that no row fills are left out. The same rows give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for table in TABLES:
            of_table = rows.get(table.name, ())
            if not of_table:
                continue
            names = [
                field.name for field in table.fields if field.required or any(row.get(field.name) for row in of_table)
            ]
            text = io.StringIO(newline="")
            writer = csv.writer(text, lineterminator="\r\n")
            writer.writerow(names)
            writer.writerows([row.get(name, "") for name in names] for row in of_table)
            entry = zipfile.ZipInfo(table.file, _STAMP)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, text.getvalue().encode("utf-8"))
    return buffer.getvalue()


def write_feed(rows: FeedRows, path: Path) -> None:
    """Write the zip beside its place, then put it there; raises OSError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(feed_bytes(rows))
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def clock(second: int) -> str:
    """Seconds of the service day as `HH:MM:SS`, above 24 h after midnight."""
    hour, rest = divmod(second, 3600)
    return f"{hour:02}:{rest // 60:02}:{rest % 60:02}"

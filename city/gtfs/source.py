"""The files of a feed, from a folder or a zip that may be hostile."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from city.gtfs.faults import Faults, Reason

# A country's timetable unpacks to a few hundred MiB. More is refused before it fills memory.
FILE_MAX_BYTES = 512 << 20
FEED_MAX_BYTES = 1 << 30
# Timetables pack ten to one; a bomb packs a thousand to one.
RATIO_MAX, RATIO_FROM_BYTES = 200, 16 << 20
ENTRIES_MAX = 1_000
# What zipfile raises on spoilt bytes; a name that is no UTF-8 is a ValueError.
_UNREADABLE = (
    OSError, EOFError, ValueError, NotImplementedError, RuntimeError, struct.error, zipfile.BadZipFile, zlib.error,
    lzma.LZMAError,
)  # fmt: skip


def files_of(path: Path, wanted: frozenset[str], faults: Faults) -> dict[str, bytes]:
    """The wanted files of a feed by name; what cannot be read is a fault."""
    if path.is_dir():
        return _of_folder(path, wanted, faults)
    try:
        with zipfile.ZipFile(path) as archive:
            return _of_zip(archive, path.name, wanted, faults)
    except _UNREADABLE as error:
        faults.add(path.name, 0, "", Reason.NOT_A_FEED, f"neither a folder nor a readable zip: {error}")
        return {}


def _of_folder(path: Path, wanted: frozenset[str], faults: Faults) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    whole = 0
    for name in sorted(wanted):
        file = path / name
        try:
            if not file.is_file():
                continue
            size = file.stat().st_size
            whole += size
            if size > FILE_MAX_BYTES or whole > FEED_MAX_BYTES:
                faults.add(name, 0, "", Reason.TOO_LARGE, f"{size} bytes, {whole} with the files before it")
                continue
            found[name] = file.read_bytes()
        except OSError as error:
            faults.add(name, 0, "", Reason.NOT_A_FEED, str(error.strerror or error))
    return found


def _of_zip(archive: zipfile.ZipFile, feed: str, wanted: frozenset[str], faults: Faults) -> dict[str, bytes]:
    entries = archive.infolist()
    if len(entries) > ENTRIES_MAX:
        faults.add(feed, 0, "", Reason.TOO_LARGE, f"{len(entries)} entries; a feed has at most {ENTRIES_MAX}")
        return {}
    found: dict[str, bytes] = {}
    whole = 0
    for entry in entries:
        name = entry.filename
        # `orig_filename` too: zipfile mends backslashes and cuts at a NUL.
        if not all(map(_is_safe, (name, entry.orig_filename))):
            faults.add(feed, 0, "", Reason.UNSAFE_PATH, f"{entry.orig_filename!r} leads out of the feed")
            continue
        if entry.is_dir():
            continue
        if PurePosixPath(name).name in wanted and "/" in name and not name.startswith("__MACOSX/"):
            faults.add(feed, 0, "", Reason.NOT_A_FEED, f"{name} lies in a folder of the zip; files must lie at its top")
            continue
        if name not in wanted:
            continue
        if name in found:
            faults.add(name, 0, "", Reason.DUPLICATE_KEY, "is in the zip twice")
            continue
        ratio = entry.file_size / max(1, entry.compress_size)
        if (
            entry.file_size > FILE_MAX_BYTES
            or whole + entry.file_size > FEED_MAX_BYTES
            or (ratio > RATIO_MAX and entry.file_size > RATIO_FROM_BYTES)
        ):
            faults.add(name, 0, "", Reason.TOO_LARGE, f"unpacks to {entry.file_size} bytes, {ratio:.0f} times its size")
            continue
        with archive.open(entry) as file:
            # What the header says may be a lie.
            data = file.read(entry.file_size + 1)
        if len(data) > entry.file_size:
            faults.add(name, 0, "", Reason.TOO_LARGE, "unpacks to more than the zip says")
            continue
        whole += len(data)
        found[name] = data
    return found


def _is_safe(name: str) -> bool:
    path = PurePosixPath(name)
    return not (path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or ":" in name[:2])

"""`markaz history`: the process that remembers; and the archive by hand: verify, compact, export, import."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, date, datetime
from pathlib import Path

from city.archive.archive import Archive, ArchiveDown
from city.archive.columns import FEEDS
from city.archive.exports import ExportError, export
from city.archive.files import Unreadable
from city.archive.imports import Busy, NotOfFeed, import_file
from city.archive.verify import verify
from city.archive_source import ArchiveSource, KnownArchive
from city.config import Config, ConfigError
from city.store import Store, StoreDown, StoreRefused
from ingest import history
from markaz.embedded import resolve


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(action=None)
    history.add_arguments(parser)
    parser.epilog = "Without an action: the process. Exit code: 0 done, 1 something is wrong, 2 wrong arguments."
    actions = parser.add_subparsers(metavar="action")
    verified = actions.add_parser("verify", help="whether the archive is whole; changes nothing")
    verified.add_argument("--deep", action="store_true", help="read every row too")
    compacted = actions.add_parser("compact", help="merge small files now, and delete what was replaced long ago")
    exported = actions.add_parser("export", help="rows of a feed and time as one file")
    _feed(exported)
    exported.add_argument(
        "--from", dest="since", type=_moment, required=True, metavar="WHEN", help="RFC 3339 time, or a day (UTC)"
    )
    exported.add_argument(
        "--to", dest="until", type=_moment, required=True, metavar="WHEN", help="the first moment that is left out"
    )
    exported.add_argument("--out", type=_out, required=True, metavar="FILE", help=".parquet, .csv or .geojson")
    imported = actions.add_parser("import", help="rows of a Parquet file; what is there already is left as it is")
    imported.add_argument("file", type=Path, metavar="FILE")
    _feed(imported)
    accepted = actions.add_parser(
        "accept",
        help="go on with the archive that is there now, though it is another one than before, or an older copy",
    )
    for name, action in (
        ("verify", verified),
        ("compact", compacted),
        ("export", exported),
        ("import", imported),
        ("accept", accepted),
    ):
        action.set_defaults(action=name)
        action.add_argument(
            "--config", type=Path, default=argparse.SUPPRESS, metavar="FILE", help="settings (config.yaml)"
        )


def run(config: Config, arguments: argparse.Namespace) -> int:
    """The process, or one action: 0 done, 1 something is wrong with the archive, 2 with what was asked."""
    if arguments.action is None:
        return history.run(resolve(config, ("redis",)), arguments)
    if arguments.action == "accept":
        return _accept(resolve(config, ("redis",)))
    before = _known(config) if arguments.action in {"compact", "import"} else None
    try:
        archive = Archive.open(config.history.url, config.city, room_min_mb=config.history.room_min_mb)
        if before and before.id and archive.number < before.commit and archive.identity() == before.id:
            raise ArchiveDown(
                f"this is commit {archive.number} of {before.id}, and the last one was {before.commit}: an older copy; "
                "is the right place mounted?"
            )
        match arguments.action:
            case "verify":
                return _verify(archive, deep=arguments.deep)
            case "compact":
                return _compact(config, archive)
            case "export":
                return _export(archive, arguments)
            case _:
                return _import(config, archive, arguments)
    except ArchiveDown as down:
        print(f"markaz: the archive at {config.history.url}: {down}", file=sys.stderr)
        return 1


def _known(config: Config) -> KnownArchive | None:
    """The archive that the city's process has written to last; None where nobody is there to tell."""
    try:
        store = Store.of(resolve(config, ("redis",)))
    except ConfigError:
        return None
    try:
        return ArchiveSource(store).known()
    except (StoreDown, StoreRefused):
        return None
    finally:
        store.close()


def _accept(config: Config) -> int:
    store = Store.of(config)
    source = ArchiveSource(store)
    try:
        before = source.known()
        source.forget()
    except (StoreDown, StoreRefused) as error:
        print(f"markaz: the store: {error}", file=sys.stderr)
        return 1
    finally:
        store.close()
    print("any archive is the right one now" + (f"; it was {before.id}, commit {before.commit}" if before else ""))
    return 0


def _verify(archive: Archive, *, deep: bool) -> int:
    found = verify(archive, deep=deep)
    for problem in found.problems:
        print(f"{_printable(problem.path)}: {_printable(problem.why)}", file=sys.stderr)
    for gap in archive.gaps:
        lost = "" if gap.entries is None else f", {gap.entries} batches"
        print(f"gap: stream {gap.stream}, {_time(gap.from_ms)} to {_time(gap.to_ms)}{lost} never archived")
    wrong = f"{len(found.problems)} problems" if found.problems else "nothing wrong"
    print(f"{found.files} files, {found.rows} rows, {found.bytes} bytes, commit {archive.number}: {wrong}")
    return 1 if found.problems else 0


def _compact(config: Config, archive: Archive) -> int:
    settings = config.history
    before = archive.totals.files
    merges = archive.compact(
        files_max=settings.compact_files,
        rows_max=settings.compact_rows,
        done=lambda merge: print(f"{merge.place.folder}: {len(merge.files)} files, {merge.rows} rows, now one"),
    )
    gone = archive.retain(settings.keep_days)
    deleted = archive.sweep()
    for problem in archive.problems:
        print(f"skipped: {_printable(problem.path)}: {_printable(problem.why)}", file=sys.stderr)
    after = archive.totals.files
    print(f"{merges} merges: {before} files are {after}; {gone} outlived, {deleted} deleted")
    return 1 if archive.problems else 0


def _export(archive: Archive, arguments: argparse.Namespace) -> int:
    if arguments.until <= arguments.since:
        print("markaz: history export: --to is not after --from", file=sys.stderr)
        return 2
    skipped: list[Unreadable] = []
    try:
        rows = export(
            archive,
            arguments.feed,
            _ms(arguments.since),
            _ms(arguments.until),
            arguments.out,
            skipped.append,
        )
    except ExportError as error:
        print(f"markaz: {error}", file=sys.stderr)
        return 2
    for one in skipped:
        print(f"skipped: {_printable(one.path)}: {_printable(one.why)}", file=sys.stderr)
    print(f"{rows} rows of {arguments.feed} in {arguments.out}")
    return 1 if skipped else 0


def _import(config: Config, archive: Archive, arguments: argparse.Namespace) -> int:
    try:
        done = import_file(
            archive,
            arguments.file,
            arguments.feed,
            stale_max_s=config.ingest.checks.stale_max_s,
            hold_s=max(config.history.hold_s, config.store.events_keep_s),
        )
    except NotOfFeed as error:
        print(f"markaz: {error}", file=sys.stderr)
        return 2
    except Busy as error:
        print(f"markaz: {error}", file=sys.stderr)
        return 1
    except Unreadable as error:
        print(f"markaz: the archive has a file that cannot be read: {error}", file=sys.stderr)
        return 1
    print(f"{done.rows} rows: {done.added} added in {done.files} files, {done.known} were there already")
    return 0


def _feed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--feed", required=True, choices=FEEDS, metavar="FEED", help=", ".join(FEEDS))


def _moment(text: str) -> datetime:
    try:
        if len(text) == len("2026-05-04"):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither an RFC 3339 time nor a day (2026-05-04)") from None
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no offset (Z or +05:00)")
    return moment


def _out(text: str) -> Path:
    path = Path(text)
    if path.suffix not in {".parquet", ".csv", ".geojson"}:
        raise argparse.ArgumentTypeError(f"{text!r} ends in none of .parquet, .csv, .geojson")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r}: there is no such folder")
    return path


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _printable(text: str) -> str:
    """Text that does nothing to a terminal."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii") for sign in text)

"""`markaz rejects`: the messages that were not stored: which, one whole, and once more through ingest."""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from uuid import uuid4

from analysis.readable import readable
from city.config import Config
from city.messages import RejectReason
from city.store import Store, StoreDown, StoredReject, StoreRefused
from markaz.replay_rejects import BATCH_MESSAGES, AlreadyReplaying, Replay, Verdict

_LIST_LIMIT = 50
_PAGE = 200
_ENTRY_ID = re.compile(r"\d+-\d+")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(action="list", feed=None, reason=None, since=None, limit=_LIST_LIMIT)
    parser.epilog = "Exit code: 0 done, 1 a message is not there or the store does not answer, 2 wrong arguments."
    actions = parser.add_subparsers(metavar="action")
    listed = actions.add_parser("list", help="a line a message, newest first (without an action too)")
    _choice(listed)
    listed.add_argument(
        "--since", type=_moment, metavar="WHEN", help="only received since: 30m, 2h, 1d ago, or an RFC 3339 time"
    )
    listed.add_argument("--limit", type=_count, default=_LIST_LIMIT, help=f"messages at most (default: {_LIST_LIMIT})")
    shown = actions.add_parser("show", help="one message, whole and readable")
    shown.add_argument("ids", nargs=1, type=_entry_id, metavar="id")
    shown.add_argument("--raw", action="store_true", help="its bytes alone, as they came")
    again = actions.add_parser(
        "replay", help="take messages in again by the rules of now; what is stored leaves the list"
    )
    again.add_argument("ids", nargs="*", type=_entry_id, metavar="id")
    _choice(again)
    again.add_argument("--all", action="store_true", help="every message that is kept")
    again.add_argument("--dry-run", action="store_true", help="only say what would become of each")
    for name, action in (("list", listed), ("show", shown), ("replay", again)):
        action.set_defaults(action=name)
        action.add_argument(
            "--config", type=Path, default=argparse.SUPPRESS, metavar="FILE", help="settings (config.yaml)"
        )


def _choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--feed", help="only of this feed")
    parser.add_argument(
        "--reason", choices=[reason.value for reason in RejectReason], metavar="REASON", help="only for this reason"
    )


def run(config: Config, arguments: argparse.Namespace) -> int:
    """Do one action; 1 if a message is not there, the store does not answer, or somebody else replays."""
    store = Store.of(config)
    try:
        match arguments.action:
            case "show":
                return _show(store, arguments.ids[0], raw=arguments.raw)
            case "replay":
                return _replay(config, store, arguments)
            case _:
                return _list(store, arguments)
    except (StoreDown, StoreRefused) as error:
        return _fail(f"the store does not answer: {error}")
    except AlreadyReplaying as error:
        return _fail(str(error))
    except BrokenPipeError:  # `… | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    finally:
        store.close()


def _list(store: Store, arguments: argparse.Namespace) -> int:
    since_ms = 0 if arguments.since is None else int(arguments.since.timestamp() * 1000)
    for reject in islice(_newest(store, arguments.feed, arguments.reason, since_ms), arguments.limit):
        print(line(reject))
    sys.stdout.flush()
    return 0


def _newest(store: Store, feed: str | None, reason: str | None, since_ms: int) -> Iterator[StoredReject]:
    before: str | None = None
    while True:
        found, before = store.find_rejects(limit=_PAGE, before=before, feed=feed, reason=reason)
        yield from (reject for reject in found if reject.received_ms >= since_ms)
        # A message is kept after it was received: entries before that moment hold no later one.
        if before is None or int(before.partition("-")[0]) < since_ms:
            return


def _show(store: Store, entry_id: str, *, raw: bool) -> int:
    reject = store.reject(entry_id)
    if reject is None:
        return _fail(f"{entry_id}: no such message is kept")
    if raw:
        sys.stdout.buffer.write(reject.payload)
        sys.stdout.buffer.flush()
        return 0
    shown = readable(reject.payload)
    for name, value in (
        ("id", reject.entry_id),
        ("received", _time(reject.received_ms)),
        ("feed", reject.feed),
        ("reason", reject.reason),
        ("detail", reject.detail),
        ("topic", reject.topic),
        ("payload", f"{len(reject.payload)} bytes, {shown.kind}{', the beginning' if shown.cut else ''}"),
    ):
        print(f"{name:<9}{printable(value)}")
    print()
    for one in shown.text.split("\n"):
        print(printable(one))
    return 0


def _replay(config: Config, store: Store, arguments: argparse.Namespace) -> int:
    chosen = [bool(arguments.ids), bool(arguments.feed or arguments.reason), arguments.all]
    if sum(chosen) != 1:
        print("markaz: rejects replay: name ids, or --feed and --reason, or --all", file=sys.stderr)
        return 2
    missing = [one for one in arguments.ids if store.reject(one) is None]
    if missing:
        return _fail(f"{', '.join(missing)}: no such message is kept")
    replay = Replay(config, store, uuid4().hex)
    counts = {"stored": 0, "refused": 0, "cut": 0}
    try:
        for batch in _batches(store, arguments):
            for verdict in replay.judge(batch) if arguments.dry_run else replay.store(batch):
                counts[verdict.outcome] += 1
                print(_told(verdict, dry_run=arguments.dry_run))
    finally:
        replay.close()
    stored = "would be stored" if arguments.dry_run else "stored"
    print(f"{counts['stored']} {stored}, {counts['refused']} refused again, {counts['cut']} not kept whole")
    return 0


def _batches(store: Store, arguments: argparse.Namespace) -> Iterator[list[StoredReject]]:
    """The chosen rejects that are kept now, oldest first, a bounded number at a time."""
    if arguments.ids:
        ids = sorted(set(arguments.ids), key=lambda one: tuple(map(int, one.split("-"))))
        for at in range(0, len(ids), BATCH_MESSAGES):
            found = [store.reject(one) for one in ids[at : at + BATCH_MESSAGES]]
            yield [reject for reject in found if reject is not None]
        return
    newest = store.rejects(limit=1)
    after, last = "0-0", newest[0].entry_id if newest else "0-0"
    while seen := store.rejects_between(after, last, count=BATCH_MESSAGES):
        after = seen[-1].entry_id
        yield list(_of(seen, arguments.feed, arguments.reason))


def _of(rejects: Iterable[StoredReject], feed: str | None, reason: str | None) -> Iterator[StoredReject]:
    return (one for one in rejects if (feed is None or one.feed == feed) and (reason is None or one.reason == reason))


def _told(verdict: Verdict, *, dry_run: bool) -> str:
    reject = verdict.reject
    if verdict.outcome == "refused":
        why = f"{verdict.reason}: {verdict.detail}"
        return f"refused  {reject.entry_id}  {printable(f'{reject.topic}  {why}')}"
    if verdict.outcome == "cut":
        return (
            f"cut      {reject.entry_id}  {printable(reject.topic)}  only its beginning is kept: it cannot be replayed"
        )
    return f"{'passes' if dry_run else 'stored':<9}{reject.entry_id}  {printable(reject.topic)}"


def line(reject: StoredReject) -> str:
    """A reject on one line."""
    words = f"{reject.feed}  {reject.reason}  {reject.topic}  {len(reject.payload)} bytes  {reject.detail}"
    return f"{reject.entry_id}  {_time(reject.received_ms)}  {printable(words)}"


def printable(text: str) -> str:
    """Text that does nothing to a terminal: signs that are not for printing as Python escapes them."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii") for sign in text)


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fail(why: str) -> int:
    print(f"markaz: {printable(why)}", file=sys.stderr)
    return 1


def _entry_id(text: str) -> str:
    if not _ENTRY_ID.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an id as `markaz rejects list` shows them (1700000000000-0)")
    return text


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of messages")
    return int(text)


def _moment(text: str) -> datetime:
    if found := re.fullmatch(r"(\d{1,6})([smhd])", text):
        return datetime.fromtimestamp(time.time(), UTC) - timedelta(**{_UNITS[found[2]]: int(found[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither 30m, 2h, 1d nor an RFC 3339 time") from None
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no offset (Z or +05:00)")
    return moment

"""`markaz <command>`: reads the settings, starts the one process that was asked for.

Only the module of the chosen command is imported, so that `markaz --help` and small commands
do not wait for the map and the numeric libraries.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, cast

from city.config import Config, ConfigError, load_config
from city.log import configure_logging

EXIT_OK, EXIT_FAILED, EXIT_BAD_CONFIG, EXIT_INTERRUPTED = 0, 1, 2, 130

Need = Literal["mqtt", "redis"]


class Process(Protocol):
    """What every process module offers to the command line."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, config: Config, arguments: argparse.Namespace) -> int: ...


class Command(NamedTuple):
    name: str
    module: str
    summary: str
    needs: tuple[Need, ...] = ()  # servers whose address must be known before it runs


COMMANDS = (
    Command("up", "markaz.up", "start everything on this machine and keep it running"),
    Command("ingest", "ingest.receiver", "take messages from the broker into the store", ("mqtt", "redis")),
    Command("alarms", "ingest.alarms", "watch the stored events and raise alarms", ("redis",)),
    Command("history", "markaz.history", "sample the city, and archive all that it says; or look after the archive"),
    Command("dashboard", "dashboard.main", "serve the pages and the API", ("redis",)),
    Command("simulate", "sim.simulate", "publish a simulated city", ("mqtt",)),
    Command("replay", "sim.replay", "publish a recording", ("mqtt",)),
    Command("rejects", "markaz.rejects", "list, show and take in again the messages that were rejected", ("redis",)),
    Command("geo", "markaz.geo", "bring a city's polygons in"),
    Command("gtfs", "markaz.gtfs", "check a timetable, bring it in, or write the observed one"),
    Command("check", "markaz.check", "check the settings, the geography, the broker and the store"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code: 0 done, 1 failed, 2 bad configuration."""
    words = list(sys.argv[1:] if argv is None else argv)
    chosen = next((command for command in COMMANDS if words and command.name == words[0]), None)
    parser = _parser(chosen)
    arguments = parser.parse_args(words)
    if chosen is None:
        parser.error("which command?")
    arguments.config = config_path(arguments.config)
    try:
        config = load_config(arguments.config)
        if chosen.needs:
            from markaz.embedded import resolve  # noqa: PLC0415 - the other commands start without it

            config = resolve(config, chosen.needs)
        configure_logging(chosen.name)
        return _module(chosen).run(config, arguments)
    except ConfigError as error:
        print(f"markaz: {error}", file=sys.stderr)
        return EXIT_BAD_CONFIG
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def config_path(given: Path | None) -> Path:
    """The settings' file: as given, else $MARKAZ_CONFIG, else ./config.yaml, else the checkout's."""
    if given is not None:
        return given
    if named := os.environ.get("MARKAZ_CONFIG"):
        return Path(named)
    here = Path("config.yaml")
    return here if here.exists() else Path(__file__).resolve().parent.parent / "config.yaml"


def _parser(chosen: Command | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="markaz",
        description="A city's situation centre.",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=16),
    )
    commands = parser.add_subparsers(metavar="command", title="commands")
    for command in COMMANDS:
        below = commands.add_parser(command.name, help=command.summary, description=f"{command.summary.capitalize()}.")
        below.add_argument(
            "--config",
            type=Path,
            metavar="FILE",
            help="settings (default: $MARKAZ_CONFIG, ./config.yaml, or the one shipped)",
        )
        if command is chosen:
            _module(command).add_arguments(below)
    return parser


def _module(command: Command) -> Process:
    return cast(Process, import_module(command.module))
